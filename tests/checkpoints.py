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
    draw = Draw(seed, n_embd, dtype)
    n_ffn = n_ffn or 4 * n_embd
    draw.linear("emb", vocab_size, n_embd)
    for layer in range(n_layer):
        has_value_mix = layer > 0 or block0_dummies
        _draw_block(draw, layer, n_embd // head_size, head_size, n_ffn, ranks, has_value_mix)
    draw.norm("ln_out")
    draw.linear("head", vocab_size, n_embd)
    return draw.weights


class Draw:
    """Draws tensors of one checkpoint, in order."""

    def __init__(self, seed: int, n_embd: int, dtype: torch.dtype) -> None:
        self._drawn: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._n_embd, self._dtype = n_embd, dtype

    @property
    def weights(self) -> dict[str, Tensor]:
        """What was drawn, rounded last of all."""
        return {name: value.to(self._dtype) for name, value in self._drawn.items()}

    def uniform(self, name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        value = torch.rand(shape, generator=self._generator).mul_(high - low).add_(low)
        self._drawn[name] = value

    def normal(self, name: str, shape: tuple[int, ...], std: float) -> None:
        self._drawn[name] = torch.randn(shape, generator=self._generator).mul_(std)

    def vector(self, name: str, low: float, high: float) -> None:
        self.uniform(name, (1, 1, self._n_embd), low, high)

    def norm(self, name: str) -> None:
        self.uniform(f"{name}.weight", (self._n_embd,), 0.7, 1.3)
        self.uniform(f"{name}.bias", (self._n_embd,), -0.2, 0.2)

    def linear(self, name: str, rows: int, columns: int) -> None:
        self.normal(f"{name}.weight", (rows, columns), columns**-0.5)

    def low_rank(self, name: str, rank: int) -> None:
        self.normal(f"{name}1", (self._n_embd, rank), self._n_embd**-0.5)
        self.normal(f"{name}2", (rank, self._n_embd), rank**-0.5)

    def relate_key_to_receptance(self, att: str) -> None:
        """Make a text's first read-out, v times r · k, well conditioned.

        For unrelated r and k that product comes near zero in some head, whose group norm then
        magnifies roundings a hundredfold, in every runtime alike.
        """
        key, receptance = (self._drawn[f"{att}.{name}.weight"] for name in ("key", "receptance"))
        self._drawn[f"{att}.key.weight"] = 0.8 * key + 0.6 * receptance


def _draw_block(
    draw: Draw,
    layer: int,
    n_head: int,
    head_size: int,
    n_ffn: int,
    ranks: Ranks,
    has_value_mix: bool,
) -> None:
    n_embd = n_head * head_size
    block, att, ffn = (f"blocks.{layer}{part}" for part in ("", ".att", ".ffn"))
    for name in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
        draw.norm(f"{block}.{name}")
    for name in "rwkvag":
        draw.vector(f"{att}.x_{name}", 0.0, 1.0)
    # Trained decays span nearly no fading to the fastest: sigmoid(-7) to sigmoid(2).
    draw.vector(f"{att}.w0", -7.0, 2.0)
    draw.vector(f"{att}.a0", -2.0, 2.0)
    draw.low_rank(f"{att}.w", ranks.w)
    draw.low_rank(f"{att}.a", ranks.a)
    if has_value_mix:
        draw.vector(f"{att}.v0", -2.0, 2.0)
        draw.low_rank(f"{att}.v", ranks.v)
    draw.low_rank(f"{att}.g", ranks.g)
    draw.vector(f"{att}.k_k", 0.5, 1.2)
    draw.vector(f"{att}.k_a", 0.6, 1.1)
    draw.normal(f"{att}.r_k", (n_head, head_size), 0.3)
    for name in ("receptance", "key", "value", "output"):
        draw.linear(f"{att}.{name}", n_embd, n_embd)
    draw.relate_key_to_receptance(att)
    draw.norm(f"{att}.ln_x")
    draw.vector(f"{ffn}.x_k", 0.0, 1.0)
    draw.linear(f"{ffn}.key", n_ffn, n_embd)
    draw.linear(f"{ffn}.value", n_embd, n_ffn)


def write_pth(path: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights as released .pth files are, and return the path."""
    torch.save(dict(weights), path)
    return path


def write_safetensors(path: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights as one .safetensors file, and return the path."""
    save_file(dict(weights), path)
    return path
