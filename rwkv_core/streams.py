"""What a visitor holds while the engine works: thread-safe handles of one job each."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from rwkv_core.errors import RwkvError
from rwkv_core.generate import Token
from rwkv_core.recording import Recording

T = TypeVar("T")
Phase = Literal["waiting", "reading", "writing", "done"]
Reason = Literal[
    "stop", "end_of_text", "length", "read", "cancelled", "deadline", "unread", "error"
]


@dataclass(frozen=True)
class StreamStatus:
    """Where a job stands.

    Attributes:
        phase: waiting for a slot, reading the prompt, writing the answer, or done.
        queue_position: 1 for the next to get a slot; 0 when not waiting.
        tokens_read: tokens of the prompt behind it, kept ones included.
        tokens_to_read: tokens of the whole prompt.
        wait_s: seconds until it gets a slot, as the last texts let expect; 0 where unknown.
    """

    phase: Phase
    queue_position: int
    tokens_read: int
    tokens_to_read: int
    wait_s: float = 0.0


@dataclass(frozen=True)
class StreamResult:
    """How a generation ended and what it cost.

    Attributes:
        reason: why it ended; "read" where nothing was to be written.
        error: the sentence to show when the reason is "error".
        generated_ids: the answer's tokens, without a stop string or end token.
        text: the answer.
        seed: the seed that gave it; the same seed gives the same text again.
        tokens_reused: prompt tokens that a kept state covered.
        tokens_read: prompt tokens read anew.
        read_s: seconds from getting a slot to the end of the prompt.
        first_token_s: seconds from submission to the first token; 0 without one.
        write_s: seconds from the end of the prompt to the end of the answer.
        tokens_per_s: tokens written per second of write_s.
    """

    reason: Reason
    error: RwkvError | None
    generated_ids: tuple[int, ...]
    text: str
    seed: int
    tokens_reused: int
    tokens_read: int
    read_s: float
    first_token_s: float
    write_s: float
    tokens_per_s: float


class Job:
    """The part that streams and traces share: progress out, cancelling in.

    All fields are guarded by the engine's condition. Methods without a leading underscore are
    for any thread, except those marked "engine".

    Args:
        lock: the engine's condition; notified on every change.
        clock: seconds, monotonic.
        session_id: whose job it is.
        tokens_to_read: tokens of the prompt.
    """

    def __init__(
        self,
        lock: threading.Condition,
        clock: Callable[[], float],
        session_id: str,
        tokens_to_read: int,
    ) -> None:
        self.session_id = session_id
        self._lock = lock
        self._clock = clock
        self._status = StreamStatus("waiting", 0, 0, tokens_to_read)
        self._cancelled = False
        self._blocked_readers = 0
        self._looked_at = clock()

    @property
    def status(self) -> StreamStatus:
        """Where the job stands now."""
        with self._lock:
            return self._status

    @property
    def is_done(self) -> bool:
        """Whether the job has ended, for whatever reason."""
        return self.status.phase == "done"

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end."""
        with self._lock:
            return self._cancelled

    def cancel(self) -> None:
        """End the job within one step of the engine; without effect once it is done."""
        with self._lock:
            self._cancelled = True
            self._lock.notify_all()

    def report(
        self,
        phase: Phase,
        *,
        queue_position: int = 0,
        tokens_read: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        """Engine: publish progress."""
        with self._lock:
            to_read = self._status.tokens_to_read
            self._status = StreamStatus(phase, queue_position, tokens_read, to_read, wait_s)
            self._lock.notify_all()

    def verdict(self, unread_s: float) -> Literal["cancelled", "unread"] | None:
        """Engine: say whether the reader wants the job to end, or has gone away."""
        with self._lock:
            if self._cancelled:
                return "cancelled"
            idle_s = self._clock() - self._looked_at
            return "unread" if not self._blocked_readers and idle_s > unread_s else None

    def _look(self) -> bool:
        """Note that somebody is still there; call under the lock. Returns whether it is done."""
        self._looked_at = self._clock()
        return self._status.phase == "done"

    def _block_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait under the lock; a reader that waits is present, however long it takes."""
        self._blocked_readers += 1
        try:
            self._lock.wait_for(is_ready)
        finally:
            self._blocked_readers -= 1
            self._look()


class Stream(Job):
    """One generation, as its reader sees it. Leaving the reading loop cancels it.

    A reader either iterates (`for token in stream`, blocking) or takes `batches()` in asyncio;
    a stream that nobody looks at for a few seconds ends by itself.
    """

    def __init__(
        self,
        lock: threading.Condition,
        clock: Callable[[], float],
        session_id: str,
        tokens_to_read: int,
    ) -> None:
        super().__init__(lock, clock, session_id, tokens_to_read)
        self._tokens: list[Token] = []
        self._result: StreamResult | None = None
        self._wake: Callable[[], object] = lambda: None

    @property
    def result(self) -> StreamResult | None:
        """How it ended; None while it runs."""
        with self._lock:
            return self._result

    async def batches(
        self, interval_s: float = 0.05, heartbeat_s: float = 0.25
    ) -> AsyncGenerator[list[Token]]:
        """Yield the tokens since the last look, at most once per interval.

        An empty list is a heartbeat: look at `status` for the queue position and the reading
        progress. Closing the generator, or cancelling its task, cancels the stream.

        Args:
            interval_s: seconds between two lists, at least.
            heartbeat_s: at most; a new token, or the end, comes as soon as the interval lets it.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # A loop that has ended has no reader left.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._wake = wake
        try:
            while True:
                news.clear()
                tokens, is_done = self._take()
                yield tokens
                if is_done:
                    return
                looked_at = loop.time()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(heartbeat_s):
                        await news.wait()
                await asyncio.sleep(max(0.0, looked_at + interval_s - loop.time()))
        finally:
            self.cancel()

    def __iter__(self) -> Iterator[Token]:
        """Yield each token, blocking until it is there."""
        try:
            while True:
                with self._lock:
                    self._block_until(lambda: bool(self._tokens) or self._result is not None)
                    tokens, is_done = self._take()
                yield from tokens
                if is_done:
                    return
        finally:
            self.cancel()

    def push(self, token: Token) -> None:
        """Engine: hand over one token."""
        with self._lock:
            self._tokens.append(token)
            if len(self._tokens) == 1:
                self._wake()
            self._lock.notify_all()

    def finish(self, result: StreamResult) -> None:
        """Engine: end the stream."""
        with self._lock:
            self._result = result
            self._wake()
            self.report("done", tokens_read=self._status.tokens_read)

    def _take(self) -> tuple[list[Token], bool]:
        with self._lock:
            tokens, self._tokens = self._tokens, []
            return tokens, self._look()


class WorkJob(Job, Generic[T]):
    """Work on the model whose outcome is one value: a recording, a comparison, an experiment."""

    def __init__(
        self,
        lock: threading.Condition,
        clock: Callable[[], float],
        session_id: str,
        tokens_to_read: int,
    ) -> None:
        super().__init__(lock, clock, session_id, tokens_to_read)
        self._outcome: T | RwkvError | None = None
        self._so_far: T | None = None

    @property
    def so_far(self) -> T | None:
        """What was found by now, where the work says so; stays after it failed or was ended."""
        with self._lock:
            return self._so_far

    async def progress(self, interval_s: float = 0.05) -> AsyncGenerator[StreamStatus]:
        """Yield the status once per interval until the job is done.

        Closing the generator, or cancelling its task, cancels the job.

        Args:
            interval_s: seconds between two looks.

        Raises:
            RwkvError: the work failed, or was cancelled.
        """
        try:
            while True:
                with self._lock:
                    is_done, status = self._look(), self._status
                yield status
                if is_done:
                    self.result()
                    return
                await asyncio.sleep(interval_s)
        finally:
            self.cancel()

    def result(self) -> T:
        """Block until the work is done, and return its outcome.

        Raises:
            RwkvError: the work failed, or was cancelled.
        """
        with self._lock:
            self._block_until(lambda: self._outcome is not None)
            outcome = self._outcome
        if isinstance(outcome, RwkvError):
            raise outcome
        assert outcome is not None
        return outcome

    def show(self, so_far: T) -> None:
        """Engine: publish what was found by now."""
        with self._lock:
            self._so_far = so_far

    def finish(self, outcome: T | RwkvError) -> None:
        """Engine: end the job."""
        with self._lock:
            self._outcome = outcome
            self.report("done", tokens_read=self._status.tokens_read)


class TraceJob(WorkJob[Recording]):
    """One text being read for the inspector."""

    @property
    def recording(self) -> Recording | None:
        """What was measured; None while it runs, and when it failed or was cancelled."""
        with self._lock:
            return self._outcome if isinstance(self._outcome, Recording) else None
