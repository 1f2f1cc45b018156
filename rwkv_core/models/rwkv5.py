"""RWKV-5 "Eagle" (5.0, 5.1, 5.2): the network, beside arXiv 2404.05892.

Symbols (paper letter = name here; tensors keep their checkpoint names):
    x         (B, T, C) residual stream, float32 throughout
    xn        layer-normed x;  prev: xn of the token before (token shift)
    r k v     receptance, key, value;  g: output gate (not in 5.0)
    w         decay = exp(log_decay), log_decay = -exp(time_decay), the same for all tokens; one
              number per head (5.0, 5.1) or per channel (5.2)
    u         bonus with which the current token is read: time_faaaa, or exp(time_first) in the
              files that have that instead; one number per head or per channel
    S         wkv state, (B, H, V, K): one matrix per head; rows are values, columns keys
Sizes: B batch, T tokens, C channels, H heads, K = V head size, L layers.
Matrix products run in the weights' dtype; decays, norms and the state stay in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.operators import CPU, Operator, select_wkv6
from kernels.plan import Plan
from kernels.plan_parts import Value
from rwkv_core.config import ModelConfig
from rwkv_core.errors import CheckpointError
from rwkv_core.models.blocks import (
    Block,
    Matrix,
    Network,
    Shared,
    SharedValues,
    Vectors,
    Wkv,
    token_shift,
)
from rwkv_core.models.rwkv4 import ChannelMix
from rwkv_core.models.sizes import Shapes, common_sizes, matrix_shape

BONUS_NAMES = ("time_faaaa", "time_first")


class TimeMix(Vectors):
    """The attention-like half of a block: writes to and reads from the wkv state."""

    # Made by add_empty; named here for readers and type checkers. One of the two bonuses is there.
    time_decay: Tensor
    time_faaaa: Tensor
    time_first: Tensor
    time_mix_k: Tensor
    time_mix_v: Tensor
    time_mix_r: Tensor
    time_mix_g: Tensor

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        """Make empty parameters; decay and bonus get the shape that layer 0 has in the file."""
        super().__init__()
        C, self.config = config.n_embd, config
        self.bonus = bonus_name(shapes)
        for name in ("time_decay", self.bonus):
            self.add_empty(name, *shapes[f"blocks.0.att.{name}"])
        self.has_gate = "blocks.0.att.gate.weight" in shapes
        for name in "kvrg" if self.has_gate else "kvr":
            self.add_empty(f"time_mix_{name}", 1, 1, C)
        self.receptance = Matrix(C, C)
        self.key = Matrix(C, C)
        self.value = Matrix(C, C)
        if self.has_gate:
            self.gate = Matrix(C, C)
        self.output = Matrix(C, C)
        self.ln_x = nn.GroupNorm(config.n_head, C, eps=config.ln_x_eps)

    def forward(
        self, xn: Tensor, shift: Tensor, S: Tensor, shared: Shared, wkv: Wkv
    ) -> tuple[Tensor, Tensor]:
        """Mix T tokens into the state and read them out.

        Args:
            xn: (B, T, C), ln1 of the residual stream.
            shift: (B, C), xn of the token before.
            S: (B, H, V, K) float32.
            shared: is told of g.
            wkv: the recurrence, see kernels.reference.wkv6.

        Returns:
            What is added to the residual stream (B, T, C), and S after the last token.
        """
        B, T, C = xn.shape
        heads = (B, T, self.config.n_head, self.config.head_size)
        prev = token_shift(xn, shift)
        r = self.receptance(torch.lerp(prev, xn, self.time_mix_r)).view(heads)
        k = self.key(torch.lerp(prev, xn, self.time_mix_k)).view(heads)
        v = self.value(torch.lerp(prev, xn, self.time_mix_v)).view(heads)
        log_decay, u = self.constants()
        y, S = wkv(r, log_decay, k, v, u, S)
        y = self.ln_x(y.view(B * T, C)).view(B, T, C)
        if self.has_gate:
            g = F.silu(self.gate(torch.lerp(prev, xn, self.time_mix_g)))
            shared.note("gate", g)
            y = y * g
        added: Tensor = self.output(y)
        return added, S

    def plan(
        self, p: Plan, x: Value, xn: Value, dx: Value, layer: int, shared: SharedValues
    ) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            z_r = p.mix(xn, dx, 1 - self.time_mix_r)
            z_k = p.mix(xn, dx, 1 - self.time_mix_k)
            z_v = p.mix(xn, dx, 1 - self.time_mix_v)
            z_g = p.mix(xn, dx, 1 - self.time_mix_g) if self.has_gate else None
        with p.products():
            r = p.product(self.packed("receptance"), z_r)
            k = p.product(self.packed("key"), z_k)
            v = p.product(self.packed("value"), z_v)
            g = p.product(self.packed("gate"), z_g, "silu") if z_g else None
        with p.blocks():
            log_decay, u = self.constants()
            y = p.group_norm(p.wkv6(r, log_decay, k, v, u, layer), self.ln_x)
            y = p.multiply(y, g) if g else y
        with p.products():
            p.product(self.packed("output"), y, add_to=x)

    def constants(self) -> tuple[Tensor, Tensor]:
        """Compute log decay and bonus, (H, K) each."""
        u = self.time_first.exp() if self.bonus == "time_first" else self.time_faaaa
        return self.spread(-self.time_decay.exp()), self.spread(u)

    def spread(self, values: Tensor) -> Tensor:
        """Spread one number per head or per channel, whatever its shape, to (H, K)."""
        n_head, head_size = self.config.n_head, self.config.head_size
        return values.reshape(n_head, -1).expand(n_head, head_size).contiguous()


class RWKV5(Network):
    """The whole network."""

    wkv_names = ("r", "log_decay", "k", "v", "u")
    is_rescaled = True

    @staticmethod
    def read_config(generation: str, shapes: Shapes) -> ModelConfig:
        """Read the sizes; heads from time_decay, whose shape differs between 5.0 and 5.2."""
        n_embd = matrix_shape(shapes, "emb.weight")[1]
        decay = shapes.get("blocks.0.att.time_decay", ())
        n_head = decay[0] if decay else 0
        per_head = math.prod(decay[1:])
        if n_head == 0 or n_embd % n_head or per_head not in (1, n_embd // n_head):
            raise CheckpointError(
                f"tensor blocks.0.att.time_decay is {decay or 'missing'}, which does not divide "
                f"{n_embd} channels into heads; fetch the checkpoint again"
            )
        bonus = shapes[f"blocks.0.att.{bonus_name(shapes)}"]
        if math.prod(bonus) not in (n_head, n_embd):
            raise CheckpointError(
                f"tensor blocks.0.att.{bonus_name(shapes)} is {bonus} instead of one number for "
                f"each of {n_head} heads or {n_embd} channels; fetch the checkpoint again"
            )
        return common_sizes(generation, shapes, n_head=n_head, head_size=n_embd // n_head)

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights."""
        blocks = [
            Block(config, layer, TimeMix(config, shapes), ChannelMix(config))
            for layer in range(config.n_layer)
        ]
        return cls(config, blocks)

    @staticmethod
    def select_operator(config: ModelConfig, devices: Sequence[torch.device] = (CPU,)) -> Operator:
        """Choose who runs wkv6, which is RWKV-5's recurrence too, and why."""
        return select_wkv6(config.head_size, devices)


def bonus_name(shapes: Shapes) -> str:
    """Find which of the bonus's two names a file uses.

    Raises:
        CheckpointError: neither is there.
    """
    for name in BONUS_NAMES:
        if f"blocks.0.att.{name}" in shapes:
            return name
    raise CheckpointError(
        "neither blocks.0.att.time_faaaa nor blocks.0.att.time_first is there; "
        "fetch the checkpoint again"
    )
