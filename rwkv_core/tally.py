"""What an engine has done so far: counts and times, for its owner and for estimates."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# Upper bounds in seconds; one more bucket holds what took longer.
TIME_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# The mean of held slots follows the last dozens of texts.
_MEMORY = 0.05


@dataclass(frozen=True)
class Times:
    """How long something took, sorted into buckets.

    Attributes:
        counts: one per bound of TIME_BOUNDS_S and one for the rest; each counts its own only.
        total_s: all times added.
    """

    counts: tuple[int, ...] = (0,) * (len(TIME_BOUNDS_S) + 1)
    total_s: float = 0.0

    def with_time(self, seconds: float) -> Times:
        """Count one more."""
        index = bisect_left(TIME_BOUNDS_S, seconds)
        counts = (*self.counts[:index], self.counts[index] + 1, *self.counts[index + 1 :])
        return Times(counts, self.total_s + seconds)


@dataclass(frozen=True)
class Usage:
    """What an engine holds now and has done since it started.

    Attributes:
        running: texts being read or written.
        waiting: texts that wait for a slot.
        tracing: texts being inspected or waiting for it.
        tokens_read: tokens of prompts and inspected texts.
        tokens_written: tokens chosen.
        ended: texts by the reason why they ended; "busy" counts those refused.
        first_token: times from asking to the first token.
        sessions: sessions whose states are kept.
        store_bytes: bytes of kept states.
    """

    running: int
    waiting: int
    tracing: int
    tokens_read: int
    tokens_written: int
    ended: Mapping[str, int]
    first_token: Times
    sessions: int
    store_bytes: int


class Tally:
    """Counts, for the engine's thread; changed under the engine's lock where others read."""

    def __init__(self) -> None:
        self.tokens_read = 0
        self.tokens_written = 0
        self.ended: Counter[str] = Counter()
        self.first_token = Times()
        self._held_s = 0.0

    def end(self, reason: str, *, first_token_s: float, held_s: float) -> None:
        """Count a text that ended.

        Args:
            reason: why.
            first_token_s: seconds from asking to the first token; 0 without one.
            held_s: seconds it held a slot; 0 when it never had one.
        """
        self.ended[reason] += 1
        if first_token_s > 0:
            self.first_token = self.first_token.with_time(first_token_s)
        if held_s > 0:
            is_first = self._held_s == 0
            self._held_s += (1.0 if is_first else _MEMORY) * (held_s - self._held_s)

    def wait_s(self, position: int, slots: int) -> float:
        """Estimate how long the one at this place waits for a slot; 0 where nothing is known."""
        return position * self._held_s / slots
