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

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwkv_core.config import ModelConfig
from rwkv_core.state import State

# exp(-0.5), rounded as in the official inference code.
DECAY_SCALE = 0.606531
LAYER_NORM_EPS = 1e-5

Wkv = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (..., in) by a (out, in) weight in the weight's dtype; the result is float32."""
    return F.linear(x.to(weight.dtype), weight).float()


def low_rank(x: Tensor, w1: Tensor, w2: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute activation(x @ w1) @ w2 with w1 (C, rank) and w2 (rank, C); float32."""
    return linear(activation(linear(x, w1.mT)), w2.mT)


def identity(x: Tensor) -> Tensor:
    """Return x: no activation, no dropout."""
    return x


def token_shift(xn: Tensor, shift: Tensor) -> Tensor:
    """Move xn (B, T, C) one token later; shift (B, C) is what came before the first."""
    return torch.cat([shift[:, None], xn[:, :-1]], dim=1)


class Matrix(nn.Module):
    """A (rows, columns) weight, left empty: nobody waits for random numbers to be replaced."""

    def __init__(self, rows: int, columns: int) -> None:
        """Make the empty weight."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns))


class TimeMix(nn.Module):
    """The attention-like half of a block: writes to and reads from the wkv state."""

    # Made by _vector; named here for readers and type checkers.
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
            self._vector(name, 1, 1, C)
        for name in ("w", "a", "g") if layer == 0 else ("w", "a", "v", "g"):
            self._vector(f"{name}1", C, ranks[name])
            self._vector(f"{name}2", ranks[name], C)
        if layer > 0:
            self._vector("v0", 1, 1, C)
        self._vector("r_k", config.n_head, config.head_size)
        self.receptance = Matrix(C, C)
        self.key = Matrix(C, C)
        self.value = Matrix(C, C)
        self.output = Matrix(C, C)
        self.ln_x = nn.GroupNorm(config.n_head, C, eps=config.ln_x_eps)

    def _vector(self, name: str, *shape: int) -> None:
        self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def forward(
        self, xn: Tensor, shift: Tensor, S: Tensor, v_first: Tensor | None, wkv: Wkv
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix T tokens into the state and read them out.

        Args:
            xn: (B, T, C), ln1 of the residual stream.
            shift: (B, C), xn of the token before.
            S: (B, H, V, K) float32.
            v_first: (B, T, C), layer 0's v; None in layer 0.
            wkv: the recurrence, see kernels.reference.wkv7.

        Returns:
            What is added to the residual stream (B, T, C), S after the last token, v_first.
        """
        B, T, C = xn.shape
        heads = (B, T, self.config.n_head, self.config.head_size)
        dx = token_shift(xn, shift) - xn
        z_w, z_v, z_a = xn + dx * self.x_w, xn + dx * self.x_v, xn + dx * self.x_a
        r = linear(xn + dx * self.x_r, self.receptance.weight)
        k = linear(xn + dx * self.x_k, self.key.weight)
        v = linear(z_v, self.value.weight)
        g = low_rank(xn + dx * self.x_g, self.g1, self.g2, torch.sigmoid)

        log_decay = -DECAY_SCALE * torch.sigmoid(
            self.w0 + low_rank(z_w, self.w1, self.w2, torch.tanh)
        )
        a = torch.sigmoid(self.a0 + low_rank(z_a, self.a1, self.a2, identity))
        # The removal key is made from k before k is scaled by a.
        kk = F.normalize((k * self.k_k).view(heads), dim=-1)
        k = k * (1 + (a - 1) * self.k_a)
        if v_first is None:
            v_first = v
        else:
            mix = torch.sigmoid(self.v0 + low_rank(z_v, self.v1, self.v2, identity))
            v = v + (v_first - v) * mix

        r, k, v = r.view(heads), k.view(heads), v.view(heads)
        y, S = wkv(r, log_decay.view(heads), k, v, kk, a.view(heads), S)
        y = self.ln_x(y.view(B * T, C)).view(heads)
        # The current token's own value, weighted by how well r matches its key.
        y = y + (r * k * self.r_k).sum(-1, keepdim=True) * v
        return linear(y.view(B, T, C) * g, self.output.weight), S, v_first


class ChannelMix(nn.Module):
    """The feed-forward half of a block: a squared-ReLU network after a token shift."""

    def __init__(self, config: ModelConfig) -> None:
        """Make empty parameters."""
        super().__init__()
        self.x_k = nn.Parameter(torch.empty(1, 1, config.n_embd))
        self.key = Matrix(config.n_ffn, config.n_embd)
        self.value = Matrix(config.n_embd, config.n_ffn)

    def forward(self, xn: Tensor, shift: Tensor) -> Tensor:
        """Map xn (B, T, C), with shift (B, C) before it, to what is added to the stream."""
        z_k = xn + (token_shift(xn, shift) - xn) * self.x_k
        return linear(torch.relu(linear(z_k, self.key.weight)).square(), self.value.weight)


class Block(nn.Module):
    """Time mix, then channel mix, each after a layer norm and added to the stream."""

    def __init__(
        self,
        config: ModelConfig,
        layer: int,
        ranks: dict[str, int],
        dropout: Callable[[Tensor], Tensor],
    ) -> None:
        """Make empty parameters."""
        super().__init__()
        C = config.n_embd
        if layer == 0:
            self.ln0 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.ln1 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.ln2 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.att = TimeMix(config, layer, ranks)
        self.ffn = ChannelMix(config)
        self.dropout = dropout

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor, Tensor],
        v_first: Tensor | None,
        wkv: Wkv,
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor], Tensor]:
        """Run one layer; memory is (time mix shift, wkv state, channel mix shift)."""
        time_shift, S, channel_shift = memory
        xn = self.ln1(x)
        added, S, v_first = self.att(xn, time_shift, S, v_first, wkv)
        x = x + self.dropout(added)
        yn = self.ln2(x)
        x = x + self.dropout(self.ffn(yn, channel_shift))
        return x, (xn[:, -1], S, yn[:, -1]), v_first


class RWKV7(nn.Module):
    """The whole network: token ids in, residual stream or logits out."""

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
        super().__init__()
        self.config = config
        self.emb = Matrix(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList(
            Block(config, layer, ranks, dropout) for layer in range(config.n_layer)
        )
        self.ln_out = nn.LayerNorm(config.n_embd, eps=LAYER_NORM_EPS)
        self.head = Matrix(config.vocab_size, config.n_embd)

    def forward(self, tokens: Tensor, state: State, wkv: Wkv) -> tuple[Tensor, State]:
        """Read tokens (B, T), T >= 1, after the given state.

        Returns:
            The normed stream (B, T, C) that `head` turns into logits, and the new state.
        """
        first = self.blocks[0]
        x = first.ln0(F.embedding(tokens, self.emb.weight).float())  # type: ignore[operator]  # a LayerNorm
        memories, v_first = [], None
        for layer, block in enumerate(self.blocks):
            memory = (
                state.time_mix_shift[layer],
                state.wkv[layer],
                state.channel_mix_shift[layer],
            )
            x, after, v_first = block(x, memory, v_first, wkv)
            memories.append(after)
        return self.ln_out(x), State(*(torch.stack(part) for part in zip(*memories, strict=True)))

    def logits(self, x: Tensor) -> Tensor:
        """Turn the normed stream (..., C) into logits (..., V), float32."""
        return linear(x, self.head.weight)
