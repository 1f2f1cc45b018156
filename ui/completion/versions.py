"""Several ways a text could go on, written side by side in one batch; one of them is adopted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.generate import GenerationSettings, Token
from rwkv_core.streams import Stream
from ui.completion.frames import CompletionFrame, busy, fact, idle, memory_of, nothing_new, shown
from ui.completion.strip import SHOWN_ALTERNATIVES
from ui.completion.values import Version, Versions
from ui.completion.writing import KEEP_EVERY, draft_of
from ui.components import error_line, progress_line
from ui.controls import generation_settings
from ui.session import Draft, Drafts, RunningStreams

COUNT = 4
# Long enough to choose by, short enough to take in at a glance.
VERSION_TOKENS = 60
REDRAW_S = 0.1


class Together:
    """Streams that one visitor listens to as one.

    Attributes:
        streams: what runs.
        written: the tokens of each so far.
        is_stopped: whether the visitor has ended them.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.written: list[list[Token]] = []
        self.is_stopped = False

    def cancel(self) -> None:
        """Ask all of them to end, also those still to come."""
        self.is_stopped = True
        for stream in self.streams:
            stream.cancel()


async def try_versions(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
    *controls: float,
) -> AsyncIterator[CompletionFrame]:
    """Write four versions of what comes next; the text in the box stays.

    Args:
        engine: writes them in one batch.
        running: knows what each visitor listens to.
        visitor: session id.
        language: the visitor's.
        text: what stands in the box.
        drafts: the text as the model left it.
        controls: numbers in the order of `Controls`.
    """
    group = Together()
    try:
        base = draft_of(engine, drafts, text)
        settings = generation_settings(controls)
        # Read once for all; the engine then finds the memory for each.
        if base.ids:
            group.streams.append(engine.read(visitor, base.ids, root=base.root))
    except RwkvError as error:
        yield idle({}, error_line(error, language))
        return
    running.start(visitor, group)
    box = gr.update(interactive=False)
    try:
        for stream in list(group.streams):
            async for _ in stream.batches():
                yield busy({"box": box}, progress_line(stream.status, language))
            if stream.result is not None and stream.result.error is not None:
                raise stream.result.error
        if not group.is_stopped:
            submit_all(engine, visitor, base, settings, group)
        async for frame in follow_all(group, base, language):
            yield frame
        if running.is_current(visitor, group):
            yield finished(engine, group, base, language)
    except RwkvError as error:
        yield idle({"box": gr.update(interactive=True)}, error_line(error, language))
    finally:
        running.end(visitor, group)


def submit_all(
    engine: Engine, visitor: str, base: Draft, settings: GenerationSettings, group: Together
) -> None:
    """Ask for all versions at once; seeds count up from a fixed one.

    Raises:
        EngineBusyError: there is no room for all of them.
    """
    group.streams.clear()
    length = min(settings.max_tokens, VERSION_TOKENS)
    for number in range(COUNT):
        seed = settings.sampling.seed
        sampling = replace(settings.sampling, seed=None if seed is None else seed + number)
        stream = engine.submit(
            visitor,
            base.ids,
            replace(settings, sampling=sampling, max_tokens=length),
            alternatives=SHOWN_ALTERNATIVES,
            root=base.root,
            keep_every=KEEP_EVERY,
        )
        group.streams.append(stream)


async def follow_all(group: Together, base: Draft, language: str) -> AsyncIterator[CompletionFrame]:
    """Show all versions as they grow, ten times a second."""
    written: list[list[Token]] = [[] for _ in group.streams]
    group.written = written

    async def collect(stream: Stream, into: list[Token]) -> None:
        async for batch in stream.batches():
            into += batch

    tasks = [
        asyncio.create_task(collect(stream, into))
        for stream, into in zip(group.streams, written, strict=True)
    ]
    try:
        pending = set(tasks)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=REDRAW_S)
            texts = ["".join(token.text for token in tokens) for tokens in written]
            parts: dict[str, Any] = {
                "box": gr.update(interactive=False),
                "grid": grid(base, texts, language, is_done=False),
                "words": "",
            }
            yield busy(parts, fact(language, "completion.versions_writing"))
    finally:
        for task in tasks:
            task.cancel()


def finished(engine: Engine, group: Together, base: Draft, language: str) -> CompletionFrame:
    """Show the versions at rest, each with a button that adopts it, and the memory before them."""
    items = tuple(
        Version(result.text, result.generated_ids, tuple(tokens), result.seed)
        for stream, tokens in zip(group.streams, group.written, strict=True)
        if (result := stream.result) is not None and result.generated_ids
    )
    texts = [item.text for item in items]
    parts: dict[str, Any] = {
        "box": gr.update(interactive=True),
        "grid": grid(base, texts, language, is_done=True),
        "versions": Versions(base, items),
    }
    if items:
        parts["memory"] = memory_of(engine, base, language)
        return idle(parts, fact(language, "completion.versions_done", count=len(items)))
    said = "chat.stopped" if group.is_stopped else "chat.nothing_to_add"
    return idle(parts, fact(language, said))


def grid(base: Draft, texts: Sequence[str], language: str, *, is_done: bool) -> str:
    """Draw versions side by side, each after the last words of the text.

    Args:
        base: the text they go on from.
        texts: what each has written.
        language: the visitor's.
        is_done: whether they can be adopted.
    """
    tail = base.text[-40:].rsplit("\n", 1)[-1]
    before = f"…{tail}" if len(base.text) > len(tail) else tail
    cards = []
    for number, text in enumerate(texts):
        label = escape(speak(language, "completion.adopt"))
        which = escape(speak(language, "completion.version", number=number + 1))
        button = (
            f'<button type="button" data-version="{number}" aria-label="{label}: {which}">'
            f"{label}</button>"
        )
        cards.append(
            f'<article aria-label="{which}"><p><span class="before">{escape(before)}</span>'
            f"{escape(text)}</p>{button if is_done else ''}</article>"
        )
    return f'<div class="versions">{"".join(cards)}</div>' if cards else ""


def adopt(
    engine: Engine, language: str, text: str, drafts: Drafts, versions: Versions, number: object
) -> CompletionFrame:
    """Take one version into the box; undo brings back what stood there.

    Args:
        engine: tells the memory's size.
        language: the visitor's.
        text: what stands in the box.
        drafts: what it was before.
        versions: all that were written.
        number: which of them, from 0.
    """
    if not isinstance(number, int) or not 0 <= number < len(versions.items):
        return nothing_new()
    chosen, base = versions.items[number], versions.base
    after = base.extended(chosen.text, chosen.ids, chosen.tokens)
    before = base if text == base.text else drafts.as_draft(text)
    status = fact(language, "completion.adopted", seed=chosen.seed)
    return shown(engine, drafts.continued(before, after), status, language)
