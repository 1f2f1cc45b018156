"""What the buttons of the Chat tab do: each becomes an `Ask` to answer, or a frame at once."""

from dataclasses import replace
from typing import Any

import gradio as gr

from presets import ChatTemplate
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import HeldMemoryError, InputError
from ui.chat.frames import ChatFrame, box_for, frame, line
from ui.chat.recipes import write_recipe
from ui.chat.values import SHOWN_TURNS, Ask, Chats
from ui.components import error_line, sentence
from ui.session import RunningStreams


def send(text: str) -> Ask:
    """Ask for an answer to what stands in the box."""
    return Ask(text)


def send_example(event: gr.SelectData) -> Ask:
    """Ask for an answer to an example."""
    return Ask(text_of(event.value))


def go_on() -> Ask:
    """Ask for more of a cut answer."""
    return Ask("", "continue")


def retry(event: gr.RetryData, chats: Chats) -> Ask:
    """Ask for another answer to the same message."""
    node = node_of(chats, event.index)
    return Ask(chats.current.tree.nodes[node].turn.user, "replace", node)


def edit(event: gr.EditData, chats: Chats) -> Ask:
    """Ask for an answer to a message as it reads now; the old one stays beside it."""
    return Ask(text_of(event.value), "replace", node_of(chats, event.index))


def node_of(chats: Chats, index: int | tuple[int, int]) -> int:
    """The exchange that a drawn message belongs to; -1 where there is none."""
    chat = chats.current
    wanted = index if isinstance(index, int) else index[0]
    turns = chat.conversation.turns[chat.first_drawn :]
    first = 0
    for drawn, turn in enumerate(turns):
        first += messages_in(turn.thinking, turn.answer)
        if wanted < first:
            node = chat.node_at(drawn)
            return -1 if node is None else node
    return -1


def messages_in(thinking: str, answer: str) -> int:
    """How many messages of the conversation an exchange is drawn as."""
    return 1 + bool(thinking) + bool(answer)


def text_of(value: object) -> str:
    """Text of a message, which Gradio gives as a string, a block or a list of blocks."""
    if isinstance(value, dict):
        return str(value.get("text", ""))
    if isinstance(value, list):
        return "".join(text_of(part) for part in value)
    return str(value)


def undo(
    engine: Engine, running: RunningStreams, visitor: str, language: str, chats: Chats
) -> ChatFrame:
    """Take back the last message and its answer; the message returns to its box."""
    running.stop(visitor)
    tree = chats.current.tree.settled()
    if tree.tip is None:
        return frame(engine, chats.with_tree(tree), box_for(language), line(""), language)
    last = tree.nodes[tree.tip]
    before = chats.with_tree(tree.shown(last.parent))
    said = speak(language, "chat.taken_back")
    status = line(f"{said} {to_reread(engine, visitor, before, language)}")
    return frame(engine, before, box_for(language), status, language, back=last.turn.user)


def switch_version(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    event: gr.EventData,
) -> ChatFrame:
    """Show another version of a message or an answer, with all that followed it."""
    running.stop(visitor)
    tree = chats.current.tree.settled()
    settled = chats.with_tree(tree)
    what, drawn, by = asked_of(event, "what"), asked_of(event, "turn"), asked_of(event, "by")
    node = settled.current.node_at(drawn) if isinstance(drawn, int) else None
    to = None
    if node is not None and by in (-1, 1):
        of = tree.message_versions if what == "message" else tree.answer_versions
        to = of(node).step(by)
    if to is None:
        return frame(engine, settled, box_for(language), line(""), language)
    other = settled.with_tree(tree.switched(to))
    said = speak(language, "chat.switched")
    status = line(f"{said} {to_reread(engine, visitor, other, language)}")
    return frame(engine, other, box_for(language), status, language)


def to_reread(engine: Engine, visitor: str, chats: Chats, language: str) -> str:
    """Say how much of the shown text has to be read again before the next answer, if it can be."""
    talk = chats.current.conversation
    try:
        if talk.root:
            engine.memory_at(visitor, (), root=talk.root)
    except HeldMemoryError as error:
        return sentence(error, language)
    ids = talk.ids
    count = len(ids) - engine.kept_length(visitor, ids, root=talk.root) if ids else 0
    return speak(language, "chat.to_reread" if count else "chat.kept", count=f"{count:,}")


def asked_of(event: gr.EventData, name: str) -> Any:
    """One value of what tools.js sent; None where it is missing."""
    return getattr(event, "_data", {}).get(name)


def show_earlier(engine: Engine, language: str, chats: Chats) -> ChatFrame:
    """Draw more of a long chat."""
    chat = chats.current
    more = replace(chat, shown_turns=chat.shown_turns + 4 * SHOWN_TURNS)
    return frame(engine, chats.with_current(more), gr.skip(), gr.skip(), language)


def make_link(
    engine: Engine, template: ChatTemplate, language: str, chats: Chats
) -> tuple[str, Any]:
    """Write a recipe of the shown text; returns the end of its link and a status line."""
    try:
        tree = chats.current.tree.settled()
        return f"?recipe={write_recipe(engine, template, tree.conversation)}", gr.skip()
    except InputError as error:
        return "", error_line(error, language)
