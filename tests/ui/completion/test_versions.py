import asyncio

from rwkv_core.errors import EngineBusyError
from tests.ui.fakes import FakeEngine, as_engine
from ui.completion import versions
from ui.completion.frames import CompletionFrame
from ui.completion.values import Versions
from ui.controls import choose_preset
from ui.session import Drafts, RunningStreams


def run(
    engine: FakeEngine, text: str, *, seed: int = -1, stop_after: int | None = None
) -> list[CompletionFrame]:
    running, controls = RunningStreams(), choose_preset("Balanced")._replace(seed=seed)

    async def collect() -> list[CompletionFrame]:
        frames = []
        async for shown in versions.try_versions(
            as_engine(engine), running, "me", "en", text, Drafts(), *controls
        ):
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def found(frame: CompletionFrame) -> Versions:
    assert isinstance(frame.versions, Versions)
    return frame.versions


def test_the_text_is_read_once_and_four_versions_are_asked_for_together() -> None:
    engine = FakeEngine()
    last = run(engine, "Look:", seed=5)[-1]
    read, *written = engine.streams
    assert len(written) == 4
    assert {stream.ids for stream in engine.streams} == {(0, *engine.encode("Look:"))}
    assert [stream.tokens_reused for stream in written] == [len(read.ids)] * 4
    assert [stream.settings.sampling.seed for stream in written] == [5, 6, 7, 8]
    assert str(last.grid).count("data-version") == 4
    assert [item.text for item in found(last).items] == [" Once there was a cat."] * 4
    assert "after 1 word<" in str(last.memory)
    assert last.run["visible"]
    assert last.box["interactive"]
    assert "value" not in last.box


def test_a_chosen_version_goes_into_the_box_and_undo_brings_the_text_back() -> None:
    engine = FakeEngine()
    made = found(run(engine, "Look:")[-1])
    frame = versions.adopt(as_engine(engine), "en", "Look:", Drafts(), made, 2)
    assert frame.box["value"] == "Look: Once there was a cat."
    assert isinstance(frame.drafts, Drafts)
    assert frame.drafts.now.ids == (*made.base.ids, *made.items[2].ids)
    assert frame.drafts.undo(frame.drafts.now.text).now == made.base
    edited = versions.adopt(as_engine(engine), "en", "mine", Drafts(), made, 0)
    assert isinstance(edited.drafts, Drafts)
    assert edited.drafts.undo("").now.text == "mine"


def test_a_version_that_is_not_there_changes_nothing() -> None:
    for number in (0, -1, "0", None):
        frame = versions.adopt(as_engine(FakeEngine()), "en", "a", Drafts(), Versions(), number)
        assert frame.drafts == {"__type__": "update"}


def test_versions_that_are_empty_are_not_counted_and_none_is_no_stop() -> None:
    engine = FakeEngine()
    assert "one memory: 4." in run(engine, "Look:")[-1].status
    engine.words = ()
    last = run(engine, "Look:")[-1]
    assert found(last).items == ()
    assert "nothing to add" in last.status


def test_stopping_ends_all_of_them() -> None:
    engine = FakeEngine()
    last = run(engine, "Look:", stop_after=1)[-1]
    assert len(engine.streams) == 1
    assert found(last).items == ()
    assert "Stopped." in last.status
    last = run(engine, "Look:", stop_after=4)[-1]
    assert all(stream.cancelled for stream in engine.streams)
    assert last.run["visible"]


def test_a_busy_engine_is_said_and_the_box_can_be_written_in() -> None:
    engine = FakeEngine()
    engine.refusal = EngineBusyError("no free place; wait a moment")
    assert "No free place" in run(engine, "Look:")[-1].status
    assert 'role="alert"' in run(FakeEngine(), "")[-1].status


def test_versions_are_escaped() -> None:
    base = found(run(FakeEngine(), "<i>")[-1]).base
    page = versions.grid(base, ["<b>"], "en", is_done=True)
    assert "&lt;i&gt;" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
