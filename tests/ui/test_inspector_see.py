import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest

from rwkv_core.config import ModelConfig
from rwkv_core.engine import Engine
from rwkv_core.errors import EngineBusyError, InputError, RwkvError
from rwkv_core.limits import EngineLimits
from rwkv_core.recording import CLOSE_LOOK, Recording, Wanted
from rwkv_core.sessions import Conversation, Turn
from rwkv_core.streams import StreamStatus
from tests.ui.recordings import make_close_recording, make_recording
from ui import inspector_see
from ui.components import status_line
from ui.inspector_layout import MY_TEXT, RESEARCHER, SIMPLE, THIS_CHAT, Panel, Source, lay_out
from ui.inspector_render import Part
from ui.inspector_see import (
    Seen,
    ids_to_read,
    inspect_text,
    look_after_reading,
    look_closer,
    pick_word,
)
from ui.inspector_views import VIEW_NAMES
from ui.session import RunningStreams

CONFIG = ModelConfig("7", 50, 3, 8, 32, 2, 4)
CHAT = Conversation((0,), (Turn("hi", (5, 6), "hello", (7, 8)),))


class FakeJob:
    """A trace that reads in steps of ten tokens."""

    def __init__(
        self, tokens: int, wanted: Wanted, *, is_broken: bool = False, is_done: bool = False
    ) -> None:
        self.tokens, self.wanted, self.is_broken = tokens, wanted, is_broken
        self.is_cancelled, self.is_done = False, is_done

    async def progress(self, interval_s: float) -> AsyncIterator[StreamStatus]:
        yield StreamStatus("waiting", 2, 0, self.tokens)
        for read in range(0, self.tokens, 10):
            if self.is_cancelled:
                raise RwkvError("the reading was ended: cancelled")
            self.status = StreamStatus("reading", 0, read, self.tokens)
            yield self.status
            if self.is_broken:
                raise RwkvError("the model gave NaN")

    def result(self) -> Recording:
        if not self.wanted.inputs_tokens:
            return make_recording(self.tokens)
        return make_close_recording(self.tokens, self.wanted.layers or (0, 2))

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeEngine:
    """One token per character; remembers what it was asked to read."""

    limits = EngineLimits()

    def __init__(self, *, is_busy: bool = False, is_broken: bool = False) -> None:
        self.is_busy, self.is_broken = is_busy, is_broken
        self.asked: list[tuple[str, tuple[int, ...]]] = []
        self.wanted: list[Wanted] = []
        self.jobs: list[FakeJob] = []
        self.roots: list[str] = []
        self.tokenizer = SimpleNamespace(end_of_text=0, token_bytes=lambda i: b"<i>" if i else b"")
        self.model = SimpleNamespace(config=CONFIG)

    def encode(self, text: str) -> list[int]:
        return [1 + ord(letter) % 49 for letter in text]

    def trace(
        self, session_id: str, ids: Sequence[int], wanted: Wanted, *, root: str = ""
    ) -> FakeJob:
        if self.is_busy:
            raise EngineBusyError("24 texts wait to be inspected; try again in a minute")
        self.asked.append((session_id, tuple(ids)))
        self.wanted.append(wanted)
        self.roots.append(root)
        self.jobs.append(FakeJob(len(ids), wanted, is_broken=self.is_broken))
        return self.jobs[-1]


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """Laid out once: no handler changes a component."""
    with gr.Blocks():
        panel, _ = lay_out(CONFIG, gr.State(Seen()))
    panel.text.GRADIO_CACHE = str(tmp_path_factory.mktemp("cache"))
    return panel


def run(
    engine: FakeEngine,
    panel: Panel,
    text: str = "",
    *,
    source: Source = MY_TEXT,
    conversation: Conversation = CHAT,
    stop_after: int | None = None,
) -> list[dict[Any, Any]]:
    running = RunningStreams()

    async def collect() -> list[dict[Any, Any]]:
        seen = []
        async for updates in inspect_text(
            cast(Engine, engine), panel, running, "en", source, text, conversation, "me"
        ):
            seen.append(updates)
            if len(seen) == stop_after:
                running.stop("me")
        return seen

    return asyncio.run(collect())


def test_a_text_is_read_after_the_end_of_text_token(panel: Panel) -> None:
    engine = FakeEngine()
    run(engine, panel, "abc")
    assert engine.asked == [("me", (0, *engine.encode("abc")))]


def test_the_chat_is_read_as_its_own_ids(panel: Panel) -> None:
    engine = FakeEngine()
    run(engine, panel, "ignored", source=THIS_CHAT)
    assert engine.asked == [("me", (0, 5, 6, 7, 8))]


def test_a_chat_from_a_held_memory_is_read_from_there(panel: Panel) -> None:
    engine = FakeEngine()
    run(engine, panel, source=THIS_CHAT, conversation=replace(CHAT, root="edited"))
    assert engine.roots == ["edited"]


def test_progress_is_shown_and_the_results_follow(panel: Panel) -> None:
    seen = run(FakeEngine(), panel, "a" * 24)
    said = [updates[panel.status] for updates in seen if panel.status in updates]
    assert "number 2 in line" in said[0]
    assert "20 of 25 tokens" in said[-2]
    assert said[-1] == status_line()
    shown = next(updates for updates in seen if panel.findings in updates)
    assert shown[panel.empty]["visible"] is False
    assert "25 tokens read" in shown[panel.findings]
    for name in VIEW_NAMES:
        card = panel.cards[name]
        assert shown[card.plot]["value"].type == "plotly"
        assert '"displayModeBar": false' in shown[card.plot]["value"].plot
        assert shown[card.words].count("<li>") == 3
        assert Path(shown[card.numbers]["value"]).read_text().count("\n") > 1
        assert json.loads(Path(shown[card.figure]["value"]).read_text())["data"]
    assert shown[panel.seen] == Seen((0, *FakeEngine().encode("a" * 24)))
    assert shown[panel.word]["maximum"] == 25
    expected = int(np.nanargmax(make_recording(25).surprise_bits[:-1]))
    assert shown[panel.word]["value"] == expected + 1


def test_buttons_change_places_while_it_reads(panel: Panel) -> None:
    seen = run(FakeEngine(), panel, "abc")
    places = [
        (updates[panel.read]["visible"], updates[panel.stop]["visible"])
        for updates in seen
        if panel.read in updates
    ]
    assert places == [(False, True), (True, False)]


def test_words_of_the_text_are_escaped(panel: Panel) -> None:
    seen = run(FakeEngine(), panel, "abcdef")
    shown = next(updates for updates in seen if panel.findings in updates)
    for html in (shown[panel.findings], shown[panel.surprise], shown[panel.change]):
        assert "<i>" not in html
        assert "&lt;i&gt;" in html


def test_number_files_lie_in_a_folder_nobody_can_guess(panel: Panel) -> None:
    paths = []
    for _ in range(2):
        shown = next(u for u in run(FakeEngine(), panel, "abc") if panel.findings in u)
        paths.append(Path(shown[panel.cards["size"].numbers]["value"]))
    assert paths[0].name == paths[1].name == "size.csv"
    assert paths[0].parent != paths[1].parent
    assert re.fullmatch(r"[0-9a-f]{32}", paths[0].parent.name)


def test_stop_ends_the_reading_and_leaves_what_was_shown(panel: Panel) -> None:
    engine = FakeEngine()
    seen = run(engine, panel, "a" * 100, stop_after=4)
    assert "Stopped after 10 of 101 tokens." in seen[-1][panel.status]
    assert seen[-1][panel.read]["visible"] is True
    assert not any(panel.findings in updates or panel.empty in updates for updates in seen)


def test_a_broken_reading_says_why(panel: Panel) -> None:
    seen = run(FakeEngine(is_broken=True), panel, "abc")
    assert "The model gave NaN." in seen[-1][panel.status]
    assert seen[-1][panel.read]["visible"] is True


def test_a_newer_reading_keeps_the_status_line_and_the_buttons(panel: Panel) -> None:
    engine, running = FakeEngine(), RunningStreams()

    async def overtake() -> list[dict[Any, Any]]:
        first = inspect_text(
            cast(Engine, engine), panel, running, "en", MY_TEXT, "a" * 50, CHAT, "me"
        )
        for _ in range(3):
            await anext(first)
        second = inspect_text(cast(Engine, engine), panel, running, "en", MY_TEXT, "b", CHAT, "me")
        await anext(second)
        rest = [updates async for updates in first]
        await second.aclose()  # type: ignore[attr-defined]  # the handler is an async generator
        return rest

    assert asyncio.run(overtake()) == []
    assert all(job.is_cancelled for job in engine.jobs)


def test_a_finished_job_is_let_go(panel: Panel) -> None:
    engine = FakeEngine()
    run(engine, panel, "abc")
    assert engine.jobs[0].is_cancelled


@pytest.mark.parametrize(
    ("source", "text", "conversation", "expected"),
    [
        (MY_TEXT, "", CHAT, "nothing to read yet"),
        (MY_TEXT, " \n ", CHAT, "nothing to read yet"),
        (MY_TEXT, "a" * 5000, CHAT, r"5,001 tokens.*at most 4,096.*about 81 %"),
        (THIS_CHAT, "abc", Conversation((0,)), "chat is still empty.*Chat tab"),
        (THIS_CHAT, "", Conversation((0,) * 4097, CHAT.turns), r"4,101 tokens.*at most 4,096"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence_and_nothing_is_lost(
    panel: Panel, source: Source, text: str, conversation: Conversation, expected: str
) -> None:
    seen = run(FakeEngine(), panel, text, source=source, conversation=conversation)
    assert [set(updates) for updates in seen] == [{panel.status, panel.is_read}]
    assert re.search(expected, seen[0][panel.status])


def test_exactly_the_limit_is_read() -> None:
    engine = cast(Engine, FakeEngine())
    seen = ids_to_read(engine, MY_TEXT, "a" * (EngineLimits.max_trace_tokens - 1), CHAT)
    assert len(seen.ids) == EngineLimits.max_trace_tokens
    with pytest.raises(InputError):
        ids_to_read(engine, MY_TEXT, "a" * EngineLimits.max_trace_tokens, CHAT)


def test_a_busy_engine_says_so_in_the_tab(panel: Panel) -> None:
    seen = run(FakeEngine(is_busy=True), panel, "abc")
    assert "24 texts wait" in seen[0][panel.status]


def test_every_update_goes_to_a_declared_output(panel: Panel) -> None:
    for updates in run(FakeEngine(), panel, "abc"):
        assert set(updates) <= panel.outputs()


def test_the_view_is_built_with_private_unbounded_reading_events() -> None:
    with gr.Blocks() as page:
        visitor, conversation = gr.State(""), gr.State(Conversation())
        inspector_see.build_see(cast(Engine, FakeEngine()), visitor, conversation)
    events = list(page.fns.values())
    assert events
    assert {event.api_visibility for event in events} == {"private"}
    reading = [event for event in events if event.queue]
    assert {event.concurrency_limit for event in reading} == {None}


def look(
    engine: FakeEngine,
    panel: Panel,
    part: Part = "memory",
    *,
    depth: str = RESEARCHER,
    seen: Seen = Seen((0, *range(1, 25))),  # noqa: B008 (a value)
    at: tuple[float, float, float] = (1, 2, 9),
) -> list[dict[Any, Any]]:
    async def collect() -> list[dict[Any, Any]]:
        running = RunningStreams()
        closer = look_closer(
            cast(Engine, engine), panel, running, part, "en", seen, depth, *at, visitor="me"
        )
        return [updates async for updates in closer]

    return asyncio.run(collect())


def filled(panel: Panel, updates: dict[Any, Any]) -> set[str]:
    return {name for name, card in panel.cards.items() if card.words in updates}


def test_the_simple_look_reads_nothing_more(panel: Panel) -> None:
    engine = FakeEngine()
    look(engine, panel, depth=SIMPLE)
    look(engine, panel, seen=Seen())
    assert engine.asked == []


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("word", {"life", "reading", "lens"}),
        ("layer", {"life", "reading", "lens", "cell", "spectrum", "path"}),
    ],
)
def test_a_choice_fills_only_the_cards_that_it_changes(
    panel: Panel, part: Part, names: set[str]
) -> None:
    engine = FakeEngine()
    shown = look(engine, panel, part)[-1]
    assert filled(panel, shown) == names
    assert engine.wanted == [CLOSE_LOOK]
    assert "Token 9 of 25" in shown[panel.chosen]
    assert set(shown) <= panel.outputs()


def test_a_closer_look_fills_every_card_but_those_of_the_first_look(panel: Panel) -> None:
    shown = look(FakeEngine(), panel)[-1]
    assert filled(panel, shown) == set(panel.cards) - set(VIEW_NAMES)


def test_only_a_reading_that_came_to_its_end_is_looked_at_closer(panel: Panel) -> None:
    assert run(FakeEngine(), panel, "abc")[-1][panel.is_read] is True
    failed = [
        run(FakeEngine(), panel, ""),
        run(FakeEngine(), panel, "a" * 100, stop_after=4),
        run(FakeEngine(is_busy=True), panel, "abc"),
        run(FakeEngine(is_broken=True), panel, "abc"),
    ]
    assert [seen[-1][panel.is_read] for seen in failed] == [False] * 4


@pytest.mark.parametrize(("is_read", "count"), [(True, 1), (False, 0)])
def test_what_failed_is_not_read_again(panel: Panel, is_read: bool, count: int) -> None:
    engine = FakeEngine()
    chosen = (Seen((0, 1, 2)), RESEARCHER, 1, 1, 1, "me")
    after = look_after_reading(
        cast(Engine, engine), panel, RunningStreams(), "en", is_read, *chosen
    )

    async def collect() -> list[dict[Any, Any]]:
        return [updates async for updates in after]

    shown = asyncio.run(collect())
    assert len(engine.asked) == count
    assert any(panel.status in updates for updates in shown) == is_read


def test_every_reading_says_whether_it_came_to_its_end() -> None:
    with gr.Blocks() as page:
        inspector_see.build_see(cast(Engine, FakeEngine()), gr.State(""), gr.State(Conversation()))
    readings = {event._id for event in page.fns.values() if len(event.inputs) == 4}
    closer = [event for event in page.fns.values() if event.trigger_after in readings]
    assert len(closer) == len(readings) > 1
    assert {type(event.inputs[0]) for event in closer} == {gr.State}
    assert {event.inputs[0].value for event in closer} == {False}


def test_a_layer_that_did_not_fit_is_read_for_on_its_own(panel: Panel) -> None:
    engine = FakeEngine()
    look(engine, panel, at=(2, 1, 9))
    assert [wanted.layers for wanted in engine.wanted] == [None, (1,)]


@pytest.mark.parametrize("at", [(0, 0, 0), (-5, 99, 1e9), (np.nan, np.inf, -np.inf), (1.5, 1, 2)])
def test_numbers_that_anybody_can_send_stay_within_the_model(
    panel: Panel, at: tuple[float, float, float]
) -> None:
    shown = look(FakeEngine(), panel, at=at)[-1]
    assert panel.chosen in shown


def test_a_pressed_word_moves_the_slider_and_nonsense_does_not() -> None:
    def press(data: object) -> int:
        return pick_word(gr.EventData(None, {"index": data}))

    assert press(7) == 8
    assert [press(bad) for bad in (-1, "x", None, 10**9, 1.5)] == [1] * 5
