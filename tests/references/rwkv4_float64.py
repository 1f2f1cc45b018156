"""RWKV-4 in numpy float64, all tokens at once; shares no code with the runtime.

Equations: RWKV-4 "Dove", arXiv 2305.13048, in the form of one weighted mean over all earlier
tokens (section 3.1.2), where the runtime steps through them. C channels, L layers; w is the
log decay, u the bonus. The state's wkv is (L, B, 3, C): numerator, denominator and largest
exponent of that mean.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.references.rwkv7_float64 import Array, ReferenceState, layer_norm, sigmoid


def weighted_mean(exponents: Array, values: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Σ exp(e) value and Σ exp(e) weight over axis 1, both divided by exp(max e), and max e."""
    largest = exponents.max(axis=1)
    factors = np.exp(exponents - largest[:, None])
    return (factors * values).sum(axis=1), (factors * weights).sum(axis=1), largest


def recurrence(w: Array, u: Array, k: Array, v: Array, state: Array) -> tuple[Array, Array]:
    """Read T tokens: w, u (C,); k, v (B, T, C); state (B, 3, C). Returns y and the last state."""
    numerator, denominator, exponent = (state[:, i : i + 1] for i in range(3))
    T = k.shape[1]

    def remembered(end: int) -> tuple[Array, Array, Array]:
        """Exponents, values and weights of all that came before token `end`."""
        ages = np.arange(end - 1, -1, -1.0)[None, :, None]
        return (
            np.concatenate([exponent + end * w, k[:, :end] + ages * w], axis=1),
            np.concatenate([numerator, v[:, :end]], axis=1),
            np.concatenate([denominator, np.ones_like(v[:, :end])], axis=1),
        )

    y = np.empty_like(v)
    for t in range(T):
        exponents, values, weights = remembered(t)
        now = (u + k[:, t : t + 1], v[:, t : t + 1], np.ones_like(v[:, :1]))
        parts = zip((exponents, values, weights), now, strict=True)
        top, bottom, _ = weighted_mean(*(np.concatenate(part, axis=1) for part in parts))
        y[:, t] = top / bottom
    return y, np.stack(weighted_mean(*remembered(T)), axis=1)


def shifted(xn: Array, shift: Array) -> Array:
    """What came one token earlier: xn (B, T, C), shift (B, C) before the first."""
    return np.concatenate([shift[:, None], xn[:, :-1]], axis=1)


class Reference:
    """A whole model."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take a checkpoint in the official key format, any float dtype."""
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}
        self.n_embd = weights["emb.weight"].shape[1]
        self.n_layer = sum(name.endswith(".att.time_decay") for name in weights)

    def zeros(self, batch: int) -> ReferenceState:
        """State before any token."""
        shift = np.zeros((self.n_layer, batch, self.n_embd))
        wkv = np.zeros((self.n_layer, batch, 3, self.n_embd))
        wkv[:, :, 2] = -1e30
        return ReferenceState(shift, wkv, shift.copy())

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

    def time_mix(self, layer: int, xn: Array, shift: Array, wkv: Array) -> tuple[Array, Array]:
        """Attention half of a block: output and new state."""
        p, prev = self.part(f"blocks.{layer}.att."), shifted(xn, shift)
        r, k, v = (
            (xn * p[f"time_mix_{name[0]}"] + prev * (1 - p[f"time_mix_{name[0]}"]))
            @ p[f"{name}.weight"].T
            for name in ("receptance", "key", "value")
        )
        y, wkv = recurrence(-np.exp(p["time_decay"]), p["time_first"], k, v, wkv)
        return (sigmoid(r) * y) @ p["output.weight"].T, wkv

    def channel_mix(self, layer: int, xn: Array, shift: Array) -> Array:
        """Feed-forward half of a block."""
        p, prev = self.part(f"blocks.{layer}.ffn."), shifted(xn, shift)
        z_k = xn * p["time_mix_k"] + prev * (1 - p["time_mix_k"])
        z_r = xn * p["time_mix_r"] + prev * (1 - p["time_mix_r"])
        hidden = np.maximum(z_k @ p["key.weight"].T, 0.0) ** 2
        output: Array = sigmoid(z_r @ p["receptance.weight"].T) * (hidden @ p["value.weight"].T)
        return output
