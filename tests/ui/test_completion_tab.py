import asyncio
from dataclasses import replace

import pytest

from rwkv_core.errors import EngineBusyError
from tests.ui.fakes import FakeEngine, as_engine
from ui import completion_tab
from ui.completion_tab import CompletionFrame
from ui.controls import choose_preset
from ui.session import Draft, Drafts, RunningStreams


def run(
    engine: FakeEngine,
    text: str,
    drafts: Drafts | None = None,
    *,
    stop_after: int | None = None,
) -> list[CompletionFrame]:
    """Go on from a text and collect what the page shows; stop after that many frames."""
    running = RunningStreams()

    async def collect() -> list[CompletionFrame]:
        frames = []
        async for shown in completion_tab.complete(
            as_engine(engine), running, "me", text, drafts or Drafts(), *choose_preset("Balanced")
        ):
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def test_the_model_goes_on_in_the_same_box() -> None:
    engine = FakeEngine()
    frames = run(engine, "Look:")
    assert frames[0].stop["visible"]
    assert not frames[0].run["visible"]
    assert frames[1].box == {"__type__": "update", "value": "Look: Once", "interactive": False}
    assert frames[-1].box["value"] == "Look: Once there was a cat."
    assert frames[-1].box["interactive"]
    assert frames[-1].run["visible"]
    assert "c1" in str(frames[-1].chances)
    assert engine.streams[0].ids == (0, *engine.encode("Look:"))


def test_going_on_again_reads_nothing_twice() -> None:
    engine = FakeEngine()
    first = run(engine, "Look:")[-1].drafts
    again = run(engine, first.now.text + " And", first)[-1]
    assert engine.streams[1].ids == (*first.now.ids, *engine.encode(" And"))
    assert "re-read 0 tokens" in again.status


def test_words_stay_coloured_until_the_text_is_edited() -> None:
    engine = FakeEngine()
    first = run(engine, "Look:")[-1].drafts
    again = run(engine, first.now.text, first)[-1]
    assert len(again.drafts.now.written) == 2 * len(first.now.written) > 0
    edited = run(engine, first.now.text + " And", first)[-1]
    assert len(edited.drafts.now.written) == len(first.now.written)


def test_undo_brings_the_colours_of_the_text_it_shows() -> None:
    engine = FakeEngine()
    first = run(engine, "Look:")[-1].drafts
    second = run(engine, first.now.text, first)[-1].drafts
    back = completion_tab.undo(as_engine(engine), RunningStreams(), "me", second.now.text, second)
    assert "c1" in str(back.chances)
    begun = completion_tab.undo(
        as_engine(engine), RunningStreams(), "me", first.now.text, back.drafts
    )
    assert begun.chances == ""


def test_an_edited_text_is_read_anew() -> None:
    engine = FakeEngine()
    first = run(engine, "Look:")[-1].drafts
    run(engine, "Hear: " + first.now.text, first)
    assert engine.streams[1].ids == (0, *engine.encode("Hear: " + first.now.text))


@pytest.mark.parametrize("text", ["", "a\x00", "x" * 9999])
def test_bad_text_gets_a_sentence_and_stays(text: str) -> None:
    frames = run(FakeEngine(), text)
    assert len(frames) == 1
    assert 'role="alert"' in frames[0].status
    assert "value" not in frames[0].box
    assert frames[0].run["visible"]


def test_a_busy_engine_is_said_and_nothing_changes() -> None:
    engine, drafts = FakeEngine(), Drafts(Draft("a", (1,)))
    engine.refusal = EngineBusyError("no free place; wait a moment")
    frames = run(engine, "a", drafts)
    assert "No free place" in frames[0].status
    assert frames[0].drafts is drafts


def test_stopping_keeps_what_was_written() -> None:
    last = run(FakeEngine(), "Look:", stop_after=3)[-1]
    assert last.drafts.now.text == "Look: Once there"
    assert "Stopped." in last.status


def test_stopping_before_a_word_changes_nothing() -> None:
    drafts = Drafts()
    last = run(FakeEngine(), "Look:", drafts, stop_after=1)[-1]
    assert last.drafts is drafts
    assert last.box["value"] == "Look:"


def test_long_texts_are_redrawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion_tab, "LONG_TEXT", 10)
    engine = FakeEngine()
    run(engine, "short")
    run(engine, "a longer text")
    assert [stream.interval_s for stream in engine.streams] == [0.05, 0.5]


def test_undo_and_redo_walk_through_the_drafts() -> None:
    engine = FakeEngine()
    drafts = run(engine, "Look:")[-1].drafts
    back = completion_tab.undo(as_engine(engine), RunningStreams(), "me", drafts.now.text, drafts)
    assert back.box["value"] == "Look:"
    forth = completion_tab.redo(as_engine(engine), RunningStreams(), "me", "Look:", back.drafts)
    assert forth.box["value"] == "Look: Once there was a cat."
    assert forth.drafts == replace(drafts, future=())


def test_undo_at_the_beginning_leaves_the_text() -> None:
    frame = completion_tab.undo(as_engine(FakeEngine()), RunningStreams(), "me", "mine", Drafts())
    assert "value" not in frame.box
    assert "Nothing further" in frame.status
