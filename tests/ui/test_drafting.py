import asyncio

from rwkv_core.errors import EngineBusyError
from tests.ui.fakes import FakeEngine, as_engine
from ui.completion_tab import count
from ui.session import Drafts


def lines(engine: FakeEngine, text: str, *, allowed: bool = True, wanted: bool = True) -> list[str]:
    async def collect() -> list[str]:
        found = count(as_engine(engine), allowed, "me", "en", text, Drafts(), wanted)
        return [line async for line in found]

    return asyncio.run(collect())


def test_a_text_is_counted_and_read_ahead_where_both_sides_want_that() -> None:
    engine = FakeEngine()
    shown = lines(engine, "Look")
    assert "4 characters · 5 tokens · 5 still to read" in shown[0]
    assert "all read" in shown[-1]
    assert engine.quiet == [(0, *engine.encode("Look"))]


def test_a_draft_stays_unread_where_the_owner_or_the_visitor_does_not_want_it() -> None:
    engine = FakeEngine()
    for allowed, wanted in ((False, True), (True, False)):
        shown = lines(engine, "Look", allowed=allowed, wanted=wanted)
        assert len(shown) == 1
        assert "5 still to read" in shown[0]
    assert engine.quiet == []


def test_a_long_draft_is_neither_read_ahead_nor_counted_in_tokens() -> None:
    engine = FakeEngine()
    assert lines(engine, "x" * 60_000) == ['<p class="counts">60,000 characters</p>']
    assert lines(engine, "") == ['<p class="counts"></p>']
    assert engine.quiet == []


def test_what_is_wrong_with_a_draft_is_said_but_a_busy_engine_is_not() -> None:
    engine = FakeEngine()
    assert 'role="alert"' in lines(engine, "a\x00")[0]
    engine.refusal = EngineBusyError("no place")
    assert "5 still to read" in lines(engine, "Look")[-1]
