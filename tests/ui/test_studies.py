import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.inspection.lab import Lab, Progress, Steps
from rwkv_core.streams import StreamStatus
from tests.ui.study_engine import collect, tiny_engine
from ui.components import status_line
from ui.session import RunningStreams
from ui.studies import Controls, in_language, run_study, working_line

FOUND = "found"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with tiny_engine(tmp_path) as made:
        yield made


@pytest.fixture
def controls() -> Controls:
    with gr.Blocks():
        return Controls(gr.Button("Go"), gr.Button("Stop"), gr.HTML())


def begin(engine: Engine, steps: Callable[[Lab], Steps[str]]) -> Callable[[], Any]:
    return lambda: engine.study("me", steps, 3)


def show(found: str, is_end: bool) -> dict[Any, Any]:
    return {FOUND: (found, is_end)}


def three(_lab: Lab) -> Steps[str]:
    for number in range(3):
        yield Progress(number + 1, f"step {number + 1}")
    return "all"


def test_progress_partial_results_and_the_end_are_shown(engine: Engine, controls: Controls) -> None:
    seen = collect(run_study("en", controls, RunningStreams(), "me", begin(engine, three), show))
    assert seen[0] == {
        controls.go: gr.update(visible=False), controls.stop: gr.update(visible=True)
    }  # fmt: skip
    assert seen[-1][FOUND] == ("all", True)
    assert seen[-1][controls.go] == gr.update(visible=True)
    assert seen[-1][controls.status] == status_line()


@pytest.mark.parametrize(("has_more", "shown"), [(True, ("half", True)), (False, None)])
def test_stop_keeps_what_was_found(
    engine: Engine, controls: Controls, has_more: bool, shown: tuple[str, bool] | None
) -> None:
    running, reached = RunningStreams(), threading.Event()

    def endless(_lab: Lab) -> Steps[str]:
        yield Progress(1, "half" if has_more else None)
        while True:
            reached.set()
            yield Progress(1)

    async def run() -> list[dict[Any, Any]]:
        seen = []
        async for update in run_study("en", controls, running, "me", begin(engine, endless), show):
            seen.append(update)
            if reached.is_set():
                running.stop("me")
        return seen

    seen = asyncio.run(run())
    assert seen[-1].get(FOUND) == shown
    assert "Stopped." in seen[-1][controls.status]
    assert seen[-1][controls.go] == gr.update(visible=True)


def test_a_failure_is_a_sentence_and_the_button_comes_back(
    engine: Engine, controls: Controls
) -> None:
    def failing(_lab: Lab) -> Steps[str]:
        yield Progress(1)
        raise RwkvError("the memory tore")

    seen = collect(run_study("en", controls, RunningStreams(), "me", begin(engine, failing), show))
    assert "The memory tore." in seen[-1][controls.status]
    assert seen[-1][controls.go] == gr.update(visible=True)


def test_what_cannot_begin_changes_the_status_line_only(controls: Controls) -> None:
    def refuse() -> Any:
        raise InputError("there is nothing to read")

    seen = collect(run_study("en", controls, RunningStreams(), "me", refuse, show))
    assert [set(update) for update in seen] == [{controls.status}]


def test_a_newer_experiment_of_the_same_visitor_ends_the_older_silently(
    engine: Engine, controls: Controls
) -> None:
    running = RunningStreams()

    def endless(_lab: Lab) -> Steps[str]:
        while True:
            yield Progress(1)

    async def overtake() -> list[dict[Any, Any]]:
        first = run_study("en", controls, running, "me", begin(engine, endless), show)
        await anext(first)
        await anext(first)
        second = run_study("en", controls, running, "me", begin(engine, three), show)
        newer = [update async for update in second]
        assert newer[-1][FOUND] == ("all", True)
        return [update async for update in first]

    assert all(set(update) == {controls.status} for update in asyncio.run(overtake()))


def test_the_line_tells_share_and_time_left() -> None:
    status = StreamStatus("reading", 0, 25, 100)
    assert "Working: 25 %. About 30 s left." in working_line("en", status, 10.0)
    assert "left" not in working_line("en", status, 0.5)
    assert "number 2 in line" in working_line("en", StreamStatus("waiting", 2, 0, 9), 1.0)
    assert "进行中" in working_line("zh", status, 10.0)


def test_a_handler_gets_the_language_of_the_browser_first() -> None:
    async def handler(*values: Any) -> Any:
        yield {FOUND: values}

    request = SimpleNamespace(headers={"accept-language": "ja,en;q=0.5"})
    speaking = in_language(handler)
    assert collect(speaking(cast(gr.Request, request), 1, 2)) == [{FOUND: ("ja", 1, 2)}]
