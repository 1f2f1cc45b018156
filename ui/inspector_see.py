"""See: read a text or the chat, and look at what the memory did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.recording import CLOSE_LOOK, GLANCE, Recording, Wanted
from rwkv_core.sessions import Conversation
from rwkv_core.streams import StreamStatus, TraceJob
from ui.components import error_line, progress_line, status_line
from ui.inspector_cards import Updates
from ui.inspector_close import Choice
from ui.inspector_layout import (
    CHANGE,
    MY_TEXT,
    RESEARCHER,
    SURPRISE,
    THIS_CHAT,
    Panel,
    Source,
    lay_out,
)
from ui.inspector_render import Part, render, render_closer
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.studies import in_language

PROGRESS_INTERVAL_S = 0.2
# No text has as many words; a slider has an end of its own.
MAX_INDEX = 10**6


class Seen(NamedTuple):
    """What was read: ids and the memory they began from; the recording itself is the engine's."""

    ids: tuple[int, ...] = ()
    root: str = ""


class Reading:
    """A text being read, which remembers that the visitor ended it."""

    def __init__(self) -> None:
        self.job: TraceJob | None = None
        self.is_stopped = False

    def cancel(self) -> None:
        """End soon; without effect when it has ended."""
        self.is_stopped = True
        if self.job is not None:
            self.job.cancel()


def build_see(engine: Engine, visitor: gr.State, conversation: gr.State) -> None:
    """Lay out what one reading shows and wire it.

    Args:
        engine: reads the texts.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
    """
    running = RunningStreams()
    panel, starts = lay_out(engine.model.config, gr.State(Seen()))
    read: dict[str, Any] = {
        "fn": in_language(partial(inspect_text, engine, panel, running)),
        "inputs": [panel.source, panel.text, conversation, visitor],
        "outputs": panel.outputs(),
        **MODEL_EVENT,
    }
    chosen = [panel.seen, panel.depth, panel.layer, panel.head, panel.word, visitor]

    def closer(part: Part) -> dict[str, Any]:
        return {
            "fn": in_language(partial(look_closer, engine, panel, running, part)),
            "inputs": chosen,
            "outputs": panel.outputs(),
            "trigger_mode": "always_last",
            **MODEL_EVENT,
        }

    after = {
        **closer("memory"),
        "fn": in_language(partial(look_after_reading, engine, panel, running)),
        "inputs": [panel.is_read, *chosen],
    }
    panel.read.click(**read).success(**after)
    for button, text in starts:
        example = button.click(
            partial(tuple, (MY_TEXT, text)), None, [panel.source, panel.text], **QUIET_EVENT
        )
        example.success(**read).success(**after)
    panel.stop.click(running.stop, visitor, None, **QUIET_EVENT)
    panel.source.change(show_source, panel.source, panel.text, **QUIET_EVENT)
    panel.measure.change(show_strip, panel.measure, [panel.surprise, panel.change], **QUIET_EVENT)
    panel.depth.input(**closer("memory"))
    gr.on([panel.layer.input, panel.head.input], **closer("layer"))
    panel.word.input(**closer("word"))
    for strip in (panel.surprise, panel.change, panel.chosen):
        strip.select(pick_word, None, panel.word, **QUIET_EVENT).success(**closer("word"))


def show_source(source: Source) -> dict[str, Any]:
    """Show the text box only where its text is what will be read."""
    return gr.update(visible=source == MY_TEXT)


def show_strip(measure: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show one of the two coloured texts."""
    return gr.update(visible=measure == SURPRISE), gr.update(visible=measure == CHANGE)


def pick_word(event: gr.EventData) -> int:
    """Move the slider to the word that was pressed, counted from 1."""
    index = event.index
    return index + 1 if isinstance(index, int) and 0 <= index < MAX_INDEX else 1


def ids_to_read(engine: Engine, source: Source, text: str, conversation: Conversation) -> Seen:
    """Turn what the visitor chose into tokens, the end-of-text token first.

    Raises:
        InputError: nothing to read, or more tokens than are read at once.
    """
    root = ""
    if source == THIS_CHAT:
        if not conversation.turns:
            raise InputError(
                "the chat is still empty: say something in the Chat tab, then come back"
            )
        ids, root = conversation.ids, conversation.root
    else:
        if not text.strip():
            raise InputError(
                "there is nothing to read yet: type or paste a text, or choose an example"
            )
        # Training put this token before each document, so the first word has something before it.
        ids = (engine.tokenizer.end_of_text, *engine.encode(text))
    limit = engine.limits.max_trace_tokens
    if len(ids) > limit:
        raise InputError(
            "this is {count:,} tokens, and the inspector reads at most {limit:,} at once: "
            "put a part of it, about {percent} %, into the text box",
            count=len(ids),
            limit=limit,
            percent=100 * limit // len(ids),
        )
    return Seen(ids, root)


async def inspect_text(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    source: Source,
    text: str,
    conversation: Conversation,
    visitor: str,
) -> AsyncIterator[Updates]:
    """Read a text with progress, then show a first look at it.

    Args:
        engine: reads the text.
        panel: where things are shown.
        running: what each visitor is reading, for Stop.
        language: of the visitor.
        source: which text.
        text: the visitor's own text.
        conversation: the visitor's chat.
        visitor: the visitor's session id.

    Yields:
        Changes by component; what was shown before stays until the new views are made.
    """
    try:
        seen = ids_to_read(engine, source, text, conversation)
    except RwkvError as error:
        yield {panel.status: error_line(error, language), panel.is_read: False}
        return

    def show(recordings: list[Recording]) -> Updates:
        return {**render(language, engine, panel, recordings[0]), panel.seen: seen}

    looking = _look(engine, panel, running, language, visitor, seen, wanted=[GLANCE], show=show)
    async for updates in looking:
        yield {**updates, panel.is_read: panel.seen in updates}


async def look_after_reading(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    is_read: bool,
    *chosen: Any,
) -> AsyncIterator[Updates]:
    """Show the closer look at a new reading; the sentence of one that failed or ended stays.

    Args:
        engine: reads the text.
        panel: where things are shown.
        running: what each visitor is reading, for Stop.
        language: of the visitor.
        is_read: whether the reading before came to its end.
        chosen: as in `look_closer`.
    """
    if not is_read:
        yield {panel.stop: gr.skip()}
        return
    async for updates in look_closer(engine, panel, running, "memory", language, *chosen):
        yield updates


async def look_closer(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    part: Part,
    language: str,
    seen: Seen,
    depth: str,
    layer: float,
    head: float,
    word: float,
    visitor: str,
) -> AsyncIterator[Updates]:
    """Show layers, heads and single words of what was read; reads it again where needed.

    Args:
        engine: reads the text.
        panel: where things are shown.
        running: what each visitor is reading, for Stop.
        part: what to make anew.
        language: of the visitor.
        seen: what was read.
        depth: SIMPLE or RESEARCHER; the simple look shows nothing of this.
        layer: to look at, from 1.
        head: of that layer, from 1.
        word: token to follow, from 1.
        visitor: the visitor's session id.
    """
    if depth != RESEARCHER or not seen.ids:
        yield {panel.stop: gr.skip()}
        return
    config = engine.model.config
    choice = Choice(
        _within(layer, config.n_layer), _within(head, config.n_head), _within(word, len(seen.ids))
    )
    # A recording keeps as many layers as fit; any other is read for once it is asked for.
    only = Wanted(inputs_tokens=CLOSE_LOOK.inputs_tokens, layers=(choice.layer,))

    def show(recordings: list[Recording]) -> Updates:
        whole = replace(recordings[0], layers=recordings[-1].layers)
        return render_closer(language, engine, panel, whole, choice, part)

    def more(recording: Recording) -> list[Wanted]:
        return [] if choice.layer in recording.layers else [only]

    looking = _look(
        engine, panel, running, language, visitor, seen, wanted=[CLOSE_LOOK], more=more, show=show
    )
    async for updates in looking:
        yield updates


def _within(number: float, count: int) -> int:
    """Turn a number from 1 into an index that exists: anybody can send any number."""
    return min(max(1, int(number) if np.isfinite(number) else 1), count) - 1


async def _look(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    seen: Seen,
    *,
    wanted: list[Wanted],
    show: Any,
    more: Any = lambda _recording: [],
) -> AsyncIterator[Updates]:
    """Have recordings made, with progress and Stop, then show them."""
    reading, recordings, queue = Reading(), [], list(wanted)
    running.start(visitor, reading)
    try:
        while queue:
            job = engine.trace(visitor, seen.ids, queue.pop(0), root=seen.root)
            reading.job = job
            if not job.is_done:
                yield {panel.read: gr.update(visible=False), panel.stop: gr.update(visible=True)}
            async for status in job.progress(PROGRESS_INTERVAL_S):
                if status.phase != "done":
                    yield {panel.status: progress_line(status, language)}
            recordings.append(job.result())
            if len(recordings) == len(wanted):
                queue += more(recordings[0])
        shown = await asyncio.to_thread(show, recordings)
        ended = {**shown, panel.status: status_line()}
    except RwkvError as error:
        ended = {panel.status: error_line(error, language)}
        if reading.is_stopped and reading.job is not None:
            ended = {panel.status: stopped_line(reading.job.status, language)}
    finally:
        is_current = running.is_current(visitor, reading)
        running.end(visitor, reading)
    # A newer reading has taken over the status line and the buttons.
    if is_current:
        buttons = {panel.read: gr.update(visible=True), panel.stop: gr.update(visible=False)}
        yield {**ended, **buttons}


def stopped_line(status: StreamStatus, language: str) -> str:
    """Say how far a reading came before the visitor ended it."""
    read, whole = f"{status.tokens_read:,}", f"{status.tokens_to_read:,}"
    return status_line(speak(language, "inspector.stopped", read=read, whole=whole))
