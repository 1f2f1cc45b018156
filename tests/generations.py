"""Every generation that runs, for tests that hold for all of them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwkv_core.models import Model
from rwkv_core.state import State
from tests import checkpoints, checkpoints_v4, checkpoints_v5, checkpoints_v6
from tests.checkpoints import Ranks
from tests.references import (
    rwkv4_float64,
    rwkv5_float64,
    rwkv6_float64,
    rwkv7_float64,
    rwkv7a_float64,
)
from tests.references.rwkv7_float64 import ReferenceState
from tests.tolerances import Tolerance, assert_close

# Each takes seed, n_layer, n_embd, head_size, vocab_size and dtype, and draws a checkpoint.
RANDOM_WEIGHTS: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "4": checkpoints_v4.random_weights,
    "5.0": partial(checkpoints_v5.random_weights, generation="5.0"),
    "5.1": partial(checkpoints_v5.random_weights, generation="5.1"),
    "5.2": partial(checkpoints_v5.random_weights, generation="5.2"),
    "6": checkpoints_v6.random_weights,
    "7": checkpoints.random_weights,
    "7a": checkpoints_v6.random_weights_7a,
}
# Each takes weights as numpy arrays and has a method forward(tokens, state).
REFERENCES: Mapping[str, Callable[..., Any]] = {
    "4": rwkv4_float64.Reference,
    "5.0": rwkv5_float64.Reference,
    "5.1": rwkv5_float64.Reference,
    "5.2": rwkv5_float64.Reference,
    "6": rwkv6_float64.Reference,
    "7": rwkv7_float64.Reference,
    "7a": rwkv7a_float64.Reference,
}
# Widths of low-rank matrices in released files: RWKV-6 of 1B6, RWKV-7 of 0.1B.
RELEASED_RANKS: Mapping[str, dict[str, Any]] = {
    "6": {"mix_rank": 32, "decay_rank": 64},
    "7": {"ranks": Ranks(w=64, a=64, v=32, g=128)},
    "7a": {"rank": 32},
}
VOCAB = 50


def random_tokens(batch: int, length: int, seed: int = 1, vocab_size: int = VOCAB) -> Tensor:
    """Draw ids, (batch, length)."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab_size, (batch, length), generator=draw)


def random_state(model: Model, batch: int, seed: int = 2) -> State:
    """Draw a memory that no text has made."""
    draw = torch.Generator().manual_seed(seed)
    parts = vars(model.initial_state(batch)).values()
    return State(*(torch.randn(part.shape, generator=draw) for part in parts))


def as_numpy(weights: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Turn weights of any float dtype into what the references take."""
    return {name: value.float().numpy() for name, value in weights.items()}


def as_reference(state: State) -> ReferenceState:
    """Turn a state into the references' float64 one."""
    return ReferenceState(*(part.double().numpy() for part in vars(state).values()))


def assert_states_close(
    state: State,
    expected: ReferenceState | State,
    limit: torch.dtype | Tolerance = torch.float32,
) -> None:
    """Compare every part, measured in its own spread: sums of products grow with the text."""
    for part in ReferenceState._fields:
        right = np.asarray(getattr(expected, part), np.float64)
        spread = max(1.0, float(right.std()))
        assert_close(np.asarray(getattr(state, part)) / spread, right / spread, limit)


def greedy(model: Model, logits: Tensor, state: State, count: int) -> list[int]:
    """Continue with the likeliest token, count times."""
    ids = []
    for _ in range(count):
        ids.append(int(logits.argmax()))
        logits, state = model.forward(ids[-1:], state)
    return ids
