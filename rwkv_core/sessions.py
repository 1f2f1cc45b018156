"""Conversations as values, and the store of states that saves reading them again.

A text is the ids read since its root. The root is the memory that every text begins from, or a
held one: a memory that no ids explain, since it was loaded, edited or tuned. What was read from a
root is a cache; a held memory itself is not, so it is never given up for one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rwkv_core.errors import HeldMemoryError
from rwkv_core.generate import GenerationSettings
from rwkv_core.state import Memory, State
from rwkv_core.streams import Reason
from rwkv_core.thinning import Place, least_missed

# Held memories may fill this part of a budget; the rest is for what was read from them.
_HELD_SHARE = 0.5


@dataclass(frozen=True)
class Making:
    """How an answer, or a part of one, was made: all that is needed to make it again.

    Attributes:
        settings: how its words were chosen, the seed in use included.
        reason: why it ended.
        tokens: how many tokens were written.
        reread: tokens that had been read before and had to be read once more.
        first_token_s: seconds until its first token.
        tokens_per_s: tokens written per second.
        mode: how it thought first, in the template's words; "" for not at all.
    """

    settings: GenerationSettings
    reason: Reason
    tokens: int
    reread: int
    first_token_s: float
    tokens_per_s: float
    mode: str = ""


@dataclass(frozen=True)
class Turn:
    """One exchange; the ids are what the model keeps in memory, the text is what people see.

    Attributes:
        user: the visitor's words.
        prompt_ids: everything read before the answer, role names included.
        answer: the model's words.
        answer_ids: the tokens it wrote, as they are remembered.
        thinking: what it wrote before the answer and does not remember.
        live_ids: all that followed the prompt while it wrote, where that is more than the answer.
        makings: how the answer was made; several where a cut one went on.
    """

    user: str
    prompt_ids: tuple[int, ...]
    answer: str
    answer_ids: tuple[int, ...]
    thinking: str = ""
    live_ids: tuple[int, ...] = ()
    makings: tuple[Making, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether the model has written anything."""
        return bool(self.answer_ids or self.live_ids)


@dataclass(frozen=True)
class Conversation:
    """An opening and its turns. Undo, retry and edit are `before` and `with_turn`.

    Attributes:
        opening_ids: read before the first turn.
        turns: the exchanges, in order.
        root: the held memory it begins from, see StateStore.hold; "" for that of every text.
    """

    opening_ids: tuple[int, ...] = ()
    turns: tuple[Turn, ...] = ()
    root: str = ""

    @property
    def ids(self) -> tuple[int, ...]:
        """Every token of the conversation, in order."""
        turns = (turn.prompt_ids + turn.answer_ids for turn in self.turns)
        return tuple(chain(self.opening_ids, *turns))

    @property
    def length(self) -> int:
        """How many tokens that is."""
        turns = (len(turn.prompt_ids) + len(turn.answer_ids) for turn in self.turns)
        return len(self.opening_ids) + sum(turns)

    def before(self, index: int) -> Conversation:
        """Return the conversation as it was before turn `index`."""
        return replace(self, turns=self.turns[:index])

    def with_turn(self, turn: Turn) -> Conversation:
        """Return the conversation with one more turn at its end."""
        return replace(self, turns=(*self.turns, turn))


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


# The root of a text, and its token ids as bytes.
_Key = tuple[str, bytes]


@dataclass(eq=False)
class _Kept:
    """One kept state; `place.before` is kept up to date as others come and go."""

    snapshot: Snapshot
    place: Place[_Key]


@dataclass(eq=False)
class _Session:
    used_at: float
    # Of all snapshots, and of all held memories.
    nbytes: int = 0
    held_nbytes: int = 0
    # Least recently used first.
    kept: OrderedDict[_Key, _Kept] = field(default_factory=OrderedDict)
    held: OrderedDict[str, Memory] = field(default_factory=OrderedDict)


class StateStore:
    """States keyed by session, root and token ids: a cache, and the held memories.

    Losing a cached state costs only time. A session never sees another's. Over its own budget a
    session loses the cached state that is missed least, see `thinning`; over the global budget
    the least recently used session does. Held memories fill at most half of either budget: a session's next one is
    refused then, while over the global half the least recently used session loses its own. Cached
    states go when their session has been idle, held memories much later. Safe from any thread.

    Args:
        total_bytes: budget for all sessions.
        session_bytes: budget for one session.
        idle_ttl_s: seconds after its last use until a session's cached states are dropped.
        held_ttl_s: the same for its held memories; not shorter.
        max_sessions: of more the least recently used are dropped.
        clock: seconds, monotonic; tests give their own.
    """

    def __init__(
        self,
        total_bytes: int,
        session_bytes: int,
        *,
        idle_ttl_s: float = 1200,
        held_ttl_s: float = 6 * 3600,
        max_sessions: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_bytes = total_bytes
        self._session_bytes = min(session_bytes, total_bytes)
        self._idle_ttl_s, self._held_ttl_s = idle_ttl_s, max(idle_ttl_s, held_ttl_s)
        self._max_sessions = max_sessions
        self._clock = clock
        self._lock = threading.Lock()
        self._nbytes = self._held_nbytes = 0
        # Least recently used first.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of everything kept and held: states, logits and token ids."""
        return self._nbytes + self._held_nbytes

    def __len__(self) -> int:
        return len(self._sessions)

    def put(
        self,
        session_id: str,
        ids: Sequence[int],
        state: State,
        logits: NDArray[np.float32],
        *,
        root: str = "",
    ) -> None:
        """Keep the state after exactly these ids; one larger than the budget is not kept.

        Args:
            session_id: whose state it is.
            ids: all tokens read since the root, at least one.
            state: B = 1, any device; copied to the CPU.
            logits: (V,) the scores after the last token.
            root: the held memory that the ids were read from; without it nothing is kept.
        """
        key = (root, _bytes_of(ids))
        snapshot = Snapshot(len(ids), state.to("cpu"), logits)
        with self._lock:
            session = self._touch(session_id)
            if not root or root in session.held:
                self._forget(session, key)
                self._add(session, key, snapshot)
                self._shrink(session)
            self._drop_if_empty(session_id)

    def nearest(self, session_id: str, ids: Sequence[int], *, root: str = "") -> Snapshot | None:
        """Find the kept state that covers the most of these ids, read since this root."""
        wanted = _bytes_of(ids)
        with self._lock:
            self._expire()
            if session_id not in self._sessions:
                return None
            session = self._touch(session_id)
            key = _longest_start(session, (root, wanted))
            if key is None:
                return None
            session.kept.move_to_end(key)
            return session.kept[key].snapshot

    def hold(self, session_id: str, memory: Memory) -> str:
        """Hold a memory that no ids explain; returns its name, to be used as a root.

        Raises:
            HeldMemoryError: the session's share is full.
        """
        key = memory.key()
        with self._lock:
            session = self._touch(session_id)
            if key not in session.held:
                limit = int(self._session_bytes * _HELD_SHARE)
                if session.held_nbytes + memory.nbytes > limit:
                    count = len(session.held)
                    self._drop_if_empty(session_id)
                    raise HeldMemoryError(
                        "{count} memories are held and one more of {size:,} bytes would pass "
                        "the limit of {limit:,} bytes; save one to a file and drop it here",
                        count=count,
                        size=memory.nbytes,
                        limit=limit,
                    )
                session.held[key] = memory
                session.held_nbytes += memory.nbytes
                self._held_nbytes += memory.nbytes
                self._shrink(session)
            session.held.move_to_end(key)
            return key

    def held(self, session_id: str, root: str) -> Memory:
        """Look up a held memory.

        Raises:
            HeldMemoryError: the session does not hold it, or not any more.
        """
        with self._lock:
            self._expire()
            if session_id not in self._sessions or root not in self._sessions[session_id].held:
                raise HeldMemoryError(
                    "the memory that this text begins from is no longer held here; load its file "
                    "again, or begin a new text"
                )
            return self._touch(session_id).held[root]

    def release(self, session_id: str, root: str) -> None:
        """Let go of a held memory and of what was read from it."""
        with self._lock:
            if (session := self._sessions.get(session_id)) is not None:
                self._release(session, root)
                self._drop_if_empty(session_id)

    def drop(self, session_id: str) -> None:
        """Drop everything kept and held for a session."""
        with self._lock:
            self._drop(session_id)

    def _drop(self, session_id: str) -> None:
        if (session := self._sessions.pop(session_id, None)) is not None:
            self._nbytes -= session.nbytes
            self._held_nbytes -= session.held_nbytes

    def _touch(self, session_id: str) -> _Session:
        self._expire()
        now = self._clock()
        session = self._sessions.setdefault(session_id, _Session(now))
        session.used_at = now
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._max_sessions:
            self._drop(next(iter(self._sessions)))
        return session

    def _expire(self) -> None:
        now = self._clock()
        for session_id, session in list(self._sessions.items()):
            if session.used_at >= now - self._idle_ttl_s:
                return
            self._clear(session)
            if session.used_at < now - self._held_ttl_s:
                for root in list(session.held):
                    self._release(session, root)
            self._drop_if_empty(session_id)

    def _shrink(self, session: _Session) -> None:
        """Give up what is over a budget; `session` is the one just used."""
        while session.kept and session.nbytes + session.held_nbytes > self._session_bytes:
            self._forget(session, _least_missed(session))
        while self._held_nbytes > self._total_bytes * _HELD_SHARE:
            oldest_id, oldest = next((i, s) for i, s in self._sessions.items() if s.held)
            self._release(oldest, next(iter(oldest.held)))
            self._drop_if_empty(oldest_id)
        while self.nbytes > self._total_bytes:
            oldest_id, oldest = next((i, s) for i, s in self._sessions.items() if s.kept)
            self._forget(oldest, _least_missed(oldest))
            self._drop_if_empty(oldest_id)

    def _release(self, session: _Session, root: str) -> None:
        if (memory := session.held.pop(root, None)) is not None:
            session.held_nbytes -= memory.nbytes
            self._held_nbytes -= memory.nbytes
        for key in [key for key in session.kept if root and key[0] == root]:
            self._forget(session, key)

    def _clear(self, session: _Session) -> None:
        self._account(session, -session.nbytes)
        session.kept.clear()

    def _drop_if_empty(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None and not session.kept and not session.held:
            del self._sessions[session_id]

    def _add(self, session: _Session, key: _Key, snapshot: Snapshot) -> None:
        before = _longest_start(session, key)
        for other, kept in session.kept.items():
            if kept.place.before == before and _goes_on(other, key):
                kept.place = replace(kept.place, before=key)
        nbytes = len(key[1]) + snapshot.state.nbytes + snapshot.logits.nbytes
        session.kept[key] = _Kept(snapshot, Place(snapshot.length, before, nbytes))
        self._account(session, nbytes)

    def _forget(self, session: _Session, key: _Key) -> None:
        if (gone := session.kept.pop(key, None)) is None:
            return
        for kept in session.kept.values():
            if kept.place.before == key:
                kept.place = replace(kept.place, before=gone.place.before)
        self._account(session, -gone.place.nbytes)

    def _account(self, session: _Session, nbytes: int) -> None:
        session.nbytes += nbytes
        self._nbytes += nbytes


def _bytes_of(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype=np.uint32).tobytes()


def _goes_on(text: _Key, start: _Key) -> bool:
    # startswith compares the ids themselves: no hash, so no collision to fear.
    return text[0] == start[0] and text[1].startswith(start[1])


def _longest_start(session: _Session, text: _Key) -> _Key | None:
    starts = (key for key in session.kept if _goes_on(text, key))
    return max(starts, key=lambda key: len(key[1]), default=None)


def _least_missed(session: _Session) -> _Key:
    return least_missed({key: kept.place for key, kept in session.kept.items()})
