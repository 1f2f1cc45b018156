"""Conversations as values, and the store of states that saves reading them again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rwkv_core.state import State


@dataclass(frozen=True)
class Turn:
    """One exchange; the ids are what the model read and wrote, the text is what people see.

    Attributes:
        user: the visitor's words.
        prompt_ids: everything read before the answer, role names included.
        answer: the model's words.
        answer_ids: the tokens it wrote.
    """

    user: str
    prompt_ids: tuple[int, ...]
    answer: str
    answer_ids: tuple[int, ...]


@dataclass(frozen=True)
class Conversation:
    """An opening and its turns. Undo, retry and edit are `before` and `with_turn`."""

    opening_ids: tuple[int, ...] = ()
    turns: tuple[Turn, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """Every token of the conversation, in order."""
        turns = (turn.prompt_ids + turn.answer_ids for turn in self.turns)
        return tuple(chain(self.opening_ids, *turns))

    def before(self, index: int) -> Conversation:
        """Return the conversation as it was before turn `index`."""
        return Conversation(self.opening_ids, self.turns[:index])

    def with_turn(self, turn: Turn) -> Conversation:
        """Return the conversation with one more turn at its end."""
        return Conversation(self.opening_ids, (*self.turns, turn))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A state kept for later, on the CPU.

    Attributes:
        length: how many tokens were read to get here.
        state: the memory after them, B = 1.
        logits: (V,) float32, the scores of the token that comes next.
    """

    length: int
    state: State
    logits: NDArray[np.float32]


@dataclass(eq=False)
class _Session:
    used_at: float
    nbytes: int = 0
    # Token ids as bytes -> snapshot, least recently used first.
    kept: OrderedDict[bytes, Snapshot] = field(default_factory=OrderedDict)


class StateStore:
    """Cache of states keyed by session and token ids; losing one costs only time.

    A session never sees another's states. Over its own budget a session loses its least recently
    used state; over the global budget the least recently used session does. A session idle
    longer than the time to live is dropped at the next call. Safe to use from any thread.

    Args:
        total_bytes: budget for all sessions.
        session_bytes: budget for one session.
        idle_ttl_s: seconds after its last use until a session is dropped.
        clock: seconds, monotonic; tests give their own.
    """

    def __init__(
        self,
        total_bytes: int,
        session_bytes: int,
        *,
        idle_ttl_s: float = 1200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_bytes = total_bytes
        self._session_bytes = min(session_bytes, total_bytes)
        self._idle_ttl_s = idle_ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._nbytes = 0
        # Least recently used first.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held: states, logits and token ids."""
        return self._nbytes

    def put(
        self, session_id: str, ids: Sequence[int], state: State, logits: NDArray[np.float32]
    ) -> None:
        """Keep the state after exactly these ids; one larger than the budget is not kept.

        Args:
            session_id: whose state it is.
            ids: all tokens read to get here, at least one.
            state: B = 1, any device; copied to the CPU.
            logits: (V,) the scores after the last token.
        """
        key = _key(ids)
        snapshot = Snapshot(len(ids), state.to("cpu"), logits)
        with self._lock:
            session = self._touch(session_id)
            self._forget(session, key)
            session.kept[key] = snapshot
            self._account(session, _nbytes(key, snapshot))
            while session.nbytes > self._session_bytes:
                self._forget(session, next(iter(session.kept)))
            while self._nbytes > self._total_bytes:
                oldest_id, oldest = next(iter(self._sessions.items()))
                self._forget(oldest, next(iter(oldest.kept)))
                if not oldest.kept:
                    del self._sessions[oldest_id]
            if not session.kept:
                self._sessions.pop(session_id, None)

    def nearest(self, session_id: str, ids: Sequence[int]) -> Snapshot | None:
        """Find the session's kept state that covers the most of these ids from their start."""
        wanted = _key(ids)
        with self._lock:
            self._expire()
            if session_id not in self._sessions:
                return None
            session = self._touch(session_id)
            # startswith compares the ids themselves: no hash, so no collision to fear.
            keys = (key for key in session.kept if wanted.startswith(key))
            key = max(keys, key=len, default=None)
            if key is None:
                return None
            session.kept.move_to_end(key)
            return session.kept[key]

    def drop(self, session_id: str) -> None:
        """Forget everything kept for a session."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
            if session is not None:
                self._nbytes -= session.nbytes

    def _touch(self, session_id: str) -> _Session:
        self._expire()
        now = self._clock()
        session = self._sessions.setdefault(session_id, _Session(now))
        session.used_at = now
        self._sessions.move_to_end(session_id)
        return session

    def _expire(self) -> None:
        limit = self._clock() - self._idle_ttl_s
        while self._sessions:
            session_id, oldest = next(iter(self._sessions.items()))
            if oldest.used_at >= limit:
                return
            del self._sessions[session_id]
            self._nbytes -= oldest.nbytes

    def _forget(self, session: _Session, key: bytes) -> None:
        snapshot = session.kept.pop(key, None)
        if snapshot is not None:
            self._account(session, -_nbytes(key, snapshot))

    def _account(self, session: _Session, nbytes: int) -> None:
        session.nbytes += nbytes
        self._nbytes += nbytes


def _key(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype=np.uint32).tobytes()


def _nbytes(key: bytes, snapshot: Snapshot) -> int:
    return len(key) + snapshot.state.nbytes + snapshot.logits.nbytes
