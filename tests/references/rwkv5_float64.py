"""RWKV-5.0, 5.1 and 5.2 in numpy float64, all tokens at once; no code shared with the runtime.

Equations: RWKV-5 "Eagle", arXiv 2404.05892, as a sum over all earlier tokens with decays by
age, where the runtime steps through them. Letters as there: B batch, H heads, K keys and V
values per head, C = H K channels, L layers. S is (V, K): rows are values.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.references.rwkv7_float64 import (
    GROUP_NORM_EPS,
    Array,
    ReferenceState,
    layer_norm,
    sigmoid,
)


def recurrence(
    r: Array, decay: Array, k: Array, v: Array, u: Array, state: Array
) -> tuple[Array, Array]:
    """Read T tokens: r, k, v (B, T, H, K or V); decay, u (H, K); state (B, H, V, K)."""
    T = r.shape[1]
    y = np.empty_like(v)
    for t in range(T):
        aged = k[:, :t] * decay ** np.arange(t - 1, -1, -1.0)[:, None, None]
        match = np.einsum("bhk,bshk->bsh", r[:, t], aged)
        y[:, t] = np.einsum("bsh,bshv->bhv", match, v[:, :t])
        y[:, t] += np.einsum("bhvk,bhk->bhv", state, r[:, t] * decay**t)
        y[:, t] += (r[:, t] * u * k[:, t]).sum(axis=-1, keepdims=True) * v[:, t]
    aged = k * decay ** np.arange(T - 1, -1, -1.0)[:, None, None]
    after = state * (decay**T)[:, None, :] + np.einsum("bshv,bshk->bhvk", v, aged)
    return y, after


def shifted(xn: Array, shift: Array) -> Array:
    """What came one token earlier: xn (B, T, C), shift (B, C) before the first."""
    return np.concatenate([shift[:, None], xn[:, :-1]], axis=1)


class Reference:
    """A whole model."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take a checkpoint in the official key format, any float dtype."""
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}
        self.n_head = weights["blocks.0.att.time_decay"].shape[0]
        self.n_embd = weights["emb.weight"].shape[1]
        self.head_size = self.n_embd // self.n_head
        self.n_layer = sum(name.endswith(".att.time_decay") for name in weights)

    def zeros(self, batch: int) -> ReferenceState:
        """State before any token."""
        shift = np.zeros((self.n_layer, batch, self.n_embd))
        heads = (self.n_layer, batch, self.n_head, self.head_size, self.head_size)
        return ReferenceState(shift, np.zeros(heads), shift.copy())

    def forward(
        self, tokens: NDArray[np.int64], state: ReferenceState | None = None
    ) -> tuple[Array, ReferenceState]:
        """Read tokens (B, T); returns logits (B, T, vocabulary) and the last state."""
        state = state or self.zeros(tokens.shape[0])
        new = ReferenceState(*(part.copy() for part in state))
        x = self.norm("blocks.0.ln0", self.weights["emb.weight"][tokens])
        for layer in range(self.n_layer):
            xn = self.norm(f"blocks.{layer}.ln1", x)
            att, new.wkv[layer] = self.time_mix(
                layer, xn, state.time_mix_shift[layer], state.wkv[layer]
            )
            new.time_mix_shift[layer] = xn[:, -1]
            x = x + att
            xn = self.norm(f"blocks.{layer}.ln2", x)
            x = x + self.channel_mix(layer, xn, state.channel_mix_shift[layer])
            new.channel_mix_shift[layer] = xn[:, -1]
        return self.norm("ln_out", x) @ self.weights["head.weight"].T, new

    def norm(self, name: str, x: Array) -> Array:
        """Apply the layer norm of this name."""
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def part(self, prefix: str) -> dict[str, Array]:
        """The tensors whose names begin so, without that beginning."""
        return {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}

    def heads(self, x: Array) -> Array:
        """Split channels (…, C) into (…, H, K)."""
        return x.reshape(*x.shape[:-1], self.n_head, self.head_size)

    def by_head(self, x: Array) -> Array:
        """One number per head or per channel, in any shape, as (H, K)."""
        return np.broadcast_to(x.reshape(self.n_head, -1), (self.n_head, self.head_size))

    def time_mix(self, layer: int, xn: Array, shift: Array, wkv: Array) -> tuple[Array, Array]:
        """Attention half of a block: output and new S."""
        p, prev = self.part(f"blocks.{layer}.att."), shifted(xn, shift)

        def mixed(name: str) -> Array:
            share = p[f"time_mix_{name[0]}"]
            output: Array = (xn * share + prev * (1 - share)) @ p[f"{name}.weight"].T
            return output

        r, k, v = (self.heads(mixed(name)) for name in ("receptance", "key", "value"))
        decay = self.by_head(np.exp(-np.exp(p["time_decay"])))
        u = p["time_faaaa"] if "time_faaaa" in p else np.exp(p["time_first"])
        y, wkv = recurrence(r, decay, k, v, self.by_head(u), wkv)
        weight, bias = self.heads(p["ln_x.weight"]), self.heads(p["ln_x.bias"])
        o = layer_norm(y, weight, bias, GROUP_NORM_EPS).reshape(xn.shape)
        if "gate.weight" in p:
            g = mixed("gate")
            o = o * g * sigmoid(g)
        return o @ p["output.weight"].T, wkv

    def channel_mix(self, layer: int, xn: Array, shift: Array) -> Array:
        """Feed-forward half of a block."""
        p, prev = self.part(f"blocks.{layer}.ffn."), shifted(xn, shift)
        z_k = xn * p["time_mix_k"] + prev * (1 - p["time_mix_k"])
        z_r = xn * p["time_mix_r"] + prev * (1 - p["time_mix_r"])
        hidden = np.maximum(z_k @ p["key.weight"].T, 0.0) ** 2
        output: Array = sigmoid(z_r @ p["receptance.weight"].T) * (hidden @ p["value.weight"].T)
        return output
