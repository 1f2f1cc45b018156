"""RWKV-4 "Dove": the network, beside arXiv 2305.13048.

Symbols (paper letter = name here; tensors keep their checkpoint names):
    x         (B, T, C) residual stream, float32 throughout
    xn        layer-normed x;  prev: xn of the token before (token shift)
    r k v     receptance, key, value, from mixes of xn and prev
    w         log decay = -exp(time_decay), one number per channel, the same for all tokens
    u         time_first, the bonus of the current token, added to its key
    S         wkv state, (B, 3, C): numerator and denominator of the weighted mean of all
              values so far, both divided by exp of the third, the largest exponent among them
Sizes: B batch, T tokens, C channels, L layers.
Matrix products run in the weights' dtype; decays, norms and the state stay in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from kernels.operators import CPU, Operator, select_wkv4
from kernels.plan import Plan
from kernels.plan_parts import Value
from rwkv_core.config import ModelConfig
from rwkv_core.models.blocks import (
    Block,
    GatedChannelMix,
    Matrix,
    Network,
    Shared,
    SharedValues,
    Vectors,
    Wkv,
    token_shift,
)
from rwkv_core.models.sizes import Shapes, common_sizes, matrix_shape


class TimeMix(Vectors):
    """The attention-like half of a block: writes to and reads from the wkv state."""

    # Made by add_empty; named here for readers and type checkers.
    time_decay: Tensor
    time_first: Tensor
    time_mix_k: Tensor
    time_mix_v: Tensor
    time_mix_r: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Make empty parameters."""
        super().__init__()
        C = config.n_embd
        self.add_empty("time_decay", C)
        self.add_empty("time_first", C)
        for name in "kvr":
            self.add_empty(f"time_mix_{name}", 1, 1, C)
        self.key = Matrix(C, C)
        self.value = Matrix(C, C)
        self.receptance = Matrix(C, C)
        self.output = Matrix(C, C)

    def forward(
        self, xn: Tensor, shift: Tensor, S: Tensor, shared: Shared, wkv: Wkv
    ) -> tuple[Tensor, Tensor]:
        """Mix T tokens into the state and read them out.

        Args:
            xn: (B, T, C), ln1 of the residual stream.
            shift: (B, C), xn of the token before.
            S: (B, 3, C) float32.
            shared: is told of r.
            wkv: the recurrence, see kernels.reference.wkv4.

        Returns:
            What is added to the residual stream (B, T, C), and S after the last token.
        """
        prev = token_shift(xn, shift)
        # A mix is the present token's share, and 1 - mix that of the one before.
        k = self.key(torch.lerp(prev, xn, self.time_mix_k))
        v = self.value(torch.lerp(prev, xn, self.time_mix_v))
        r = torch.sigmoid(self.receptance(torch.lerp(prev, xn, self.time_mix_r)))
        shared.note("opening", r)
        y, S = wkv(-self.time_decay.exp(), self.time_first, k, v, S)
        added: Tensor = self.output(r * y)
        return added, S

    def plan(
        self, p: Plan, x: Value, xn: Value, dx: Value, layer: int, shared: SharedValues
    ) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            mixes = (self.time_mix_k, self.time_mix_v, self.time_mix_r)
            z_k, z_v, z_r = (p.mix(xn, dx, 1 - share) for share in mixes)
        with p.products():
            k = p.product(self.packed("key"), z_k)
            v = p.product(self.packed("value"), z_v)
            r = p.product(self.packed("receptance"), z_r, "sigmoid")
        with p.blocks():
            y = p.wkv4(-self.time_decay.exp(), self.time_first, k, v, layer)
            y = p.multiply(r, y)
        with p.products():
            p.product(self.packed("output"), y, add_to=x)


class ChannelMix(GatedChannelMix):
    """The feed-forward half of a block, RWKV-5's too."""

    time_mix_k: Tensor
    time_mix_r: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Make empty parameters."""
        super().__init__(config)
        self.add_empty("time_mix_k", 1, 1, config.n_embd)
        self.add_empty("time_mix_r", 1, 1, config.n_embd)

    def forward(self, xn: Tensor, shift: Tensor, shared: Shared) -> Tensor:
        """Map xn (B, T, C), with shift (B, C) before it, to what is added to the stream."""
        prev = token_shift(xn, shift)
        z_k = torch.lerp(prev, xn, self.time_mix_k)
        return self.gated(z_k, torch.lerp(prev, xn, self.time_mix_r), shared)

    def plan(self, p: Plan, x: Value, xn: Value, dx: Value, shared: SharedValues) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            z_k, z_r = (p.mix(xn, dx, 1 - share) for share in (self.time_mix_k, self.time_mix_r))
        self.plan_gated(p, x, z_k, z_r)


class RWKV4(Network):
    """The whole network."""

    wkv_names = ("log_decay", "u", "k", "v")
    is_rescaled = True

    @staticmethod
    def read_config(generation: str, shapes: Shapes) -> ModelConfig:
        """Read the sizes; there are no heads, or one as wide as the model."""
        n_embd = matrix_shape(shapes, "blocks.0.att.key.weight")[0]
        return common_sizes(generation, shapes, n_head=1, head_size=n_embd, has_exponents=True)

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights."""
        blocks = [
            Block(config, layer, TimeMix(config), ChannelMix(config))
            for layer in range(config.n_layer)
        ]
        return cls(config, blocks)

    @staticmethod
    def select_operator(config: ModelConfig, devices: Sequence[torch.device] = (CPU,)) -> Operator:
        """Choose who runs wkv4 where tensors lie on these devices, and why."""
        return select_wkv4(devices)
