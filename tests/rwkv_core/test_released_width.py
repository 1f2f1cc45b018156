"""At the width of the released 0.1B models float32 stays close to float64, in both modes.

The comparisons with the PyPI package at this width stand with each generation's parity tests.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from rwkv_core.models import load_model
from tests import checkpoints, checkpoints_v4, checkpoints_v5, checkpoints_v6
from tests.checkpoints import Ranks, write_pth
from tests.generations import as_numpy, random_tokens
from tests.references import rwkv4_float64, rwkv5_float64, rwkv6_float64, rwkv7_float64
from tests.tolerances import EXACT_AT_RELEASED_WIDTH, assert_logits_close

# The vocabulary is small, to be quick: its rows do not touch each other.
VOCAB = 300
SIZES = {"n_layer": 12, "n_embd": 768, "head_size": 64, "vocab_size": VOCAB}


class Case(NamedTuple):
    """How to draw a generation's weights, and who computes them in float64."""

    draw: Callable[..., dict[str, Tensor]]
    reference: Callable[..., Any]


CASES = {
    "4": Case(checkpoints_v4.random_weights, rwkv4_float64.Reference),
    "5.1": Case(partial(checkpoints_v5.random_weights, generation="5.1"), rwkv5_float64.Reference),
    "5.2": Case(partial(checkpoints_v5.random_weights, generation="5.2"), rwkv5_float64.Reference),
    # Ranks of the released 1B6. Seed 0 has a head that reads nearly nothing at the first token.
    "6": Case(
        partial(checkpoints_v6.random_weights, seed=1, mix_rank=32, decay_rank=64),
        rwkv6_float64.Reference,
    ),
    "7": Case(
        partial(checkpoints.random_weights, ranks=Ranks(w=64, a=64, v=32, g=128)),
        rwkv7_float64.Reference,
    ),
}


@pytest.mark.parametrize("generation", CASES)
def test_sequence_and_single_tokens_agree_with_float64(generation: str, tmp_path: Path) -> None:
    case = CASES[generation]
    weights = case.draw(**SIZES, dtype=torch.bfloat16)
    path = write_pth(tmp_path / "wide.pth", weights)
    model, tokens = load_model(path, "cpu fp32"), random_tokens(1, 6, vocab_size=VOCAB)
    path.unlink()
    expected, _ = case.reference(as_numpy(weights)).forward(tokens.numpy())
    at_once, _ = model.forward(tokens, all_logits=True)
    assert_logits_close(at_once, expected, EXACT_AT_RELEASED_WIDTH)
    state, rows = None, []
    for t in range(tokens.shape[1]):
        logits, state = model.forward(tokens[:, t : t + 1], state)
        rows.append(logits)
    assert_logits_close(torch.stack(rows, dim=1), expected, EXACT_AT_RELEASED_WIDTH)
