"""RWKV-7a "DeepEmbed": RWKV-7 whose channel mix is steered by a table with a row per token.

Symbols beyond those of rwkv7.py:
    s_emb     (V, R R) table per layer, R = 32: a small matrix for each token of the vocabulary
    s_emb_x   (R R, C), adds to that matrix what the token's normed embedding x0 says
    M         (R, R), the sum of both for the token being read
    s0 s1 s2  (F), (C, R), (R, F): every hidden unit is scaled by its part of xn s1 M s2 + s0

The official code adds x0 s_emb_x to the whole table when it loads, gigabytes for a small
model. Here the table stays mapped in its file, in the file's dtype and on the CPU whatever
the strategy, and that sum is made for the tokens read: the same numbers, for one product of
C x R R per token and layer.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from kernels.plan import Plan
from kernels.plan_parts import Value
from rwkv_core.config import ModelConfig
from rwkv_core.errors import CheckpointError
from rwkv_core.models.blocks import (
    Lookup,
    Matrix,
    QuantizedLookup,
    Shared,
    SharedValues,
    times,
    token_shift,
)
from rwkv_core.models.rwkv7 import RWKV7, ChannelMix, low_rank_ranks
from rwkv_core.models.sizes import Shapes, matrix_shape


class DeepEmbedChannelMix(ChannelMix):
    """The feed-forward half of a block: every hidden unit is scaled by token and table."""

    s0: Tensor
    s1: Tensor
    s2: Tensor

    def __init__(self, config: ModelConfig, rank: int, shapes: Shapes) -> None:
        """Make empty parameters; rank is R. s0 is (F) or (1, 1, F), as in the file."""
        super().__init__(config)
        self.rank = rank
        self.s_emb: Lookup | QuantizedLookup = Lookup(config.vocab_size, rank * rank)
        self.s_emb_x = Matrix(rank * rank, config.n_embd)
        s0 = shapes.get("blocks.0.ffn.s0")
        self.add_empty("s0", *((1, 1, config.n_ffn) if s0 and len(s0) == 3 else (config.n_ffn,)))
        self.add_empty("s1", config.n_embd, rank)
        self.add_empty("s2", rank, config.n_ffn)

    def forward(self, xn: Tensor, shift: Tensor, shared: Shared) -> Tensor:
        """Map xn (B, T, C), with shift (B, C) before it, to what is added to the stream."""
        z_k = xn + (token_shift(xn, shift) - xn) * self.x_k
        hidden = torch.relu(self.key(z_k)).square()
        row = self.s_emb(shared.tokens, xn.device) + self.s_emb_x(shared.x0.to(xn.device))
        M = row.unflatten(-1, (self.rank, self.rank))  # (B, T, R, R)
        # From xn itself, not from its mix with the token before.
        steered = (times(xn, self.s1)[..., None, :] @ M).squeeze(-2)
        scale = times(steered, self.s2) + self.s0
        shared.note("active", hidden)
        added: Tensor = self.value(hidden * scale)
        return added

    def plan(self, p: Plan, x: Value, xn: Value, dx: Value, shared: SharedValues) -> None:
        """Note the same equations in a plan."""
        value = self.packed("value")
        with p.rows():
            z_k = p.mix(xn, dx, self.x_k)
            M = self.s_emb.plan(p)
        with p.products():
            hidden = p.product(self.packed("key"), z_k, "squared_relu")
            p.product(self.packed("s_emb_x"), shared.x0, add_to=M)
            unsteered = p.product(self.packed("s1"), xn)
        with p.rows():
            steered = p.row_product(unsteered, M)
        with p.products():
            scale = p.product(self.packed("s2"), steered)
        with p.rows():
            hidden = p.multiply(hidden, p.affine(scale, plus=self.s0))
            nonzero = p.nonzero(hidden, value)
        with p.products():
            p.product(value, hidden, add_to=x, nonzero=nonzero)


class RWKV7a(RWKV7):
    """The whole network."""

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights; R from the table of layer 0."""
        network = cls(config, low_rank_ranks(config, shapes))
        entries = matrix_shape(shapes, "blocks.0.ffn.s_emb.weight")[1]
        rank = math.isqrt(entries)
        if rank * rank != entries:
            raise CheckpointError(
                f"tensor blocks.0.ffn.s_emb.weight has {entries} columns, which are no square "
                "matrix per token; fetch the checkpoint again"
            )
        for block in network.blocks:
            block.ffn = DeepEmbedChannelMix(config, rank, shapes)
        return network
