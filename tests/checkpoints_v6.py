"""Seeded random RWKV-6 and RWKV-7a checkpoints in the official key format.

Shapes are written out here a second time, on purpose: they check the ones in the code.
"""

import torch
from torch import Tensor

from tests import checkpoints
from tests.checkpoints import Draw


def random_weights(
    seed: int = 0,
    *,
    n_layer: int = 3,
    n_embd: int = 32,
    head_size: int = 8,
    vocab_size: int = 50,
    n_ffn: int | None = None,
    mix_rank: int = 3,
    decay_rank: int = 5,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Draw an RWKV-6 checkpoint in which decay and all five mixes vary by token.

    Args:
        seed: equal seeds and sizes give equal weights.
        n_layer, n_embd, head_size, vocab_size: sizes; n_embd is a multiple of head_size.
        n_ffn: width of the channel mix; as released models have it where None.
        mix_rank, decay_rank: widths of the low-rank matrices.
        dtype: of every tensor, as in a file.
    """
    draw = Draw(seed, n_embd, dtype)
    n_ffn = n_ffn or int(n_embd * 3.5) // 32 * 32
    draw.linear("emb", vocab_size, n_embd)
    for layer in range(n_layer):
        block, att, ffn = (f"blocks.{layer}{part}" for part in ("", ".att", ".ffn"))
        for name in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
            draw.norm(f"{block}.{name}")
        for name in "xwkvrg":
            draw.vector(f"{att}.time_maa_{name}", 0.0, 1.0)
        draw.normal(f"{att}.time_maa_w1", (n_embd, 5 * mix_rank), n_embd**-0.5)
        draw.normal(f"{att}.time_maa_w2", (5, mix_rank, n_embd), 0.5 * mix_rank**-0.5)
        # Half-lives from hundreds of tokens to less than one: exp(-6) to exp(1) nats a token.
        draw.vector(f"{att}.time_decay", -6.0, 1.0)
        draw.low_rank(f"{att}.time_decay_w", decay_rank)
        draw.uniform(f"{att}.time_faaaa", (n_embd // head_size, head_size), 0.0, 1.0)
        for name in ("receptance", "key", "value", "gate", "output"):
            draw.linear(f"{att}.{name}", n_embd, n_embd)
        draw.relate_key_to_receptance(att)
        draw.norm(f"{att}.ln_x")
        for name in "kr":
            draw.vector(f"{ffn}.time_maa_{name}", 0.0, 1.0)
        draw.linear(f"{ffn}.key", n_ffn, n_embd)
        draw.linear(f"{ffn}.receptance", n_embd, n_embd)
        draw.linear(f"{ffn}.value", n_embd, n_ffn)
    draw.norm("ln_out")
    draw.linear("head", vocab_size, n_embd)
    return draw.weights


def random_weights_7a(
    seed: int = 0,
    *,
    n_layer: int = 3,
    n_embd: int = 32,
    head_size: int = 8,
    vocab_size: int = 50,
    rank: int = 3,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Draw an RWKV-7a checkpoint: RWKV-7 and its deep embeddings, (rank, rank) per token."""
    weights = checkpoints.random_weights(
        seed,
        n_layer=n_layer,
        n_embd=n_embd,
        head_size=head_size,
        vocab_size=vocab_size,
        dtype=dtype,
    )
    draw, n_ffn = Draw(seed + 1, n_embd, dtype), 4 * n_embd
    for layer in range(n_layer):
        ffn = f"blocks.{layer}.ffn"
        # Half of each small matrix is the token's own, half from its embedding.
        draw.normal(f"{ffn}.s_emb.weight", (vocab_size, rank * rank), 0.7 * rank**-0.5)
        draw.normal(f"{ffn}.s_emb_x.weight", (rank * rank, n_embd), 0.7 * (rank * n_embd) ** -0.5)
        draw.uniform(f"{ffn}.s0", (1, 1, n_ffn), 0.5, 1.5)
        draw.normal(f"{ffn}.s1", (n_embd, rank), n_embd**-0.5)
        draw.normal(f"{ffn}.s2", (rank, n_ffn), 0.5 * rank**-0.5)
    return weights | draw.weights
