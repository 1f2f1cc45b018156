"""Two columns side by side: a fork goes on from the same memory, under the same seed."""

from collections.abc import AsyncIterator
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from presets import ChatTemplate
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.sampling import draw_seed
from ui.chat.actions import asked_of
from ui.chat.answering import answer
from ui.chat.frames import SKIP, ChatFrame, box_for, frame, line
from ui.chat.values import Ask, Chat, Chats
from ui.components import error_line
from ui.session import RunningStreams


class BesideFrame(NamedTuple):
    """What the second column shows next: the parts of a `ChatFrame` that it has."""

    messages: Any
    chats: Any
    box: Any
    status: Any
    marks: Any
    go_on: Any
    earlier: Any


NOTHING = BesideFrame(*[SKIP] * len(BesideFrame._fields))


class Column(NamedTuple):
    """The second column itself.

    Attributes:
        column: whether it is there.
        note: what it says above.
        pair_seed: the seed both columns write under; -1 without a second one.
    """

    column: dict[str, Any]
    note: str
    pair_seed: int


def beside_of(shown: ChatFrame) -> BesideFrame:
    """Take the parts that the second column has."""
    return BesideFrame(*(getattr(shown, name) for name in BesideFrame._fields))


async def answer_beside(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    ask: Ask | None,
    *values: Any,
) -> AsyncIterator[BesideFrame]:
    """Answer in the second column; nothing happens where nothing was asked."""
    if ask is None:
        yield NOTHING
        return
    async for shown in answer(engine, template, running, visitor, language, chats, ask, *values):
        yield beside_of(shown)


def ask_both(ask: Ask, both: bool, pair_seed: int) -> Ask | None:
    """Ask on the right what was sent on the left, where the visitor wants that."""
    return ask if both and pair_seed >= 0 else None


def fork_here(
    engine: Engine, language: str, chats: Chats, event: gr.EventData
) -> tuple[BesideFrame, Column]:
    """Open the second column with the text up to an exchange."""
    chat = chats.current
    tree, drawn = chat.tree.settled(), asked_of(event, "turn")
    node = chat.node_at(drawn) if isinstance(drawn, int) else None
    if node is None or node >= len(tree.nodes):
        return NOTHING, Column(gr.skip(), "", -1)
    fork = Chats((Chat(tree.only(node)),))
    seed = draw_seed()
    text = speak(language, "chat.forked", count=len(tree.path_to(node)))
    shown = frame(engine, fork, box_for(language, ""), line(text), language)
    return beside_of(shown), Column(gr.update(visible=True), note(language, seed), seed)


def note(language: str, seed: int) -> str:
    """Say what the second column is."""
    title, text = speak(language, "chat.fork_title"), speak(language, "chat.fork_note", seed=seed)
    return f'<h2 class="fork-title">{escape(title)}</h2><p class="status">{escape(text)}</p>'


def close(
    engine: Engine, running: RunningStreams, visitor: str, language: str
) -> tuple[BesideFrame, Column]:
    """Close the second column; its words are gone unless they were kept as a chat."""
    running.stop(visitor)
    shown = frame(engine, Chats(), box_for(language, ""), line(""), language)
    return beside_of(shown), Column(gr.update(visible=False), "", -1)


def keep_and_close(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    beside: Chats,
) -> tuple[ChatFrame, tuple[BesideFrame, Column]]:
    """Make the second column a chat of its own and close it; where there are too many it stays."""
    shown = keep_fork(engine, language, chats, beside)
    if shown.chats.current.slot == chats.current.slot:
        return shown, (NOTHING, Column(SKIP, SKIP, SKIP))
    return shown, close(engine, running, visitor, language)


def keep_fork(engine: Engine, language: str, chats: Chats, beside: Chats) -> ChatFrame:
    """Make the second column a chat of its own, and open it."""
    settled = chats.with_tree(chats.current.tree.settled())
    try:
        grown = settled.added(Chat(beside.current.tree.settled()))
    except InputError as error:
        return frame(engine, settled, gr.skip(), error_line(error, language), language)
    status = line(speak(language, "chat.fork_kept"))
    return frame(engine, grown, box_for(language), status, language)
