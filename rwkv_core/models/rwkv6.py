"""RWKV-6 "Finch" (x060): the network, beside arXiv 2404.05892.

Symbols (paper letter = name here; tensors keep their checkpoint names):
    x         (B, T, C) residual stream, float32 throughout
    xn        layer-normed x;  prev: xn of the token before (token shift);  dx = prev - xn
    m         (5, B, T, C), how much of dx goes into the inputs of w, k, v, r, g: learned per
              channel (time_maa) and by token (low-rank)
    r k v     receptance, key, value;  g: output gate
    w         decay = exp(log_decay), log_decay = -exp(time_decay + low-rank), by token
    u         time_faaaa, bonus with which the current token is read
    S         wkv state, (B, H, V, K): one matrix per head; rows are values, columns keys
Sizes: B batch, T tokens, C channels, H heads, K = V head size, L layers.
Matrix products run in the weights' dtype; decays, norms and the state stay in float32.
"""

from __future__ import annotations

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
    GatedChannelMix,
    Matrix,
    Network,
    Shared,
    SharedValues,
    Vectors,
    Wkv,
    low_rank,
    times,
    times_each,
    token_shift,
)
from rwkv_core.models.sizes import Shapes, common_sizes, matrix_shape


class TimeMix(Vectors):
    """The attention-like half of a block: writes to and reads from the wkv state."""

    time_maa_x: Tensor
    time_maa_w: Tensor
    time_maa_k: Tensor
    time_maa_v: Tensor
    time_maa_r: Tensor
    time_maa_g: Tensor
    time_maa_w1: Tensor
    time_maa_w2: Tensor
    time_decay: Tensor
    time_decay_w1: Tensor
    time_decay_w2: Tensor
    time_faaaa: Tensor

    def __init__(self, config: ModelConfig, mix_rank: int, decay_rank: int) -> None:
        """Make empty parameters."""
        super().__init__()
        C, self.config = config.n_embd, config
        for name in "xwkvrg":
            self.add_empty(f"time_maa_{name}", 1, 1, C)
        self.add_empty("time_maa_w1", C, 5 * mix_rank)
        self.add_empty("time_maa_w2", 5, mix_rank, C)
        self.add_empty("time_decay", 1, 1, C)
        self.add_empty("time_decay_w1", C, decay_rank)
        self.add_empty("time_decay_w2", decay_rank, C)
        self.add_empty("time_faaaa", config.n_head, config.head_size)
        self.receptance = Matrix(C, C)
        self.key = Matrix(C, C)
        self.value = Matrix(C, C)
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
        dx = token_shift(xn, shift) - xn
        m_w, m_k, m_v, m_r, m_g = self.mixes(xn + dx * self.time_maa_x)
        z_w = xn + dx * (self.time_maa_w + m_w)
        r = self.receptance(xn + dx * (self.time_maa_r + m_r)).view(heads)
        k = self.key(xn + dx * (self.time_maa_k + m_k)).view(heads)
        v = self.value(xn + dx * (self.time_maa_v + m_v)).view(heads)
        g = F.silu(self.gate(xn + dx * (self.time_maa_g + m_g)))
        shared.note("gate", g)
        raw_w = self.time_decay + low_rank(z_w, self.time_decay_w1, self.time_decay_w2, torch.tanh)
        y, S = wkv(r, -raw_w.exp().view(heads), k, v, self.time_faaaa, S)
        y = self.ln_x(y.view(B * T, C)).view(B, T, C)
        added: Tensor = self.output(y * g)
        return added, S

    def plan(
        self, p: Plan, x: Value, xn: Value, dx: Value, layer: int, shared: SharedValues
    ) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            z_x = p.mix(xn, dx, self.time_maa_x)
        with p.products():
            hidden = p.product(self.packed("time_maa_w1"), z_x, "tanh")
        with p.blocks():
            inputs = []
            for index, name in enumerate("wkvrg"):
                w2 = self.packed(f"time_maa_w2.{index}")
                m = p.product(w2, p.part(hidden, index * w2.columns, w2.columns))
                inputs.append(p.mix(xn, dx, self.get_parameter(f"time_maa_{name}"), m))
        z_w, z_k, z_v, z_r, z_g = inputs
        with p.products():
            hidden_w = p.product(self.packed("time_decay_w1"), z_w, "tanh")
            r = p.product(self.packed("receptance"), z_r)
            k = p.product(self.packed("key"), z_k)
            v = p.product(self.packed("value"), z_v)
            g = p.product(self.packed("gate"), z_g, "silu")
        with p.blocks():
            raw_w = p.product(self.packed("time_decay_w2"), hidden_w)
            log_decay = p.affine(raw_w, "exp", plus=self.time_decay, scale=-1)
            y = p.group_norm(p.wkv6(r, log_decay, k, v, self.time_faaaa, layer), self.ln_x)
            y = p.multiply(y, g)
        with p.products():
            p.product(self.packed("output"), y, add_to=x)

    def mixes(self, z_x: Tensor) -> Tensor:
        """Say by token how much of dx is taken for w, k, v, r, g; (5, B, T, C)."""
        B, T, C = z_x.shape
        hidden = torch.tanh(times(z_x, self.time_maa_w1)).view(B * T, 5, -1).transpose(0, 1)
        return times_each(hidden, self.time_maa_w2).view(5, B, T, C)


class ChannelMix(GatedChannelMix):
    """The feed-forward half of a block."""

    time_maa_k: Tensor
    time_maa_r: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Make empty parameters."""
        super().__init__(config)
        self.add_empty("time_maa_k", 1, 1, config.n_embd)
        self.add_empty("time_maa_r", 1, 1, config.n_embd)

    def forward(self, xn: Tensor, shift: Tensor, shared: Shared) -> Tensor:
        """Map xn (B, T, C), with shift (B, C) before it, to what is added to the stream."""
        dx = token_shift(xn, shift) - xn
        return self.gated(xn + dx * self.time_maa_k, xn + dx * self.time_maa_r, shared)

    def plan(self, p: Plan, x: Value, xn: Value, dx: Value, shared: SharedValues) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            z_k, z_r = (p.mix(xn, dx, share) for share in (self.time_maa_k, self.time_maa_r))
        self.plan_gated(p, x, z_k, z_r)


class RWKV6(Network):
    """The whole network."""

    wkv_names = ("r", "log_decay", "k", "v", "u")
    is_rescaled = True

    @staticmethod
    def read_config(generation: str, shapes: Shapes) -> ModelConfig:
        """Read the sizes; heads from time_faaaa (H, K)."""
        n_head, head_size = matrix_shape(shapes, "blocks.0.att.time_faaaa")
        return common_sizes(generation, shapes, n_head=n_head, head_size=head_size)

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights; both ranks from layer 0."""
        mix_ranks = matrix_shape(shapes, "blocks.0.att.time_maa_w1")[1]
        decay_rank = matrix_shape(shapes, "blocks.0.att.time_decay_w1")[1]
        if mix_ranks % 5:
            raise CheckpointError(
                f"tensor blocks.0.att.time_maa_w1 has {mix_ranks} columns, which are not five "
                "equal parts; fetch the checkpoint again"
            )
        blocks = [
            Block(config, layer, TimeMix(config, mix_ranks // 5, decay_rank), ChannelMix(config))
            for layer in range(config.n_layer)
        ]
        return cls(config, blocks)

    @staticmethod
    def select_operator(config: ModelConfig, devices: Sequence[torch.device] = (CPU,)) -> Operator:
        """Choose who runs wkv6 where tensors lie on these devices, and why."""
        return select_wkv6(config.head_size, devices)
