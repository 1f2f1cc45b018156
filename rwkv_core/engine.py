"""The one stateful object: a model on its own thread, shared by everyone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import torch

from rwkv_core.admission import check_settings, check_text, checked_ids
from rwkv_core.config import Choice
from rwkv_core.errors import EngineClosedError, RwkvError
from rwkv_core.generate import GenerationSettings, TextAssembler
from rwkv_core.inspection.lab import Lab, Steps
from rwkv_core.limits import EngineLimits
from rwkv_core.models import Model
from rwkv_core.recording import GLANCE, Wanted
from rwkv_core.rows import Row, Study, Tracing
from rwkv_core.sampling import Penalties, draw_seed
from rwkv_core.scheduling import Scheduler
from rwkv_core.sessions import StateStore
from rwkv_core.state import Memory, State
from rwkv_core.streams import Stream, StreamResult, StreamStatus, TraceJob, WorkJob
from rwkv_core.tally import Usage
from rwkv_core.tokenizer import Tokenizer

__all__ = [
    "Engine", "EngineLimits", "Stream", "StreamResult", "StreamStatus", "TraceJob", "WorkJob",
]  # fmt: skip

T = TypeVar("T")
RESTARTING = "the server is being restarted; try again in a minute"

_log = logging.getLogger(__name__)


class Engine:
    """Reads and writes for all visitors at once; one per process. Use it in a `with` block.

    Threads: every method is for any thread. The model runs on the engine's own thread only,
    under torch.inference_mode. Everything that this thread shares with others (waiting lines,
    slots, streams) is guarded by one condition; the state store has a lock of its own, taken
    last. An idle engine waits on the condition and uses no CPU.

    Args:
        model: what to run; not used by anyone else meanwhile.
        tokenizer: the model's.
        limits: what to give out; the defaults suit two CPU cores.
        start: memory that every text begins from, B = 1; an empty one by default.
        choices: what was chosen besides the model's own choices, each with its reason.
        clock: seconds, monotonic; tests give their own.

    Attributes:
        choices: all of them, the model's first.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        limits: EngineLimits | None = None,
        *,
        start: State | None = None,
        choices: Mapping[str, Choice] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.choices = model.choices | dict(choices or {})
        self.limits = limits or EngineLimits()
        self._clock = clock
        self._lock = threading.Condition()
        self._is_closed = False
        # Why nothing new is taken; "" while it is.
        self._refusal = ""
        self._store, self._scheduler = self._with_nothing_kept(start)
        self._thread = threading.Thread(target=self._run, name="rwkv-engine", daemon=True)
        self._thread.start()

    def _with_nothing_kept(self, start: State | None) -> tuple[StateStore, Scheduler]:
        limits, clock = self.limits, self._clock
        store = StateStore(
            limits.store_bytes,
            limits.session_bytes,
            idle_ttl_s=limits.idle_ttl_s,
            max_sessions=limits.sessions,
            clock=clock,
        )
        parts = (self.model, self.tokenizer, limits)
        return store, Scheduler(*parts, store=store, lock=self._lock, clock=clock, start=start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def submit(
        self,
        session_id: str,
        ids: Sequence[int],
        settings: GenerationSettings,
        *,
        alternatives: int = 0,
        root: str = "",
        keep_every: int = 0,
        tells_change: bool = False,
    ) -> Stream:
        """Ask for a text that goes on after these ids; states kept for the session are used.

        Args:
            session_id: whose states may be used and kept; unguessable where it matters.
            ids: the whole text since the root, at least one token where the root is "".
            settings: how to write.
            alternatives: how many likely tokens to list with each token, 10 at most.
            root: the held memory that the text begins from, see `hold`.
            keep_every: keep the memory after so many written tokens too; 0 for the end alone.
            tells_change: whether each token tells how far it moved the memory, which takes as
                long as reading the memory twice.

        Raises:
            InputError: no ids, too many, or some outside the vocabulary.
            HeldMemoryError: the session does not hold the root.
            SettingsError: a setting outside its range.
            EngineBusyError: all slots and the waiting line are full, or the session has its share.
            EngineClosedError: the engine has been closed.
        """
        vocab_size = self.model.config.vocab_size
        check_settings(settings, alternatives, self.limits, vocab_size=vocab_size)
        row = self._row(session_id, ids, settings, alternatives, root)
        return self._submit(replace(row, keep_every=keep_every, tells_change=tells_change))

    def read(
        self, session_id: str, ids: Sequence[int], *, root: str = "", is_quiet: bool = False
    ) -> Stream:
        """Read these ids and keep the memory after them; nothing is written.

        Args:
            session_id: whose states may be used and kept.
            ids: the whole text since the root, at least one token.
            root: the held memory that the text begins from.
            is_quiet: read only while nobody asks for anything, in place of the session's last
                quiet reading; it ends as "cancelled" when somebody does, what was read is kept.

        Returns:
            A stream without tokens, whose result has the reason "read".

        Raises:
            InputError: no ids, too many, or some outside the vocabulary.
            HeldMemoryError: the session does not hold the root.
            EngineBusyError: all slots and the waiting line are full.
            EngineClosedError: the engine has been closed.
        """
        row = self._row(session_id, ids, GenerationSettings(), 0, root)
        return self._submit(replace(row, writes=False, is_quiet=is_quiet))

    def _submit(self, row: Row) -> Stream:
        with self._lock:
            self._require_open()
            self._scheduler.add(row)
        return row.stream

    def _row(
        self,
        session_id: str,
        ids: Sequence[int],
        settings: GenerationSettings,
        alternatives: int,
        root: str,
    ) -> Row:
        can_begin = bool(root) and self._store.held(session_id, root).logits is not None
        prompt = self._checked(ids, self.limits.max_context_tokens, least=0 if can_begin else 1)
        seed = settings.sampling.seed
        return Row(
            stream=Stream(self._lock, self._clock, session_id, len(prompt)),
            ids=prompt,
            settings=settings,
            seed=draw_seed() if seed is None else seed,
            alternatives=alternatives,
            assembler=TextAssembler(self.tokenizer, settings.stop),
            penalties=Penalties(settings.sampling, self.tokenizer),
            submitted_at=self._clock(),
            root=root,
        )

    def trace(
        self,
        session_id: str,
        ids: Sequence[int],
        wanted: Wanted = GLANCE,
        *,
        root: str = "",
    ) -> TraceJob:
        """Ask for a recording of the model reading these ids from the memory at the start.

        Args:
            session_id: who asks.
            ids: 1 to 4096 tokens, fewer where the limits say so.
            wanted: what to keep besides norms; what is still kept is done at once.
            root: the held memory that the text begins from; "" for that of every text.

        Raises:
            InputError: no ids, too many, or some outside the vocabulary.
            HeldMemoryError: the session does not hold the root.
            EngineBusyError: too many texts wait to be inspected.
            EngineClosedError: the engine has been closed.
        """
        start = self._store.held(session_id, root) if root else None
        text = self._checked(ids, self.limits.max_trace_tokens)
        job = TraceJob(self._lock, self._clock, session_id, len(text))
        with self._lock:
            self._require_open()
            self._scheduler.add_trace(Tracing(job, text, wanted, root, start))
        return job

    def study(self, session_id: str, begin: Callable[[Lab], Steps[T]], tokens: int) -> WorkJob[T]:
        """Ask for an experiment, which is run a step at a time, by turns with everyone's work.

        Args:
            session_id: whose kept memories it may use, and who keeps new ones.
            begin: starts the experiment; every step of it must be short and its end bounded.
            tokens: about how many tokens it reads and writes.

        Raises:
            EngineBusyError: too many experiments and traces wait.
            EngineClosedError: the engine has been closed.
        """
        job: WorkJob[T] = WorkJob(self._lock, self._clock, session_id, tokens)
        with self._lock:
            self._require_open()
            self._scheduler.add_study(Study(job), begin)
        return job

    def encode(self, text: str) -> list[int]:
        """Turn a visitor's text into ids.

        Raises:
            InputError: the text is empty, too long, or holds a NUL character.
            TokenizerError: the text holds half a surrogate pair.
        """
        check_text(text, self.limits.max_text_bytes)
        return self.tokenizer.encode(text)

    def hold(self, session_id: str, memory: Memory) -> str:
        """Hold a memory that no ids explain: loaded, edited or tuned.

        Returns:
            Its name, which `submit`, `read` and `trace` take as the root of a text. It is made
            from the content, so the same memory held again later is the same root.

        Raises:
            HeldMemoryError: the session's share is full.
            EngineClosedError: the engine has been closed.
        """
        with self._lock:
            self._require_open()
        return self._store.hold(session_id, replace(memory, state=memory.state.to("cpu")))

    def release(self, session_id: str, root: str) -> None:
        """Let go of a held memory and of what was read from it."""
        self._store.release(session_id, root)

    def memory_at(self, session_id: str, ids: Sequence[int], *, root: str = "") -> Memory | None:
        """Look up the session's memory after exactly these ids; None when it is not kept.

        Raises:
            HeldMemoryError: the session does not hold the root.
        """
        held = self._store.held(session_id, root) if root else None
        if held is not None and not ids:
            return held
        kept = self._store.nearest(session_id, ids, root=root)
        if kept is None or kept.length != len(ids):
            return None
        return Memory(kept.state, kept.length + (held.tokens if held else 0), kept.logits)

    def state_at(self, session_id: str, ids: Sequence[int], *, root: str = "") -> State | None:
        """Look up the state of `memory_at`."""
        memory = self.memory_at(session_id, ids, root=root)
        return memory.state if memory else None

    def kept_length(self, session_id: str, ids: Sequence[int], *, root: str = "") -> int:
        """How many of these ids, from the first on, need not be read again; 0 for none."""
        kept = self._store.nearest(session_id, ids, root=root)
        return kept.length if kept is not None else 0

    def drop_session(self, session_id: str) -> None:
        """End everything a session has running and forget all its memories."""
        self._scheduler.drop(session_id)

    @property
    def is_closed(self) -> bool:
        """Whether it will never run a text again: shut down, or its thread has died."""
        return self._is_closed

    def usage(self) -> Usage:
        """Sum up what is held now and was done so far."""
        with self._lock:
            tally = self._scheduler.tally
            return Usage(
                *self._scheduler.counts,
                tally.tokens_read,
                tally.tokens_written,
                dict(tally.ended),
                tally.first_token,
                len(self._store),
                self._store.nbytes,
            )

    def drain(self, limit_s: float, why: str = RESTARTING) -> None:
        """Take nothing new, let what runs end, and stop what has not ended by then.

        Whoever reads a stopped text gets what was written so far.

        Args:
            limit_s: seconds that running texts get; a second more is given to stopping them.
            why: what whoever asks meanwhile is told.
        """
        with self._lock:
            self._refusal = why
            if self._lock.wait_for(lambda: not self._scheduler.has_work, limit_s):
                return
            self._scheduler.stop_all()
            self._lock.wait_for(lambda: not self._scheduler.has_work, 1.0)

    def resume(self) -> None:
        """Take new texts again after `drain`."""
        with self._lock:
            self._refusal = ""

    def unload(self, why: str) -> None:
        """End for good and give the memory back, also where something still refers to this.

        Args:
            why: what whoever asks afterwards is told.
        """
        with self._lock:
            self._refusal = why
        self.close()
        self._store, self._scheduler = self._with_nothing_kept(None)
        self.model.release()

    def close(self) -> None:
        """End everything and wait for the engine's thread; may be called twice."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        self._thread.join()

    def _require_open(self) -> None:
        if self._refusal:
            raise EngineClosedError(self._refusal)
        if self._is_closed:
            raise EngineClosedError("the engine has been shut down; start the playground again")

    def _checked(self, ids: Sequence[int], limit: int, *, least: int = 1) -> list[int]:
        return checked_ids(ids, limit, least=least, vocab_size=self.model.config.vocab_size)

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._wait_for_work():
                    self._step()
        finally:
            # Also when this thread dies of something unforeseen: nobody may wait for ever.
            with self._lock:
                self._is_closed = True
            self._scheduler.end_all(
                EngineClosedError("the engine was shut down while this ran; start it again")
            )

    def _wait_for_work(self) -> bool:
        with self._lock:
            self._lock.wait_for(lambda: self._is_closed or self._scheduler.has_work)
            return not self._is_closed

    def _step(self) -> None:
        try:
            self._scheduler.step()
        except Exception:
            # The scheduler handles what jobs cause; this is a fault of its own.
            _log.exception("a step of the engine failed")
            self._scheduler.end_all(
                RwkvError("the engine failed and all running texts ended; try again")
            )
