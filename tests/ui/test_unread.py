"""Messages that nobody fetches go; those of whoever reads stay."""

import asyncio

import pytest

from ui import unread
from ui.unread import MAX_CALLERS, UNREAD_S, Callers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(unread, "monotonic", lambda: now[0])
    return now


def begin(callers: Callers, *names: str) -> None:
    for name in names:
        callers[name] = None


def test_what_nobody_fetches_goes_with_the_next_caller(clock: list[float]) -> None:
    callers = Callers()
    begin(callers, "gone", "still")
    callers["gone"].put_nowait("a result")
    clock[0] += UNREAD_S + 1
    assert "gone" in callers
    begin(callers, "next")
    assert set(callers) == {"still", "next"}
    # A handler that ends now has nobody to tell, and fails at nothing.
    callers["gone"].put_nowait("a late result")
    assert "gone" not in callers
    del callers["gone"]


def test_who_comes_in_time_finds_everything(clock: list[float]) -> None:
    callers = Callers()
    begin(callers, "me")

    async def read() -> list[str]:
        found = []
        for word in ("one", "two", "three"):
            callers["me"].put_nowait(word)
            clock[0] += UNREAD_S - 1
            begin(callers, word)
            found.append(await callers["me"].get())
        return found

    assert asyncio.run(read()) == ["one", "two", "three"]


def test_what_is_asked_after_a_pause_waits_for_its_reader_like_anything_else(
    clock: list[float],
) -> None:
    callers = Callers()
    begin(callers, "me")

    async def read() -> list[str]:
        callers["me"].put_nowait("before the pause")
        found = [await callers["me"].get()]
        clock[0] += UNREAD_S + 1
        callers["me"].put_nowait("a whole answer")
        # A newcomer takes nothing from it, and what comes next is only the difference to it.
        begin(callers, "other")
        callers["me"].put_nowait("a difference")
        found += [await callers["me"].get() for _ in range(2)]
        return found

    assert asyncio.run(read()) == ["before the pause", "a whole answer", "a difference"]


def test_a_session_that_goes_on_asking_without_reading_keeps_only_the_last(
    clock: list[float],
) -> None:
    callers = Callers()
    begin(callers, "me")
    for _ in range(100):
        callers["me"].put_nowait("a result")
        clock[0] += UNREAD_S / 10
    assert callers["me"].qsize() <= 12


def test_callers_are_counted() -> None:
    callers = Callers()
    begin(callers, *map(str, range(MAX_CALLERS + 5)))
    assert len(callers) == MAX_CALLERS
    assert "0" not in callers
