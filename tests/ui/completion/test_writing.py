import asyncio

import pytest

from rwkv_core.errors import EngineBusyError
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui.completion import writing
from ui.completion.frames import CompletionFrame
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
        async for shown in writing.complete(
            as_engine(engine), running, "me", "en", text, drafts or Drafts(),
            *choose_preset("Balanced"),
        ):  # fmt: skip
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def drafts_after(engine: FakeEngine, text: str, drafts: Drafts | None = None) -> Drafts:
    found = run(engine, text, drafts)[-1].drafts
    assert isinstance(found, Drafts)
    return found


def test_the_model_goes_on_in_the_same_box() -> None:
    engine = FakeEngine()
    frames = run(engine, "Look:")
    assert frames[0].stop["visible"]
    assert not frames[0].run["visible"]
    assert frames[1].box == {"__type__": "update", "value": "Look: Once", "interactive": False}
    assert frames[-1].box["value"] == "Look: Once there was a cat."
    assert frames[-1].box["interactive"]
    assert frames[-1].run["visible"]
    assert "data-choices" in str(frames[-1].words)
    assert engine.streams[0].ids == (0, *engine.encode("Look:"))
    assert "26 characters · 11 tokens · all read" not in str(frames[-1].counted)
    assert "27 characters · 11 tokens · all read" in str(frames[-1].counted)


def test_going_on_again_reads_nothing_twice() -> None:
    engine = FakeEngine()
    first = drafts_after(engine, "Look:")
    again = run(engine, first.now.text + " And", first)[-1]
    assert engine.streams[1].ids == (*first.now.ids, *engine.encode(" And"))
    assert "re-read 0 tokens" in again.status


def test_what_an_edit_makes_the_model_read_again_is_said() -> None:
    engine = FakeEngine()
    first = drafts_after(engine, "Look:")
    edited = run(engine, "Look! Once", first)[-1]
    assert engine.streams[1].ids == (0, *engine.encode("Look! Once"))
    # The fake keeps no memory in the middle: of "Look" all five tokens are read again.
    assert "re-read 5 tokens" in edited.status


def test_words_stay_coloured_until_the_text_is_edited() -> None:
    engine = FakeEngine()
    first = drafts_after(engine, "Look:")
    again = drafts_after(engine, first.now.text, first)
    assert len(again.now.written) == 2 * len(first.now.written) > 0
    edited = drafts_after(engine, first.now.text + " And", first)
    assert len(edited.now.written) == len(first.now.written)


@pytest.mark.parametrize("text", ["", "a\x00", "x" * 9999])
def test_bad_text_gets_a_sentence_and_stays(text: str) -> None:
    frames = run(FakeEngine(), text)
    assert len(frames) == 1
    assert 'role="alert"' in frames[0].status
    assert "value" not in frames[0].box
    assert frames[0].run["visible"]


def test_a_busy_engine_is_said_and_nothing_changes() -> None:
    engine = FakeEngine()
    engine.refusal = EngineBusyError("no free place; wait a moment")
    frames = run(engine, "a", Drafts(Draft("a", (1,))))
    assert "No free place" in frames[0].status
    assert frames[0].drafts == {"__type__": "update"}


def test_stopping_keeps_what_was_written() -> None:
    last = run(FakeEngine(), "Look:", stop_after=3)[-1]
    assert isinstance(last.drafts, Drafts)
    assert last.drafts.now.text == "Look: Once there"
    assert "Stopped." in last.status


def test_stopping_before_a_word_changes_nothing() -> None:
    drafts = Drafts()
    last = run(FakeEngine(), "Look:", drafts, stop_after=1)[-1]
    assert last.drafts is drafts
    assert last.box["value"] == "Look:"


def test_long_texts_are_redrawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LONG_TEXT", 10)
    engine = FakeEngine()
    run(engine, "short")
    run(engine, "a longer text")
    assert [stream.interval_s for stream in engine.streams] == [0.05, 0.5]


def test_undo_and_redo_walk_through_the_drafts() -> None:
    engine, running = FakeEngine(), RunningStreams()
    drafts = drafts_after(engine, "Look:")
    back = writing.undo(as_engine(engine), running, "me", "en", drafts.now.text, drafts)
    assert (back.box["value"], back.words) == ("Look:", "")
    assert isinstance(back.drafts, Drafts)
    forth = writing.redo(as_engine(engine), running, "me", "en", "Look:", back.drafts)
    assert forth.box["value"] == "Look: Once there was a cat."
    assert "data-choices" in str(forth.words)


def test_undo_at_the_beginning_leaves_the_text() -> None:
    frame = writing.undo(as_engine(FakeEngine()), RunningStreams(), "me", "en", "mine", Drafts())
    assert "value" not in frame.box
    assert "Nothing further" in frame.status


def test_another_word_takes_the_place_of_one_and_what_followed_goes() -> None:
    engine = FakeEngine()
    first = drafts_after(engine, "Look:")
    changed = writing.restart_from(first, first.now.text, at=2, choice=1)
    now = changed.now
    assert now.text == "Look: Once there <b>"
    assert now.ids == (*first.now.ids[:-3], 2)
    assert [token.text for token in now.written] == [" Once", " there", " <b>"]
    assert changed.undo(now.text).now == first.now
    run(engine, now.text, changed)
    assert engine.streams[1].ids == now.ids


def test_only_the_new_word_of_a_restart_counts_as_new() -> None:
    engine = FakeEngine()
    first = drafts_after(engine, "Look:")
    changed = writing.restart_from(first, first.now.text, at=2, choice=1)
    # Two written words and the prompt's end lie before it; the fake keeps only the prompt.
    assert "re-read 2 tokens" in run(engine, changed.now.text, changed)[-1].status


@pytest.mark.parametrize(
    ("at", "choice"), [(99, 0), (-1, 0), (0, 99), (0, -1), ("0", 0), (None, None)]
)
def test_a_word_that_is_not_there_changes_nothing(at: object, choice: object) -> None:
    drafts = drafts_after(FakeEngine(), "Look:")
    assert writing.restart_from(drafts, drafts.now.text, at, choice) is drafts


def test_an_edit_before_a_restart_can_be_had_back() -> None:
    drafts = drafts_after(FakeEngine(), "Look:")
    changed = writing.restart_from(drafts, "my edit", at=0, choice=1)
    assert changed.undo(changed.now.text).now == Draft("my edit")


ROOT = "7-" + "ab" * 16


@pytest.mark.parametrize(
    ("kept", "text", "root"),
    [
        ({"text": "Once", "root": ROOT}, "Once", ROOT),
        ({"text": "Once", "root": "../x"}, "Once", ""),
        ({"text": 1}, "", ""),
        (None, "", ""),
        ([], "", ""),
    ],
)
def test_a_reload_takes_up_the_text_and_the_memory_that_it_begins_from(
    kept: object, text: str, root: str
) -> None:
    engine = FakeEngine()
    engine.held["me", ROOT] = fake_memory(7)
    frame = writing.again(as_engine(engine), "me", "zh", kept)
    assert frame.drafts == Drafts(Draft(text, root=root))
    assert (frame.root, "alert" in frame.status) == (root, False)
    assert "记忆" in str(frame.memory)
    assert ("7" in str(frame.memory)) == bool(root)


def test_a_reload_says_at_once_that_the_memory_a_text_begins_from_is_gone() -> None:
    frame = writing.again(as_engine(FakeEngine()), "me", "en", {"text": "Once", "root": ROOT})
    assert "no longer held" in frame.status
    assert frame.drafts == Drafts(Draft("Once", root=ROOT))
