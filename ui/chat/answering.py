"""Answering a message: from what was asked to the last word, redrawn a few times a second."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from presets import ChatTemplate
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.generate import GenerationSettings, Token
from rwkv_core.sessions import Making, Turn
from rwkv_core.streams import Stream, StreamResult
from ui.chat.frames import (
    SKIP,
    ChatFrame,
    box_for,
    doing,
    frame,
    marks_of,
    memory_of,
    messages_of,
    outcome,
)
from ui.chat.turns import answered, opened
from ui.chat.values import CUT, Ask, Chats
from ui.components import error_line
from ui.controls import generation_settings
from ui.session import RunningStreams


async def answer(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    ask: Ask,
    persona: str,
    *controls: float,
) -> AsyncIterator[ChatFrame]:
    """Answer a message, redrawing at most 20 times a second.

    Args:
        engine: runs the model.
        template: turns roles into text.
        running: knows what each visitor listens to.
        visitor: session id.
        language: of the page.
        chats: shown now; kept as they are when the message cannot be answered.
        ask: the message, and what to do with it.
        persona: text read before the first turn.
        controls: numbers in the order of `Controls`.
    """
    kept = chats.with_tree(chats.current.tree.settled())
    try:
        tree, new_tokens = opened(engine, template, kept.current.tree, ask, persona)
        settings = generation_settings(controls, template.stop)
        talk = tree.conversation
        stream = engine.submit(visitor, talk.ids, settings, root=talk.root)
    except RwkvError as error:
        # Words that stand in no box, such as an edit's, go into the message box.
        box = box_for(language, None if ask.is_typed else ask.text)
        yield frame(engine, kept, box, error_line(error), language)
        return
    asked = kept.with_tree(tree)
    running.start(visitor, stream)
    try:
        async for shown in follow(engine, stream, asked, ask, language):
            yield shown
        # A newer message has taken over the page: leave it alone.
        if running.is_current(visitor, stream) and (result := stream.result) is not None:
            yield finished(engine, asked, ask, result, settings, new_tokens, language)
    finally:
        running.end(visitor, stream)


async def follow(
    engine: Engine, stream: Stream, asked: Chats, ask: Ask, language: str
) -> AsyncIterator[ChatFrame]:
    """Show the words of a stream as they come."""
    tokens: list[Token] = []
    box = box_for(language, "" if ask.is_typed else None, is_busy=True)
    before = last_turn(asked)
    marks: str | dict[str, Any] = marks_of(asked.current, language)
    async for batch in stream.batches():
        tokens += batch
        text = "".join(token.text for token in tokens)
        ids = tuple(token.id for token in tokens)
        current = with_last_turn(asked, answered(before, before, text, ids))
        chat, talk = current.current, current.current.conversation
        memory = memory_of(engine, talk, batch[-1].change if batch else ())
        status = doing(stream.status, language)
        yield ChatFrame(messages_of(chat), current, talk, box, status, memory, marks, SKIP, SKIP)
        box = marks = SKIP


def finished(
    engine: Engine,
    asked: Chats,
    ask: Ask,
    result: StreamResult,
    settings: GenerationSettings,
    new_tokens: int,
    language: str,
) -> ChatFrame:
    """Show the end of an answer; without a word the message goes back into its box."""
    before = last_turn(asked)
    used = replace(settings, sampling=replace(settings.sampling, seed=result.seed))
    reread = max(0, result.tokens_read - new_tokens)
    written = len(result.generated_ids)
    made = Making(used, result.reason, written, reread, result.first_token_s, result.tokens_per_s)
    turn = answered(before, before, result.text, result.generated_ids)
    # A cut answer keeps the blank it may end with: it can go on.
    text = turn.answer if result.reason in CUT else turn.answer.rstrip()
    done = with_last_turn(asked, replace(turn, answer=text, makings=(*before.makings, made)))
    kept = done.with_tree(done.current.tree.settled())
    back = None if kept.current.tree is done.current.tree else ask.text
    status = outcome(result, turn, reread, engine.model.config.state_bytes, language)
    if result.error is not None:
        status = error_line(result.error)
    return frame(engine, kept, box_for(language, back), status, language)


def last_turn(chats: Chats) -> Turn:
    """The exchange being answered."""
    tree = chats.current.tree
    assert tree.tip is not None
    return tree.nodes[tree.tip].turn


def with_last_turn(chats: Chats, turn: Turn) -> Chats:
    """Rewrite the exchange being answered."""
    tree = chats.current.tree
    assert tree.tip is not None
    return chats.with_tree(tree.with_turn(tree.tip, turn))
