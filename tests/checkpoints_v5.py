"""Seeded random RWKV-5.0, 5.1 and 5.2 checkpoints in the official key format, for every test.

Shapes are written out here a second time, on purpose: they check the ones in the code.
"""

import torch
from torch import Tensor

from tests.checkpoints import Draw
from tests.checkpoints_v4 import draw_channel_mix


def random_weights(
    seed: int = 0,
    *,
    generation: str = "5.2",
    n_layer: int = 3,
    n_embd: int = 32,
    head_size: int = 8,
    vocab_size: int = 50,
    n_ffn: int | None = None,
    bonus: str | None = None,
    axes: int = 1,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Draw a whole checkpoint whose decays span those of trained models.

    Args:
        seed: equal seeds and sizes give equal weights.
        generation: "5.0" (no gate), "5.1" (decay and bonus per head) or "5.2" (per channel).
        n_layer, n_embd, head_size, vocab_size: sizes; n_embd is a multiple of head_size.
        n_ffn: width of the channel mix; where None as released: 4 * n_embd in 5.0, and
            3.5 * n_embd, rounded down to a multiple of 32, in 5.1 and 5.2.
        bonus: "time_first" (its logarithm) or "time_faaaa"; where None, time_first in 5.0.
        axes: of decay and bonus in 5.0 and 5.1; 2 means (H, 1).
        dtype: of every tensor, as in a file; bf16 weights are the fp32 ones rounded.

    Returns:
        Official name -> tensor, in the order of a released file.
    """
    draw, n_head = Draw(seed, n_embd, dtype), n_embd // head_size
    n_ffn = n_ffn or (4 * n_embd if generation == "5.0" else n_embd * 7 // 2 // 32 * 32)
    bonus = bonus or ("time_first" if generation == "5.0" else "time_faaaa")
    per_head = (n_head, head_size) if generation == "5.2" else (n_head,) + (1,) * (axes - 1)
    has_gate = generation != "5.0"
    draw.linear("emb", vocab_size, n_embd)
    for layer in range(n_layer):
        block, att, ffn = (f"blocks.{layer}{part}" for part in ("", ".att", ".ffn"))
        for name in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
            draw.norm(f"{block}.{name}")
        for name in "kvrg" if has_gate else "kvr":
            draw.vector(f"{att}.time_mix_{name}", 0.0, 1.0)
        # exp(-exp(-6)) to exp(-exp(1)): nearly no fading to nearly all gone after one token.
        draw.uniform(f"{att}.time_decay", per_head, -6.0, 1.0)
        draw.uniform(f"{att}.{bonus}", per_head, -0.2, 1.5)
        matrices = ("receptance", "key", "value", "output", *(["gate"] if has_gate else []))
        for name in matrices:
            draw.linear(f"{att}.{name}", n_embd, n_embd)
        draw.relate_key_to_receptance(att)
        draw.norm(f"{att}.ln_x")
        draw_channel_mix(draw, ffn, n_embd, n_ffn)
    draw.norm("ln_out")
    draw.linear("head", vocab_size, n_embd)
    return draw.weights
