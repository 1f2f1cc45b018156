from collections.abc import Callable

import pytest

from benchmarks.neighbour import speed


class Writer:
    """Writes 10 tokens a second of its own time, from second 1 on, and not past an end."""

    def __init__(self, end_s: float) -> None:
        self.now, self.end_s = 0.0, end_s

    def count(self) -> int:
        return int(10 * max(0.0, min(self.now, self.end_s) - 1))

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def measured() -> Callable[[float], float]:
    def measure(end_s: float) -> float:
        writer = Writer(end_s)
        return speed(writer.count, 2, patience_s=5, clock=lambda: writer.now, sleep=writer.sleep)

    return measure


def test_only_the_time_while_tokens_come_counts(measured: Callable[[float], float]) -> None:
    assert measured(60) == pytest.approx(10, rel=0.06)


def test_an_answer_that_ends_too_soon_is_no_figure(measured: Callable[[float], float]) -> None:
    with pytest.raises(RuntimeError, match="ended within 2 s"):
        measured(2.5)


def test_no_answer_is_no_figure(measured: Callable[[float], float]) -> None:
    with pytest.raises(RuntimeError, match="no token was written in 5 s"):
        measured(0)
