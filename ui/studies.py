"""Experiments on the page: begin one, follow it, stop it, and show what it has found so far."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Generic, TypeVar

import gradio as gr

from presets.words import speak
from rwkv_core.errors import RwkvError
from rwkv_core.streams import StreamStatus, WorkJob
from ui.components import error_line, status_line
from ui.session import RunningStreams
from ui.words import language_of

T = TypeVar("T")
Updates = dict[Any, Any]
Handler = Callable[..., AsyncIterator[Updates]]

INTERVAL_S = 0.2
# Guesses of the time left are wild at first.
ETA_AFTER_S = 1.5


@dataclass(frozen=True, eq=False)
class Controls:
    """What every experiment has: a button that begins it, one that ends it, and a status line."""

    go: gr.Button
    stop: gr.Button
    status: gr.HTML


class Started(Generic[T]):
    """A job under way, which remembers that the visitor ended it."""

    def __init__(self, job: WorkJob[T]) -> None:
        self.job = job
        self.is_stopped = False

    def cancel(self) -> None:
        """End soon; without effect when it has ended."""
        self.is_stopped = True
        self.job.cancel()


def in_language(handler: Handler) -> Handler:
    """Give a handler the language of the visitor's browser before the values of its inputs."""

    async def speaking(request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        async for updates in handler(language_of(request), *values):
            yield updates

    return speaking


async def run_study(
    language: str,
    controls: Controls,
    running: RunningStreams,
    visitor: str,
    begin: Callable[[], WorkJob[T]],
    show: Callable[[T, bool], Updates],
) -> AsyncIterator[Updates]:
    """Run one experiment: progress, what is known so far, the end; a newer one takes its place.

    Args:
        language: of the status line.
        controls: buttons and status line.
        running: what each visitor runs, for Stop.
        visitor: session id.
        begin: checks the inputs and starts the job; its RwkvError becomes the status line.
        show: turns what was found into changes of the page; also told whether it is the end.

    Yields:
        Changes by component; what was shown before stays until there is something new.
    """
    try:
        started = Started(begin())
    except RwkvError as error:
        yield {controls.status: error_line(error, language)}
        return
    running.start(visitor, started)
    job, shown, begun = started.job, None, time.monotonic()
    try:
        yield {controls.go: gr.update(visible=False), controls.stop: gr.update(visible=True)}
        async for status in job.progress(INTERVAL_S):
            if not running.is_current(visitor, started):
                break
            news = {controls.status: working_line(language, status, time.monotonic() - begun)}
            if (so_far := job.so_far) is not None and so_far is not shown:
                shown = so_far
                news |= show(so_far, False)
            yield news
        ended = {**show(job.result(), True), controls.status: status_line()}
    except RwkvError as error:
        ended = {controls.status: error_line(error, language)}
        if started.is_stopped:
            known = job.so_far
            ended = {**(show(known, True) if known is not None else {})}
            ended[controls.status] = status_line(speak(language, "study.stopped"))
    finally:
        is_current = running.is_current(visitor, started)
        running.end(visitor, started)
    if is_current:
        buttons = {controls.go: gr.update(visible=True), controls.stop: gr.update(visible=False)}
        yield {**ended, **buttons}


def working_line(language: str, status: StreamStatus, elapsed_s: float) -> str:
    """Say how far an experiment has come and how long it still takes, with a bar."""
    if status.phase == "waiting":
        return status_line(speak(language, "study.waiting", place=max(1, status.queue_position)))
    total = max(status.tokens_to_read, 1)
    share = min(1.0, status.tokens_read / total)
    said = speak(language, "study.working", done=f"{100 * share:.0f}")
    if elapsed_s > ETA_AFTER_S and 0 < share < 1:
        left = elapsed_s * (1 - share) / share
        said += " " + speak(language, "study.left", seconds=f"{max(1, round(left)):,}")
    return (
        f'<p class="status">{escape(said)}</p>'
        f'<progress class="study-progress" value="{share:.3f}" aria-label="{escape(said)}">'
        "</progress>"
    )
