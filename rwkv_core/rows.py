"""One generation, trace or study on its way through the engine: what it has read and written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rwkv_core.errors import RwkvError
from rwkv_core.generate import GenerationSettings, TextAssembler, Token, make_token
from rwkv_core.inspection.lab import Steps, Text
from rwkv_core.models import Model
from rwkv_core.models.recorder import Recorder
from rwkv_core.recording import Recording, Wanted
from rwkv_core.recordings import RecordingKey
from rwkv_core.sampling import Logits, Penalties, sample, weigh
from rwkv_core.sessions import Snapshot, StateStore
from rwkv_core.state import Memory, State
from rwkv_core.streams import Reason, Stream, StreamResult, TraceJob, WorkJob
from rwkv_core.tokenizer import Tokenizer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Place:
    """The memory of one conversation, where it lies in a batch.

    Attributes:
        length: tokens read to get here.
        state: of the whole batch.
        index: which conversation of the batch it is.
        logits: (V,) after the last token.
    """

    length: int
    state: State
    index: int
    logits: Logits


@dataclass(eq=False)
class Row:
    """One generation from submission to result; only the engine's thread changes it.

    Attributes:
        stream: the reader's side.
        ids: the prompt.
        settings: how to write.
        seed: the one in use.
        alternatives: how many to list with each token.
        assembler: turns written tokens into text.
        penalties: for what is written so far.
        submitted_at: on the engine's clock, as are the other times.
        root: the held memory that ids are read from; "" for the memory of every text.
        writes: whether a text is to be written, or the prompt only read.
        keep_every: keep the memory after so many written tokens; 0 for the end alone.
        tells_change: whether tokens tell how far they moved the memory.
        is_quiet: read only while nobody else asks for anything.
        before: tokens that the root has read.
        started_at: when it got a slot.
        read_at: when the whole prompt was read.
        first_token_at: when the first token was handed over.
        reused: tokens of the prompt that a kept state covered.
        place: the memory reached; None before the first token is read.
        settled: the last memory whose text is all shown; later tokens may begin a stop string.
        written_ids: tokens written, a stop string's included.
        is_dropped: its session is gone, so nothing of it may be kept; guarded by the lock.
    """

    stream: Stream
    ids: list[int]
    settings: GenerationSettings
    seed: int
    alternatives: int
    assembler: TextAssembler
    penalties: Penalties
    submitted_at: float
    root: str = ""
    writes: bool = True
    keep_every: int = 0
    tells_change: bool = False
    is_quiet: bool = False
    before: int = 0
    started_at: float | None = None
    read_at: float | None = None
    first_token_at: float | None = None
    reused: int = 0
    place: Place | None = None
    settled: Place | None = None
    written_ids: list[int] = field(default_factory=list)
    is_dropped: bool = False

    @property
    def length(self) -> int:
        """Tokens in the memory."""
        return self.place.length if self.place else 0

    @property
    def written(self) -> int:
        """How many tokens were written."""
        return len(self.written_ids)

    @property
    def is_reading(self) -> bool:
        """Whether part of the prompt is still to be read."""
        return self.length < len(self.ids)

    def choose(self, tokenizer: Tokenizer) -> Token:
        """Sample the next token; the whole prompt has been read."""
        assert self.place is not None
        scores = weigh(self.place.logits)
        token = sample(
            scores,
            self.settings.sampling,
            seed=self.seed,
            position=self.before + self.place.length,
            penalties=self.penalties,
        )
        return make_token(token, scores, tokenizer, alternatives=self.alternatives)

    def accept(self, token: Token, place: Place) -> list[Token]:
        """Take a token and the memory that holds it; returns the tokens settled by it."""
        self.penalties = self.penalties.after(token.id)
        self.written_ids.append(token.id)
        self.place = place
        settled = self.assembler.feed(token)
        if not self.assembler.is_holding and not self.assembler.is_stopped:
            self.settled = place
        return settled

    def hand_over(self, tokens: list[Token], now: float) -> None:
        """Give settled tokens to the reader."""
        if tokens and self.first_token_at is None:
            self.first_token_at = now
        for token in tokens:
            self.stream.push(token)

    def result(self, reason: Reason, error: RwkvError | None, now: float) -> StreamResult:
        """Sum up a generation that ends now."""
        started_at = now if self.started_at is None else self.started_at
        read_at = now if self.read_at is None else self.read_at
        first_at = self.submitted_at if self.first_token_at is None else self.first_token_at
        write_s = now - read_at
        return StreamResult(
            reason=reason,
            error=error,
            generated_ids=self.assembler.ids,
            text=self.assembler.text,
            seed=self.seed,
            tokens_reused=self.reused,
            tokens_read=min(self.length, len(self.ids)) - self.reused,
            read_s=read_at - started_at,
            first_token_s=first_at - self.submitted_at,
            write_s=write_s,
            tokens_per_s=self.written / write_s if write_s > 0 else 0.0,
        )


@dataclass(eq=False)
class Tracing:
    """One trace under way.

    Attributes:
        job: the reader's side.
        ids: the text.
        wanted: what to keep of it.
        root: name of the held memory that it begins from; "" for that of every text.
        start: that memory; None for that of every text.
        recorder: takes the measures; made when its turn comes.
        state: memory after what is read so far; None before the first token.
        logits: (1, V) after what is read so far.
        tokens_read: how many tokens that is.
        is_dropped: its session is gone; guarded by the lock.
    """

    job: TraceJob
    ids: list[int]
    wanted: Wanted
    root: str = ""
    start: Memory | None = None
    recorder: Recorder | None = None
    state: State | None = None
    logits: Tensor | None = None
    tokens_read: int = 0
    is_dropped: bool = False

    @property
    def key(self) -> RecordingKey:
        """What its recording is kept under."""
        return RecordingKey(self.job.session_id, self.root, tuple(self.ids), self.wanted)

    def step(self, model: Model, beginning: State | None, chunk_tokens: int) -> Recording | None:
        """Read the next chunk and publish how far it is; returns the recording at the end.

        Args:
            model: what reads.
            beginning: memory of every text; None for an empty one.
            chunk_tokens: the most to read.
        """
        if self.recorder is None:
            self.recorder, self.state = model.recorder(self.ids, self.wanted), beginning
            if self.start is not None:
                self.state = self.start.state.to(model.initial_state().wkv.device)
            if self.start is not None and self.start.logits is not None:
                self.logits = torch.from_numpy(self.start.logits)[None]
        chunk = self.ids[self.tokens_read : self.tokens_read + chunk_tokens]
        logits, state = model.record(self.recorder, chunk, self.state, self.logits)
        self.logits, self.state = logits, state
        self.tokens_read += len(chunk)
        self.job.report("reading", tokens_read=self.tokens_read)
        is_done = self.tokens_read == len(self.ids)
        return self.recorder.finish(logits[0], state) if is_done else None


@dataclass(eq=False)
class Study:
    """One experiment under way.

    Attributes:
        job: the reader's side.
        steps: the work, a bounded piece at a time; None until the engine has begun it.
        is_dropped: its session is gone, so nothing of it may be kept; guarded by the lock.
    """

    job: WorkJob[Any]
    steps: Steps[Any] | None = None
    is_dropped: bool = False

    def step(self) -> bool:
        """Do the next piece and publish it; returns whether the work is done."""
        assert self.steps is not None
        try:
            done, so_far = next(self.steps)
        except StopIteration as end:
            self.job.finish(end.value)
            return True
        if so_far is not None:
            self.job.show(so_far)
        self.job.report("reading", tokens_read=done)
        return False


def access_of(
    study: Study, store: StateStore, lock: threading.Condition, device: torch.device
) -> tuple[Callable[[Text], Snapshot | None], Callable[[Text, Snapshot], None]]:
    """Let an experiment recall and keep memories of its own session, while that is there."""
    session_id = study.job.session_id

    def recall(text: Text) -> Snapshot | None:
        kept = store.nearest(session_id, text.ids, root=text.root)
        if kept is None and text.root:
            held = store.held(session_id, text.root)
            scores = np.zeros(0, np.float32) if held.logits is None else held.logits
            kept = Snapshot(0, held.state, scores)
        return kept and replace(kept, state=kept.state.to(device))

    def keep(text: Text, snapshot: Snapshot) -> None:
        with lock:
            if not study.is_dropped:
                store.put(session_id, text.ids, snapshot.state, snapshot.logits, root=text.root)

    return recall, keep


def batch_of(places: Sequence[Place]) -> State:
    """Join memories; as long as nobody joins or leaves they are the last step's batch."""
    state = places[0].state
    if state.batch_size == len(places) and all(
        place.state is state and place.index == index for index, place in enumerate(places)
    ):
        return state
    return State.stack([place.state.at(place.index) for place in places])


def relative_change(before: State, after: State, index: int) -> tuple[float, ...]:
    """Compute ||S_t - S_{t-1}|| / ||S_{t-1}|| of one conversation by layer, over all heads."""
    old, new = before.memory[:, index], after.memory[:, index]
    axes = (1, 2, 3)  # of (L, H, V, K)
    moved = torch.linalg.vector_norm(new - old, dim=axes)
    size = torch.linalg.vector_norm(old, dim=axes)
    return tuple((moved / (size + 1e-8)).tolist())


def checked_scores(logits: Logits) -> Logits:
    """Refuse scores that are no numbers.

    Raises:
        RwkvError: the model's numbers overflowed.
    """
    # The maximum is NaN when any of them is.
    if not np.isfinite(logits.max()):
        raise RwkvError(
            "the model's numbers overflowed, so this text cannot go on; go back one turn, or "
            "load the model with the strategy 'cpu fp32'"
        )
    return logits


def as_sentence(error: Exception) -> RwkvError:
    """Turn a failure into what a visitor may read; the log has the rest."""
    if isinstance(error, RwkvError):
        return error
    _log.error("a job failed", exc_info=error)
    return RwkvError(
        "the model failed ({kind}) and this text ended there; try again, and look into the "
        "server's log if it happens again",
        kind=type(error).__name__,
    )
