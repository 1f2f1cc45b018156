"""At the width of the released 0.1B models float32 stays close to float64, in both modes.

The comparisons with the PyPI package at this width stand with each generation's parity tests.
"""

from pathlib import Path

import pytest
import torch

from rwkv_core.models import load_model
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, REFERENCES, RELEASED_RANKS, as_numpy, random_tokens
from tests.tolerances import EXACT_AT_RELEASED_WIDTH, assert_logits_close

# The vocabulary is small, to be quick: its rows do not touch each other.
VOCAB = 300
SIZES = {"n_layer": 12, "n_embd": 768, "head_size": 64, "vocab_size": VOCAB}
# RWKV-6's seed 0 draws a head that reads nearly nothing at the first token.
SEED = 1


@pytest.mark.parametrize("generation", ["4", "5.1", "5.2", "6", "7"])
def test_sequence_and_single_tokens_agree_with_float64(generation: str, tmp_path: Path) -> None:
    sizes = SIZES | RELEASED_RANKS.get(generation, {})
    weights = RANDOM_WEIGHTS[generation](SEED, **sizes, dtype=torch.bfloat16)
    path = write_pth(tmp_path / "wide.pth", weights)
    model, tokens = load_model(path, "cpu fp32"), random_tokens(1, 6, vocab_size=VOCAB)
    path.unlink()
    expected, _ = REFERENCES[generation](as_numpy(weights)).forward(tokens.numpy())
    at_once, _ = model.forward(tokens, all_logits=True)
    assert_logits_close(at_once, expected, EXACT_AT_RELEASED_WIDTH)
    state, rows = model.initial_state(), []
    for t in range(tokens.shape[1]):
        logits, state = model.forward(tokens[:, t : t + 1], state)
        rows.append(logits)
    assert_logits_close(torch.stack(rows, dim=1), expected, EXACT_AT_RELEASED_WIDTH)
