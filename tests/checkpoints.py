"""Seeded random RWKV-7 checkpoints in the official key format, for every test.

Shapes are written out here a second time, on purpose: they check the ones in the code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor


class Ranks(NamedTuple):
    """Widths of the low-rank matrices."""

    w: int
    a: int
    v: int
    g: int


# All different, so that a mix-up of two shows.
TINY_RANKS = Ranks(w=6, a=5, v=3, g=7)


def random_weights(
    seed: int = 0,
    *,
    n_layer: int = 3,
    n_embd: int = 32,
    head_size: int = 8,
    vocab_size: int = 50,
    n_ffn: int | None = None,
    ranks: Ranks = TINY_RANKS,
    dtype: torch.dtype = torch.float32,
    block0_dummies: bool = True,
) -> dict[str, Tensor]:
    """Draw a whole checkpoint in which decay, a, value mix and gate all vary by token.

    Args:
        seed: equal seeds and sizes give equal weights.
        n_layer, n_embd, head_size, vocab_size: sizes; n_embd is a multiple of head_size.
        n_ffn: width of the channel mix; 4 * n_embd where None.
        ranks: widths of the low-rank matrices.
        dtype: of every tensor, as in a file; bf16 weights are the fp32 ones rounded.
        block0_dummies: whether layer 0 has v0, v1, v2, which no equation uses.

    Returns:
        Official name -> tensor, in the order of a released file.
    """
    draw = torch.Generator().manual_seed(seed)
    n_ffn = n_ffn or 4 * n_embd
    weights: dict[str, Tensor] = {}

    def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        value = torch.rand(shape, generator=draw).mul_(high - low).add_(low)
        weights[name] = value.to(dtype)

    def normal(name: str, shape: tuple[int, ...], std: float) -> None:
        weights[name] = torch.randn(shape, generator=draw).mul_(std).to(dtype)

    def norm(name: str) -> None:
        uniform(f"{name}.weight", (n_embd,), 0.7, 1.3)
        uniform(f"{name}.bias", (n_embd,), -0.2, 0.2)

    def linear(name: str, rows: int, columns: int) -> None:
        normal(f"{name}.weight", (rows, columns), columns**-0.5)

    def low_rank(name: str, rank: int) -> None:
        normal(f"{name}1", (n_embd, rank), n_embd**-0.5)
        normal(f"{name}2", (rank, n_embd), rank**-0.5)

    linear("emb", vocab_size, n_embd)
    for layer in range(n_layer):
        block, att, ffn = (f"blocks.{layer}{part}" for part in ("", ".att", ".ffn"))
        for name in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
            norm(f"{block}.{name}")
        for name in "rwkvag":
            uniform(f"{att}.x_{name}", (1, 1, n_embd), 0.0, 1.0)
        # Trained decays span nearly no fading to the fastest: sigmoid(-7) to sigmoid(2).
        uniform(f"{att}.w0", (1, 1, n_embd), -7.0, 2.0)
        uniform(f"{att}.a0", (1, 1, n_embd), -2.0, 2.0)
        low_rank(f"{att}.w", ranks.w)
        low_rank(f"{att}.a", ranks.a)
        if layer > 0 or block0_dummies:
            uniform(f"{att}.v0", (1, 1, n_embd), -2.0, 2.0)
            low_rank(f"{att}.v", ranks.v)
        low_rank(f"{att}.g", ranks.g)
        uniform(f"{att}.k_k", (1, 1, n_embd), 0.5, 1.2)
        uniform(f"{att}.k_a", (1, 1, n_embd), 0.6, 1.1)
        normal(f"{att}.r_k", (n_embd // head_size, head_size), 0.3)
        for name in ("receptance", "key", "value", "output"):
            linear(f"{att}.{name}", n_embd, n_embd)
        norm(f"{att}.ln_x")
        uniform(f"{ffn}.x_k", (1, 1, n_embd), 0.0, 1.0)
        linear(f"{ffn}.key", n_ffn, n_embd)
        linear(f"{ffn}.value", n_embd, n_ffn)
    norm("ln_out")
    linear("head", vocab_size, n_embd)
    return weights


def write_pth(path: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights as released .pth files are, and return the path."""
    torch.save(dict(weights), path)
    return path


def write_safetensors(path: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights as one .safetensors file, and return the path."""
    save_file(dict(weights), path)
    return path
