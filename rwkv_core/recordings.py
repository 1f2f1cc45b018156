"""The store of recordings that saves reading a text again when it is looked at once more."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from rwkv_core.recording import Recording, Wanted


class RecordingKey(NamedTuple):
    """What a recording is of.

    Attributes:
        session_id: who asked for it.
        root: the held memory that the text begins from; "" for that of every text.
        ids: the text.
        wanted: what was to be kept.
    """

    session_id: str
    root: str
    ids: tuple[int, ...]
    wanted: Wanted


class _Kept(NamedTuple):
    recording: Recording
    used_at: float


class RecordingStore:
    """Cache of recordings by session, text and what was wanted; losing one costs only time.

    A session never sees another's recordings, nor learns from the time it takes what others
    read. Over the budget the least recently used goes first. Safe to use from any thread.

    Args:
        total_bytes: budget for all sessions.
        idle_ttl_s: seconds after its last use until a recording is dropped.
        clock: seconds, monotonic; tests give their own.
    """

    def __init__(
        self,
        total_bytes: int,
        *,
        idle_ttl_s: float = 1200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_bytes, self._idle_ttl_s, self._clock = total_bytes, idle_ttl_s, clock
        self._lock = threading.Lock()
        # Least recently used first.
        self._kept: OrderedDict[RecordingKey, _Kept] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return self._held()

    def put(self, key: RecordingKey, recording: Recording) -> None:
        """Keep a recording; one larger than the budget is not kept."""
        with self._lock:
            self._kept[key] = _Kept(recording, self._clock())
            while self._held() > self._total_bytes:
                self._kept.popitem(last=False)

    def get(self, key: RecordingKey) -> Recording | None:
        """Find what this very session had recorded; None if it is not kept."""
        now = self._clock()
        with self._lock:
            while self._kept and next(iter(self._kept.values())).used_at < now - self._idle_ttl_s:
                self._kept.popitem(last=False)
            if key not in self._kept:
                return None
            kept = self._kept[key] = self._kept[key]._replace(used_at=now)
            self._kept.move_to_end(key)
            return kept.recording

    def drop(self, session_id: str) -> None:
        """Forget everything kept for a session."""
        with self._lock:
            for key in [key for key in self._kept if key.session_id == session_id]:
                del self._kept[key]

    def _held(self) -> int:
        return sum(kept.recording.nbytes for kept in self._kept.values())
