import pytest

from rwkv_core.errors import InputError
from tests.ui.fakes import FakeEngine
from ui.session import MAX_UNDO, Draft, Drafts, RunningStreams


class Recorder:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_a_new_stream_ends_the_one_before() -> None:
    running, old, new = RunningStreams(), Recorder(), Recorder()
    running.start("a", old)
    running.start("a", new)
    assert old.cancelled
    assert not new.cancelled
    assert running.is_current("a", new)
    assert not running.is_current("a", old)


def test_stop_reaches_only_its_own_visitor() -> None:
    running, mine, yours = RunningStreams(), Recorder(), Recorder()
    running.start("me", mine)
    running.start("you", yours)
    running.stop("me")
    running.stop("nobody")
    assert mine.cancelled
    assert not yours.cancelled


def test_the_end_of_an_old_stream_leaves_the_new_one() -> None:
    running, old, new = RunningStreams(), Recorder(), Recorder()
    running.start("a", old)
    running.start("a", new)
    running.end("a", old)
    assert running.is_current("a", new)
    running.end("a", new)
    assert not running.is_current("a", new)


def test_text_that_goes_on_keeps_the_tokens_it_has() -> None:
    encode = FakeEngine().encode
    drafts = Drafts().continued(Draft("a", (0, 9)), Draft("ab", (0, 9, 8)))
    assert drafts.ids_for("ab", encode, 0) == (0, 9, 8)
    assert drafts.ids_for("abc", encode, 0) == (0, 9, 8, *encode("c"))
    assert drafts.ids_for("xb", encode, 0) == (0, *encode("xb"))


def test_a_text_typed_after_a_memory_is_read_whole_once_undo_has_brought_it_back() -> None:
    encode = FakeEngine().encode
    assert Drafts(Draft("ab", root="7-x")).ids_for("abc", encode, 0) == tuple(encode("abc"))
    assert Drafts(Draft("ab", root="7-x")).ids_for("ab", encode, 0) == tuple(encode("ab"))


def test_an_empty_text_is_refused_by_the_encoder() -> None:
    with pytest.raises(InputError):
        Drafts().ids_for("", FakeEngine().encode, 0)


def test_undo_and_redo_lose_nothing_not_even_edits() -> None:
    before, after = Draft("a", (1,)), Draft("ab", (1, 2))
    drafts = Drafts().continued(before, after)
    back = drafts.undo("ab, edited")
    assert back.now == before
    assert back.redo("a").now == Draft("ab, edited")
    assert drafts.undo("ab").redo("a") == drafts
    assert back.undo("a") is back
    assert drafts.redo("ab") is drafts


def test_what_the_model_wrote_can_be_had_again_after_it_was_typed_over() -> None:
    story = Draft("Once upon a time", (1, 2))
    drafts = Drafts().continued(Draft("Once", (1,)), story)
    drafts = drafts.continued(Draft("A dog", (3,)), Draft("A dog ran", (3, 4)))
    texts = []
    while drafts.past:
        drafts = drafts.undo(drafts.now.text)
        texts.append(drafts.now.text)
    assert texts == ["A dog", "Once upon a time", "Once"]


def test_undo_reaches_back_a_bounded_way() -> None:
    drafts = Drafts()
    for i in range(3 * MAX_UNDO):
        drafts = drafts.continued(Draft(f"{i}"), Draft(f"{i + 1}"))
    assert len(drafts.past) == MAX_UNDO


def test_an_example_does_not_lose_the_text_it_replaces() -> None:
    drafts = Drafts().replaced("my own words", Draft("Once"))
    assert drafts.now == Draft("Once")
    assert drafts.undo("Once").now == Draft("my own words")
    assert Drafts().replaced("", Draft("Once")).past == ()
