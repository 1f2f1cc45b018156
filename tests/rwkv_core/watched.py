"""A fake model that tells what the engine asks of it, and an engine on top of it."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

from rwkv_core.engine import Engine, EngineLimits, Stream, StreamResult
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.models import Model
from rwkv_core.recording import Recording, Wanted
from rwkv_core.sampling import SamplingSettings
from rwkv_core.state import State
from tests.rwkv_core.clock import Clock
from tests.rwkv_core.fakes import FakeModel, FakeTokenizer, flat_recording

TOKENIZER = FakeTokenizer()
GREEDY = SamplingSettings(temperature=0, presence_penalty=0, frequency_penalty=0)
# Tests choose when time passes, so by default nobody is ever too slow.
LIMITS = EngineLimits(prefill_chunk=4, unread_s=math.inf, deadline_s=math.inf)
LONG = [1 + n % 200 for n in range(400)]


class WatchedModel(FakeModel):
    """A fake that notes what the engine asks of it, and lets a test act between two calls."""

    def __init__(self, writes: list[int] | None = None) -> None:
        super().__init__(TOKENIZER.vocab_size, writes or [])
        # What was asked, and of how many tokens (to read or trace) or rows (to write).
        self.calls: list[tuple[str, int]] = []
        self.before_call: Callable[[int], object] = lambda number: None
        self.spoil: Callable[[Tensor | list[int], Tensor], Tensor] = lambda tokens, logits: logits

    def forward(
        self, tokens: Tensor | list[int], state: State | None = None, *, all_logits: bool = False
    ) -> tuple[Tensor, State]:
        assert torch.is_inference_mode_enabled()
        self.calls.append(("write" if isinstance(tokens, Tensor) else "read", len(tokens)))
        self.before_call(len(self.calls))
        logits, state = super().forward(tokens, state, all_logits=all_logits)
        return self.spoil(tokens, logits), state

    def recorder(self, tokens: list[int], wanted: Wanted) -> "FlatRecorder":
        return FlatRecorder(tokens)

    def record(
        self, recorder: "FlatRecorder", tokens: list[int], state: State | None, logits: Tensor
    ) -> tuple[Tensor, State]:
        self.calls.append(("trace", len(tokens)))
        self.before_call(len(self.calls))
        return super().forward(tokens, state)


class FlatRecorder:
    """A recorder that measured nothing."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens

    def finish(self, logits: Tensor, state: State) -> Recording:
        return flat_recording(self.tokens, logits, state)


def open_engine(
    model: FakeModel, limits: EngineLimits = LIMITS, *, clock: Clock | None = None
) -> Engine:
    return Engine(cast(Model, model), TOKENIZER, limits, clock=clock or Clock())


def settings(
    max_tokens: int = 8, *, seed: int = 1, stop: tuple[str, ...] = (), greedy: bool = False
) -> GenerationSettings:
    sampling = GREEDY if greedy else SamplingSettings(seed=seed)
    # No stop tokens: how long a random text gets is up to the test.
    return GenerationSettings(sampling, max_tokens, stop, stop_tokens=())


def end_of(stream: Stream) -> StreamResult:
    """Wait for the end without reading."""
    with stream._lock:
        assert stream._lock.wait_for(lambda: stream.result is not None, timeout=30)
        assert stream.result is not None
        return stream.result


def same(one: State, other: State) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def ids_alone(model: FakeModel, ids: list[int], wanted: GenerationSettings) -> list[int]:
    return [token.id for token in generate(model, TOKENIZER, ids, wanted)]


@contextmanager
def held(model: WatchedModel) -> Iterator[threading.Event]:
    """Hold the model in its next call; the event is set when it is there."""
    entered, go = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        entered.set()
        assert go.wait(30)

    before, model.before_call = model.before_call, wait
    try:
        yield entered
    finally:
        model.before_call = before
        go.set()


def at_call(model: WatchedModel, number: int, action: Callable[[], object]) -> None:
    """Do something on the engine's thread, just before this call of the model."""
    model.before_call = lambda current: action() if current == number else None
