"""RWKV-7 "Goose": the network, beside arXiv 2503.14456.

Symbols (paper letter = name here; tensors keep their checkpoint names):
    x         (B, T, C) residual stream, float32 throughout
    xn        layer-normed x;  prev: xn of the token before (token shift)
    r k v     receptance, key, value;  g: output gate
    w         decay = exp(log_decay), per channel and token, in (0.545, 1)
    a         in-context learning rate, in (0, 1)
    kk        removal key: which association is erased, unit length per head
    S         wkv state, (B, H, V, K): one matrix per head; rows are values, columns keys
    v_first   layer 0's v, which deeper layers mix in
Sizes: B batch, T tokens, C channels, H heads, K = V head size, L layers.
Matrix products run in the weights' dtype; decays, norms and the state stay in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.operators import CPU, Operator, select_wkv7
from kernels.plan import Plan
from kernels.plan_parts import Value
from rwkv_core.config import ModelConfig
from rwkv_core.models.blocks import (
    Block,
    Matrix,
    Network,
    Shared,
    SharedValues,
    Vectors,
    Wkv,
    identity,
    low_rank,
    token_shift,
)
from rwkv_core.models.sizes import Shapes, common_sizes, matrix_shape

# exp(-0.5), rounded as in the official inference code.
DECAY_SCALE = 0.606531


class TimeMix(Vectors):
    """The attention-like half of a block: writes to and reads from the wkv state."""

    # Made by add_empty; named here for readers and type checkers.
    x_r: Tensor
    x_w: Tensor
    x_k: Tensor
    x_v: Tensor
    x_a: Tensor
    x_g: Tensor
    w0: Tensor
    w1: Tensor
    w2: Tensor
    a0: Tensor
    a1: Tensor
    a2: Tensor
    v0: Tensor
    v1: Tensor
    v2: Tensor
    g1: Tensor
    g2: Tensor
    k_k: Tensor
    k_a: Tensor
    r_k: Tensor

    def __init__(self, config: ModelConfig, layer: int, ranks: dict[str, int]) -> None:
        """Make empty parameters; ranks are those of the low-rank parts w, a, v, g."""
        super().__init__()
        C, self.layer, self.config = config.n_embd, layer, config
        for name in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "k_k", "k_a"):
            self.add_empty(name, 1, 1, C)
        for name in ("w", "a", "g") if layer == 0 else ("w", "a", "v", "g"):
            self.add_empty(f"{name}1", C, ranks[name])
            self.add_empty(f"{name}2", ranks[name], C)
        if layer > 0:
            self.add_empty("v0", 1, 1, C)
        self.add_empty("r_k", config.n_head, config.head_size)
        self.receptance = Matrix(C, C)
        self.key = Matrix(C, C)
        self.value = Matrix(C, C)
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
            shared: layer 0 leaves its v here; is told of g.
            wkv: the recurrence, see kernels.reference.wkv7.

        Returns:
            What is added to the residual stream (B, T, C), and S after the last token.
        """
        B, T, C = xn.shape
        heads = (B, T, self.config.n_head, self.config.head_size)
        dx = token_shift(xn, shift) - xn
        z_w, z_v, z_a = xn + dx * self.x_w, xn + dx * self.x_v, xn + dx * self.x_a
        r = self.receptance(xn + dx * self.x_r)
        k = self.key(xn + dx * self.x_k)
        v = self.value(z_v)
        g = low_rank(xn + dx * self.x_g, self.g1, self.g2, torch.sigmoid)
        shared.note("gate", g)

        log_decay = -DECAY_SCALE * torch.sigmoid(
            self.w0 + low_rank(z_w, self.w1, self.w2, torch.tanh)
        )
        a = torch.sigmoid(self.a0 + low_rank(z_a, self.a1, self.a2, identity))
        # The removal key is made from k before k is scaled by a.
        kk = F.normalize((k * self.k_k).view(heads), dim=-1)
        k = k * (1 + (a - 1) * self.k_a)
        if shared.v_first is None:
            shared.v_first = v
        else:
            mix = torch.sigmoid(self.v0 + low_rank(z_v, self.v1, self.v2, identity))
            v = v + (shared.v_first.to(v.device) - v) * mix

        r, k, v = r.view(heads), k.view(heads), v.view(heads)
        y, S = wkv(r, log_decay.view(heads), k, v, kk, a.view(heads), S)
        y = self.ln_x(y.view(B * T, C)).view(heads)
        # The current token's own value, weighted by how well r matches its key.
        y = y + (r * k * self.r_k).sum(-1, keepdim=True) * v
        added: Tensor = self.output(y.view(B, T, C) * g)
        return added, S

    def plan(
        self, p: Plan, x: Value, xn: Value, dx: Value, layer: int, shared: SharedValues
    ) -> None:
        """Note the same equations in a plan."""
        with p.rows():
            z_r, z_w, z_k, z_v, z_a, z_g = (
                p.mix(xn, dx, share)
                for share in (self.x_r, self.x_w, self.x_k, self.x_v, self.x_a, self.x_g)
            )
        with p.products():
            r = p.product(self.packed("receptance"), z_r)
            k = p.product(self.packed("key"), z_k)
            v = p.product(self.packed("value"), z_v)
            hidden_w = p.product(self.packed("w1"), z_w, "tanh")
            hidden_a = p.product(self.packed("a1"), z_a)
            hidden_g = p.product(self.packed("g1"), z_g, "sigmoid")
            hidden_v = p.product(self.packed("v1"), z_v) if layer else None
        with p.blocks():
            raw_w = p.product(self.packed("w2"), hidden_w)
            log_decay = p.affine(raw_w, "sigmoid", plus=self.w0, scale=-DECAY_SCALE)
            a = p.affine(p.product(self.packed("a2"), hidden_a), "sigmoid", plus=self.a0)
            g = p.product(self.packed("g2"), hidden_g)
            kk = p.normalize(p.affine(k, times=self.k_k))
            k = p.multiply(k, p.affine(a, times=self.k_a, plus=1 - self.k_a))
            if hidden_v is None or shared.v_first is None:
                shared.v_first = v
            else:
                raw_mix = p.product(self.packed("v2"), hidden_v)
                v = p.lerp(v, shared.v_first, p.affine(raw_mix, "sigmoid", plus=self.v0))
            y = p.group_norm(p.wkv7(r, log_decay, k, v, kk, a, layer), self.ln_x)
            y = p.multiply(p.add_bonus(y, r, k, v, self.r_k), g)
        with p.products():
            p.product(self.packed("output"), y, add_to=x)


class ChannelMix(Vectors):
    """The feed-forward half of a block: a squared-ReLU network after a token shift."""

    x_k: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Make empty parameters."""
        super().__init__()
        self.add_empty("x_k", 1, 1, config.n_embd)
        self.key = Matrix(config.n_ffn, config.n_embd)
        self.value = Matrix(config.n_embd, config.n_ffn)

    def forward(self, xn: Tensor, shift: Tensor, shared: Shared) -> Tensor:
        """Map xn (B, T, C), with shift (B, C) before it, to what is added to the stream."""
        z_k = xn + (token_shift(xn, shift) - xn) * self.x_k
        hidden = torch.relu(self.key(z_k)).square()
        shared.note("active", hidden)
        added: Tensor = self.value(hidden)
        return added

    def plan(self, p: Plan, x: Value, xn: Value, dx: Value, shared: SharedValues) -> None:
        """Note the same equations in a plan."""
        value = self.packed("value")
        with p.rows():
            z_k = p.mix(xn, dx, self.x_k)
        with p.products():
            hidden = p.product(self.packed("key"), z_k, "squared_relu")
        with p.rows():
            nonzero = p.nonzero(hidden, value)
        with p.products():
            p.product(value, hidden, add_to=x, nonzero=nonzero)


class RWKV7(Network):
    """The whole network."""

    wkv_names = ("r", "log_decay", "k", "v", "kk", "a")
    # Layer 0 has no value mix; some files hold its tensors all the same.
    unused = frozenset(f"blocks.0.att.{name}" for name in ("v0", "v1", "v2"))

    def __init__(
        self,
        config: ModelConfig,
        ranks: dict[str, int],
        *,
        dropout: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        """Make empty parameters.

        Args:
            config: sizes.
            ranks: rank of the low-rank parts, keys "w", "a", "v", "g".
            dropout: applied to what each half of a block adds; for training.
        """
        blocks = [
            Block(config, layer, TimeMix(config, layer, ranks), ChannelMix(config), dropout)
            for layer in range(config.n_layer)
        ]
        super().__init__(config, blocks)

    @staticmethod
    def read_config(generation: str, shapes: Shapes) -> ModelConfig:
        """Read the sizes; heads from r_k (H, K)."""
        n_head, head_size = matrix_shape(shapes, "blocks.0.att.r_k")
        return common_sizes(generation, shapes, n_head=n_head, head_size=head_size)

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights; ranks from layer 1, since layer 0 has no v."""
        return cls(config, low_rank_ranks(config, shapes))

    @staticmethod
    def select_operator(config: ModelConfig, devices: Sequence[torch.device] = (CPU,)) -> Operator:
        """Choose who runs wkv7 where tensors lie on these devices, and why."""
        return select_wkv7(config.head_size, devices)


def low_rank_ranks(config: ModelConfig, shapes: Shapes) -> dict[str, int]:
    """Read the ranks of the low-rank parts w, a, v, g.

    Raises:
        CheckpointError: one of their matrices is missing.
    """
    layer = min(1, config.n_layer - 1)
    ranks = {}
    for kind in "wag" if layer == 0 else "wavg":
        name = f"blocks.{layer}.att.{kind}1"
        ranks[kind] = matrix_shape(shapes, name)[1]
    return ranks
