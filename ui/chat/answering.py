"""Answering a message: from what was asked to the last word, redrawn a few times a second."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from presets import ChatTemplate
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.generate import GenerationSettings, Token
from rwkv_core.sessions import Making, Turn
from rwkv_core.streams import Stream, StreamResult
from ui.chat import thinking
from ui.chat.frames import (
    SKIP,
    ChatFrame,
    box_for,
    frame,
    marks_of,
    memory_of,
    messages_of,
    outcome,
)
from ui.chat.so_far import so_far, unanswered, written
from ui.chat.turns import answered, opened
from ui.chat.values import CUT, Ask, Chats
from ui.components import error_line, progress_line
from ui.controls import generation_settings
from ui.session import RunningStreams

MAX_OWN_STOPS = 4
# The browser keeps an answer under way so often: a page may be left, or the server, at any time.
KEEP_EVERY_S = 2.0


class Wishes(NamedTuple):
    """How the visitor wants to be answered, besides `Controls`, in the order handlers get it.

    Attributes:
        persona: text read before the first turn.
        thinking: "", "fast" or "think".
        stop: texts that end the answer, one a line.
        pair_seed: the seed of two columns side by side; -1 for a seed of its own.
    """

    persona: str = ""
    thinking: str = ""
    stop: str = ""
    pair_seed: int = -1


@dataclass(frozen=True)
class Answering:
    """One answer under way.

    Attributes:
        asked: all chats; the tip of the open one is being answered.
        ask: what was asked for.
        mode: of thinking.
        prompt: ids the model had read when it began.
        live: ids after the prompt that it goes on with.
        new_tokens: how many of both it has never read.
        settings: how words are chosen.
    """

    asked: Chats
    ask: Ask
    mode: str
    prompt: tuple[int, ...]
    live: tuple[int, ...]
    new_tokens: int
    settings: GenerationSettings

    @property
    def turn(self) -> Turn:
        """The exchange as it was when the writing began."""
        tree = self.asked.current.tree
        assert tree.tip is not None
        return tree.nodes[tree.tip].turn

    def with_turn(self, turn: Turn) -> Chats:
        """The chats with the exchange as it is now."""
        tree = self.asked.current.tree
        assert tree.tip is not None
        return self.asked.with_tree(tree.with_turn(tree.tip, turn))

    def written(
        self, engine: Engine, template: ChatTemplate, text: str, ids: tuple[int, ...]
    ) -> Turn:
        """The exchange with these words, and their ids, written in it."""
        if not self.mode and not self.turn.live_ids:
            return answered(self.turn, self.turn, text, ids)
        whole = engine.tokenizer.decode(self.live) + text
        return thinking.answered(engine, template, self.turn, whole, self.live + ids)


async def answer(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    ask: Ask,
    *values: Any,
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
        values: in the order of `Wishes`, then of `Controls`.
    """
    kept = chats.numbered().with_tree(chats.current.tree.settled())
    count = len(Wishes._fields)
    try:
        job = begin(engine, template, kept, ask, Wishes(*values[:count]), values[count:])
        root = job.asked.current.conversation.root
        stream = engine.submit(
            visitor, job.prompt + job.live, job.settings, root=root, tells_change=True
        )
    except RwkvError as error:
        status = error_line(error, language)
        yield frame(engine, kept, box_for(language), status, language, back=ask.text.strip())
        return
    running.start(visitor, stream)
    try:
        async for shown in follow(engine, template, stream, job, language):
            yield shown
        # A newer message has taken over the page: leave it alone.
        if running.is_current(visitor, stream) and (result := stream.result) is not None:
            turn = job.written(engine, template, result.text, result.generated_ids)
            reread = max(0, result.tokens_read - job.new_tokens)
            if turn.live_ids:
                reread += await remember(engine, visitor, job.with_turn(turn))
            yield finished(engine, job, turn, result, reread, language)
    finally:
        running.end(visitor, stream)


def begin(
    engine: Engine,
    template: ChatTemplate,
    kept: Chats,
    ask: Ask,
    wishes: Wishes,
    controls: tuple[float, ...],
) -> Answering:
    """Prepare an answer.

    Raises:
        RwkvError: the message or a setting cannot be used.
    """
    tree, new_tokens = opened(engine, template, kept.current.tree, ask, wishes.persona)
    prompt, live = thinking.begun(engine, template, tree, ask, wishes.thinking)
    if new_tokens:
        new_tokens += len(live)
    has_thoughts = wishes.thinking or tree.conversation.turns[-1].live_ids
    ends = template.thinking_stop if has_thoughts else template.stop
    settings = generation_settings(controls, ends + own_stops(wishes.stop))
    if settings.sampling.seed is None and wishes.pair_seed >= 0:
        sampling = replace(settings.sampling, seed=wishes.pair_seed)
        settings = replace(settings, sampling=sampling)
    asked = kept.with_tree(tree)
    return Answering(asked, ask, wishes.thinking, prompt, live, new_tokens, settings)


def own_stops(text: str) -> tuple[str, ...]:
    r"""Read the visitor's own stop texts: one a line, with \n for a line end.

    Raises:
        SettingsError: there are too many.
    """
    lines = tuple(line.replace("\\n", "\n") for line in text.splitlines() if line)
    if len(lines) > MAX_OWN_STOPS:
        raise SettingsError(
            "{count} stop texts of your own given, the limit is {limit}; remove some",
            count=len(lines),
            limit=MAX_OWN_STOPS,
        )
    return lines


async def follow(
    engine: Engine, template: ChatTemplate, stream: Stream, job: Answering, language: str
) -> AsyncIterator[ChatFrame]:
    """Show the words of a stream as they come."""
    tokens: list[Token] = []
    box = box_for(language, is_busy=True)
    keeps = unanswered(job.asked, job.ask)
    marks: str | dict[str, Any] = marks_of(job.asked.current, language, keeps)
    is_drawn, kept_at = False, time.monotonic()
    async for batch in stream.batches():
        tokens += batch
        text = "".join(token.text for token in tokens)
        turn = job.written(engine, template, text, tuple(token.id for token in tokens))
        chats = job.with_turn(turn)
        talk = chats.current.conversation
        memory = memory_of(engine, talk, batch[-1].change if batch else (), language=language)
        # While it reads nothing new is said, and drawing a long message again is slow.
        has_news = bool(batch) or not is_drawn
        messages = messages_of(chats.current, language, is_writing=True) if has_news else SKIP
        status = progress_line(stream.status, language)
        if time.monotonic() - kept_at >= KEEP_EVERY_S:
            keeps = so_far(engine, chats, job.settings, job.mode)
            marks, kept_at = marks_of(chats.current, language, keeps), time.monotonic()
        yield ChatFrame(messages, chats, talk, box, status, memory, marks, SKIP, SKIP)
        box, marks, is_drawn = SKIP, SKIP, True


async def remember(engine: Engine, visitor: str, chats: Chats) -> int:
    """Read an exchange without its thoughts, as later turns do; returns how many tokens."""
    talk = chats.current.conversation
    # Where it cannot be done now, the next message does it, and says so.
    with suppress(RwkvError):
        stream = engine.read(visitor, talk.ids, root=talk.root)
        async for _ in stream.batches():
            pass
        if stream.result is not None:
            return stream.result.tokens_read
    return 0


def finished(
    engine: Engine, job: Answering, turn: Turn, result: StreamResult, reread: int, language: str
) -> ChatFrame:
    """Show the end of an answer; without a word the message goes back into its box."""
    sampling = replace(job.settings.sampling, seed=result.seed)
    made = Making(
        replace(job.settings, sampling=sampling),
        result.reason,
        len(result.generated_ids),
        reread,
        result.first_token_s,
        result.tokens_per_s,
        job.mode,
    )
    # A cut answer keeps the blank it may end with: it can go on.
    text = turn.answer if result.reason in CUT else turn.answer.rstrip()
    done = job.with_turn(replace(turn, answer=text, makings=(*job.turn.makings, made)))
    if not result.generated_ids and job.ask.kind != "continue":
        # An open tag alone is no answer.
        done = job.with_turn(replace(job.turn, live_ids=()))
    kept = done.with_tree(done.current.tree.settled())
    state_bytes = engine.model.config.state_bytes
    status = outcome(result, turn, reread, state_bytes, language)
    if result.error is not None:
        status = error_line(result.error, language)
    if kept.current.tree is not done.current.tree:
        return frame(engine, kept, box_for(language), status, language, back=job.ask.text)
    # The connection may break just after the last words.
    marks = marks_of(kept.current, language, written(engine, kept))
    return frame(engine, kept, box_for(language), status, language)._replace(marks=marks)
