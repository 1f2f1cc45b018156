"""Who reads and who writes next: slots, waiting lines, and one step of the engine."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from rwkv_core.admission import Admission
from rwkv_core.drafts import DraftLine, next_piece
from rwkv_core.errors import RwkvError
from rwkv_core.generate import Token
from rwkv_core.inspection.lab import Lab, Steps
from rwkv_core.limits import EngineLimits
from rwkv_core.models import Model
from rwkv_core.recording import Recording
from rwkv_core.recordings import RecordingStore
from rwkv_core.rows import (
    Place,
    Row,
    Study,
    Tracing,
    access_of,
    as_sentence,
    batch_of,
    checked_scores,
    relative_change,
)
from rwkv_core.sessions import StateStore
from rwkv_core.state import State
from rwkv_core.streams import Job, Reason
from rwkv_core.tally import Tally
from rwkv_core.tokenizer import Tokenizer

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs everyone's reading and writing on one model, a step at a time.

    A step ends what has to end, gives free slots to the waiting, reads one chunk of one prompt
    (or of one trace or study, when no prompt is being read), and writes one token for all who write,
    as one batch. So a long prompt costs the others one chunk per token, however long it is.

    `add`, `add_trace`, `add_study`, `drop` and `has_work` are for any thread, the rest for the engine's
    only. Lists change under the lock; the engine's thread, which alone takes from them, may
    look at them without.

    Args:
        model: used on the engine's thread only.
        tokenizer: the model's.
        limits: what to give out.
        store: keeps states between generations; has a lock of its own.
        lock: guards all that is shared with readers; notified when there is news.
        clock: seconds, monotonic.
        start: memory that every text begins from; an empty one by default.

    Attributes:
        tally: what was done; read it under the lock.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        limits: EngineLimits,
        *,
        store: StateStore,
        lock: threading.Condition,
        clock: Callable[[], float],
        start: State | None = None,
    ) -> None:
        self._model, self._tokenizer, self._limits = model, tokenizer, limits
        self._store, self._lock, self._clock = store, lock, clock
        self._recordings = RecordingStore(
            limits.recording_bytes, idle_ttl_s=limits.idle_ttl_s, clock=clock
        )
        self._device = model.initial_state().wkv.device
        self._start = None if start is None else start.to(self._device)
        self._waiting: deque[Row] = deque()
        # Who reads stands in the order of turns, who writes in the order of the batch.
        self._active: list[Row] = []
        self._drafts = DraftLine(limits.slots)
        self._traces: deque[Tracing | Study] = deque()
        self.tally = Tally()
        self._admission = Admission(limits, self.tally)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many texts run, wait, and are inspected; ask under the lock."""
        return len(self._active), len(self._waiting), len(self._traces)

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything; ask under the lock."""
        return bool(self._waiting or self._active or self._traces or self._drafts.rows)

    def add(self, row: Row) -> None:
        """Put a generation into the waiting line.

        Raises:
            EngineBusyError: the line is full, or the session has too much running.
        """
        with self._lock:
            if row.is_quiet:
                self._drafts.add(row, is_busy=bool(self._waiting or self._active))
                self._lock.notify_all()
                return
            queued = max(0, len(self._waiting) + len(self._active) - self._limits.slots)
            self._admission.admit_row(row.stream.session_id, self._sessions(), queued)
            self._waiting.append(row)
            self._report_place(row, len(self._waiting))
            self._drafts.give_way()

    def add_study(self, study: Study, begin: Callable[[Lab], Steps[Any]]) -> None:
        """Put an experiment into the line of the traces; errors as there."""
        access = access_of(study, self._store, self._lock, self._device)
        chunk = self._limits.prefill_chunk
        lab = Lab(self._model, self._tokenizer, self._start, chunk, *access)
        study.steps = begin(lab)
        self.add_trace(study)

    def add_trace(self, tracing: Tracing | Study) -> None:
        """Put a trace into its own line; one that is still kept is done at once.

        Raises:
            EngineBusyError: the line is full.
        """
        with self._lock:
            if isinstance(tracing, Tracing) and (kept := self._recordings.get(tracing.key)):
                tracing.job.report("reading", tokens_read=len(tracing.ids))
                tracing.job.finish(kept)
                return
            session_id = tracing.job.session_id
            self._admission.admit_trace(session_id, self._sessions(), len(self._traces))
            self._traces.append(tracing)
            tracing.job.report("waiting", queue_position=len(self._traces))

    def drop(self, session_id: str) -> None:
        """End a session's jobs and forget its memories, those still to come included."""
        with self._lock:
            rows, traces = self._jobs()
            for row in rows:
                if row.stream.session_id == session_id:
                    row.is_dropped = True
                    row.stream.cancel()
            for tracing in traces:
                if tracing.job.session_id == session_id:
                    tracing.is_dropped = True
                    tracing.job.cancel()
            self._store.drop(session_id)
            self._recordings.drop(session_id)

    def step(self) -> None:
        """Do the next piece of everyone's work."""
        self._end_what_must()
        self._admit()
        reading = [row for row in self._active if row.is_reading]
        if reading:
            self._read(reading[0])
        elif self._traces:
            self._measure(self._traces[0])
        if writing := [row for row in self._active if not row.is_reading]:
            self._write(writing)
        elif self._drafts.rows and not (reading or self._traces):
            self._read_draft()

    def stop_all(self) -> None:
        """Let every job end as if its reader had stopped it; for any thread."""
        for job in self._handles():
            job.cancel()

    def end_all(self, error: RwkvError) -> None:
        """End every job with this error."""
        rows, traces = self._jobs()
        for row in rows:
            self._end(row, "error", error)
        for tracing in traces:
            self._end_trace(tracing, error)

    def _jobs(self) -> tuple[list[Row], list[Tracing | Study]]:
        # Other threads may add some meanwhile.
        with self._lock:
            return [*self._waiting, *self._active, *self._drafts.rows], [*self._traces]

    def _handles(self) -> list[Job]:
        rows, traces = self._jobs()
        return [*(row.stream for row in rows), *(tracing.job for tracing in traces)]

    def _sessions(self) -> list[str]:
        drafts = {id(row.stream) for row in self._drafts.rows}
        return [job.session_id for job in self._handles() if id(job) not in drafts]

    def _report_place(self, row: Row, position: int) -> None:
        wait_s = self.tally.wait_s(position, self._limits.slots)
        row.stream.report("waiting", queue_position=position, wait_s=wait_s)

    def _end_what_must(self) -> None:
        rows, traces = self._jobs()
        now = self._clock()
        for row in rows:
            if verdict := row.stream.verdict(self._limits.unread_s):
                self._end(row, verdict)
            elif row.started_at is not None and now - row.started_at > self._limits.deadline_s:
                self._end(row, "deadline")
        for tracing in traces:
            if verdict := tracing.job.verdict(self._limits.unread_s):
                self._end_trace(tracing, RwkvError("the reading was ended: {why}", why=verdict))

    def _admit(self) -> None:
        while self._waiting and len(self._active) < self._limits.slots:
            with self._lock:
                row = self._waiting.popleft()
                self._active.append(row)
                for position, other in enumerate(self._waiting, start=1):
                    self._report_place(other, position)
            row.started_at = self._clock()
            with self._failures_of(row):
                self._begin(row)

    def _begin(self, row: Row) -> None:
        """Put a row where the nearest kept state is, or at its root."""
        session_id = row.stream.session_id
        root = self._store.held(session_id, row.root) if row.root else None
        kept = self._store.nearest(session_id, row.ids, root=row.root)
        row.before = root.tokens if root else 0
        if kept is not None:
            row.reused = kept.length
            place = Place(kept.length, kept.state.to(self._device), 0, kept.logits)
        elif root is not None:
            # Without scores it must read a token first; the engine has seen to that.
            logits = np.zeros(0, np.float32) if root.logits is None else root.logits
            place = Place(0, root.state.to(self._device), 0, logits)
        else:
            row.stream.report("reading")
            return
        self._move(row, place)

    def _read(self, row: Row) -> None:
        """Read one chunk of a prompt; then it is the next reader's turn."""
        with self._lock:
            self._active.remove(row)
            self._active.append(row)
        with self._failures_of(row):
            chunk = row.ids[row.length : row.length + self._limits.prefill_chunk]
            self._move(row, self._forward(chunk, row.place))
            if not row.is_reading and row.writes:
                # So that writing another answer needs no reading.
                self._keep(row, row.ids, row.place)

    def _read_draft(self) -> None:
        """Read a piece of a draft; its memory is kept along the way, for a draft is edited."""
        with self._lock:
            row = self._drafts.turn()
        with self._failures_of(row):
            if row.started_at is None:
                row.started_at = self._clock()
                self._begin(row)
                return
            self._move(row, self._forward(next_piece(row), row.place))
            if row.is_reading:
                self._keep(row, row.ids[: row.length], row.place)

    def _move(self, row: Row, place: Place) -> None:
        """Note how far a prompt has been read; the end of it may be all that was asked for."""
        row.place = row.settled = place
        if not row.is_reading:
            row.read_at = self._clock()
        row.stream.report("reading" if row.is_reading else "writing", tokens_read=place.length)
        if not row.is_reading and not row.writes:
            self._end(row, "read")

    def _write(self, rows: Sequence[Row]) -> None:
        """Write one token for each row."""
        chosen: list[tuple[Row, Token]] = []
        for row in rows:
            with self._failures_of(row):
                token = row.choose(self._tokenizer)
                if token.id in row.settings.stop_tokens:
                    self._end(row, "end_of_text")
                else:
                    chosen.append((row, token))
        if chosen:
            self._decode(chosen)

    def _decode(self, chosen: Sequence[tuple[Row, Token]]) -> None:
        """Let the model read one token per row, as one batch."""
        tokens = torch.tensor([[token.id] for _, token in chosen])
        try:
            before = batch_of([row.place for row, _ in chosen if row.place])
            logits, after = self._model.forward(tokens, before)
            scores = logits.cpu().numpy()
            self.tally.tokens_written += len(chosen)
        except Exception as error:
            if len(chosen) == 1:
                self._fail(chosen[0][0], error)
                return
            # One by one, so that only those end for whom it fails again.
            for one in chosen:
                self._decode([one])
            return
        for index, (row, token) in enumerate(chosen):
            with self._failures_of(row):
                place = Place(row.length + 1, after, index, checked_scores(scores[index]))
                if row.tells_change:
                    token = replace(token, change=relative_change(before, after, index))
                shown = row.accept(token, place)
                row.hand_over(shown, self._clock())
                if row.assembler.is_stopped:
                    self._end(row, "stop")
                elif row.written == row.settings.max_tokens:
                    self._end(row, "length")
                elif row.keep_every and row.written % row.keep_every == 0:
                    self._keep(row, [*row.ids, *row.written_ids], place)

    def _measure(self, work: Tracing | Study) -> None:
        """Do one piece of a trace or study; then it is the next one's turn."""
        with self._lock:
            self._traces.rotate(-1)
        try:
            if isinstance(work, Tracing):
                before = work.tokens_read
                recording = work.step(self._model, self._start, self._limits.prefill_chunk)
                self.tally.tokens_read += work.tokens_read - before
                if recording is not None:
                    self._end_trace(work, recording)
            elif work.step():
                with self._lock:
                    self._traces.remove(work)
        except Exception as error:
            self._end_trace(work, as_sentence(error))

    def _forward(self, tokens: list[int], place: Place | None) -> Place:
        state = batch_of([place]) if place else self._start
        logits, state = self._model.forward(tokens, state)
        self.tally.tokens_read += len(tokens)
        length = len(tokens) + (place.length if place else 0)
        return Place(length, state, 0, checked_scores(logits.cpu().numpy()[0]))

    def _end(self, row: Row, reason: Reason, error: RwkvError | None = None) -> None:
        """Free the row's slot and tell its reader; what it has read and written is kept."""
        row.hand_over(row.assembler.finish(), self._clock())
        try:
            self._keep_end(row)
        except Exception:
            # Only time is lost: the next prompt is read from an earlier state.
            _log.exception("the state after a text could not be kept")
        with self._lock:
            lines = (self._active, self._waiting, self._drafts.rows)
            next(line for line in lines if row in line).remove(row)
            now = self._clock()
            result = row.result(reason, error, now)
            held_s = 0.0 if row.started_at is None else now - row.started_at
            self.tally.end(reason, first_token_s=result.first_token_s, held_s=held_s)
            row.stream.finish(result)

    def _keep_end(self, row: Row) -> None:
        ids = [*row.ids, *row.assembler.ids]
        # After a stop string, go back to before it; a token it cut in two is read in part.
        place = row.settled if row.assembler.is_stopped else row.place
        if place is None or place.length == 0:
            return
        if row.assembler.is_stopped and place.length < len(ids):
            place = self._forward(ids[place.length :], place)
        self._keep(row, ids[: place.length], place)

    def _keep(self, row: Row, ids: Sequence[int], place: Place | None) -> None:
        assert place is not None
        state, logits = place.state.select(place.index).to("cpu"), place.logits.copy()
        with self._lock:
            if not row.is_dropped:
                self._store.put(row.stream.session_id, ids, state, logits, root=row.root)

    def _end_trace(self, tracing: Tracing | Study, outcome: Recording | RwkvError) -> None:
        with self._lock:
            self._traces.remove(tracing)
            tracing.job.finish(outcome)
            # A session that has gone has cancelled its jobs, and nothing of it is kept.
            if isinstance(outcome, Recording) and not tracing.job.is_cancelled:
                assert isinstance(tracing, Tracing)
                self._recordings.put(tracing.key, outcome)

    def _fail(self, row: Row, error: Exception) -> None:
        self._end(row, "error", as_sentence(error))

    @contextmanager
    def _failures_of(self, row: Row) -> Iterator[None]:
        """End only this row when something goes wrong with it."""
        try:
            yield
        except Exception as error:
            self._fail(row, error)
