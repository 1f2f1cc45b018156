"""Seeded random RWKV-4 checkpoints in the official key format, for every test.

Shapes are written out here a second time, on purpose: they check the ones in the code.
"""

import torch
from torch import Tensor

from tests.checkpoints import Draw


def random_weights(
    seed: int = 0,
    *,
    n_layer: int = 3,
    n_embd: int = 32,
    head_size: int = 8,
    vocab_size: int = 50,
    n_ffn: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Draw a whole checkpoint whose decays span those of trained models.

    Args:
        seed: equal seeds and sizes give equal weights.
        n_layer, n_embd, vocab_size: sizes.
        head_size: not used; RWKV-4 has no heads.
        n_ffn: width of the channel mix; 4 * n_embd where None.
        dtype: of every tensor, as in a file; bf16 weights are the fp32 ones rounded.

    Returns:
        Official name -> tensor, in the order of a released file.
    """
    draw = Draw(seed, n_embd, dtype)
    draw.linear("emb", vocab_size, n_embd)
    for layer in range(n_layer):
        block, att, ffn = (f"blocks.{layer}{part}" for part in ("", ".att", ".ffn"))
        for name in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
            draw.norm(f"{block}.{name}")
        # exp(-exp(-6)) to exp(-exp(2)): nearly no fading to all gone after one token.
        draw.uniform(f"{att}.time_decay", (n_embd,), -6.0, 2.0)
        draw.uniform(f"{att}.time_first", (n_embd,), -2.0, 1.0)
        for name in "kvr":
            draw.vector(f"{att}.time_mix_{name}", 0.0, 1.0)
        for name in ("key", "value", "receptance", "output"):
            draw.linear(f"{att}.{name}", n_embd, n_embd)
        draw_channel_mix(draw, ffn, n_embd, n_ffn or 4 * n_embd)
    draw.norm("ln_out")
    draw.linear("head", vocab_size, n_embd)
    return draw.weights


def draw_channel_mix(draw: Draw, ffn: str, n_embd: int, n_ffn: int) -> None:
    """Draw the feed-forward half of a block of RWKV-4 or 5."""
    draw.vector(f"{ffn}.time_mix_k", 0.0, 1.0)
    draw.vector(f"{ffn}.time_mix_r", 0.0, 1.0)
    draw.linear(f"{ffn}.key", n_ffn, n_embd)
    draw.linear(f"{ffn}.receptance", n_embd, n_embd)
    draw.linear(f"{ffn}.value", n_embd, n_ffn)
