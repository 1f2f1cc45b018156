"""A program may have told torch to make other numbers than float32 unless it is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rwkv_core.models import load_model
from rwkv_core.models.runtime import Kernel
from rwkv_core.recording import CLOSE_LOOK
from rwkv_core.state import State
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, VOCAB, random_state

IDS = [3, 7, 1, 9, 4, 11, 2, 8, 5]


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def read(path: Path, start: State, strategy: str, kernel: Kernel) -> list[NDArray[np.float32]]:
    """All that reads: from nothing, from a state that is given, several together, and measured."""
    model = load_model(path, strategy, kernel=kernel)
    logits, state = model.prefill(IDS)
    after, _ = model.forward(IDS, start)
    several, _ = model.forward(torch.tensor([IDS, IDS[::-1]]), model.initial_state(2))
    seen = model.trace(IDS, start, wanted=CLOSE_LOOK)
    tensors = [logits, *vars(state).values(), after, several, *vars(seen.state).values()]
    measured = [seen.state_norm, seen.change_norm, seen.head_norm, seen.logits]
    return [*(tensor.numpy() for tensor in tensors), *measured, *seen.activity.values()]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kernel", get_args(Kernel))
@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu int8"])
@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_the_numbers_are_the_same_whatever_torch_makes_by_default(
    tmp_path: Path, generation: str, strategy: str, kernel: Kernel, dtype: torch.dtype
) -> None:
    weights = RANDOM_WEIGHTS[generation](n_layer=2, n_embd=64, head_size=16, vocab_size=VOCAB)
    path = write_pth(tmp_path / "m.pth", weights)
    start = random_state(load_model(path, strategy), batch=1)
    expected = read(path, start, strategy, kernel)
    with default(dtype):
        found = read(path, start, strategy, kernel)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=True)
