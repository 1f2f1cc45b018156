"""RWKV-7 in numpy float64, one token after the other; shares no code with the runtime.

Equations: RWKV-7 "Goose", arXiv 2503.14456. Letters as there: B batch, H heads, K keys and
V values per head, C = H K channels, L layers. S is (V, K): rows are values.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Training divides by 8 before a group norm of eps 1e-5.
GROUP_NORM_EPS = 1e-5 * 8**2


class ReferenceState(NamedTuple):
    """Memory between tokens."""

    time_mix_shift: Array  # (L, B, C)
    wkv: Array  # (L, B, H, V, K)
    channel_mix_shift: Array  # (L, B, C)


class RecurrenceInputs(NamedTuple):
    """What `recurrence` takes, in its order; or a loss's gradients by these."""

    r: Array
    log_decay: Array
    k: Array
    v: Array
    kk: Array
    a: Array
    state: Array


def outer(left: Array, right: Array) -> Array:
    """Outer product of the last axes."""
    return left[..., :, None] * right[..., None, :]


def apply(matrix: Array, vector: Array) -> Array:
    """Matrix times vector over the last axes."""
    product: Array = np.einsum("...vk,...k->...v", matrix, vector)
    return product


def transposed(matrix: Array) -> Array:
    """Swap the last two axes."""
    return np.swapaxes(matrix, -1, -2)


def recurrence_step(
    r: Array, log_decay: Array, k: Array, v: Array, kk: Array, a: Array, state: Array
) -> tuple[Array, Array]:
    """One token: S = S diag(w) − (S kk)(kk ∘ a)ᵀ + v kᵀ; y = S r."""
    removed = apply(state, kk)
    state = state * np.exp(log_decay)[..., None, :] - outer(removed, kk * a) + outer(v, k)
    return apply(state, r), state


def recurrence(
    r: Array, log_decay: Array, k: Array, v: Array, kk: Array, a: Array, state: Array
) -> tuple[Array, Array]:
    """Run T tokens. Inputs (B, T, H, K or V), state (B, H, V, K); returns y and the last S."""
    y = np.empty_like(v)
    for t in range(r.shape[1]):
        y[:, t], state = recurrence_step(
            r[:, t], log_decay[:, t], k[:, t], v[:, t], kk[:, t], a[:, t], state
        )
    return y, state


def recurrence_backward(
    r: Array,
    log_decay: Array,
    k: Array,
    v: Array,
    kk: Array,
    a: Array,
    state: Array,
    dy: Array,
    dstate: Array,
) -> RecurrenceInputs:
    """Go back through `recurrence` token by token.

    Args:
        r, log_decay, k, v, kk, a, state: what `recurrence` was given.
        dy: gradient of the loss by y, (B, T, H, V).
        dstate: gradient of the loss by the last S, (B, H, V, K).
    """
    before = []  # S before each token, (B, H, V, K)
    after = state
    for t in range(r.shape[1]):
        before.append(after)
        _, after = recurrence_step(
            r[:, t], log_decay[:, t], k[:, t], v[:, t], kk[:, t], a[:, t], after
        )

    gradients = {name: np.empty_like(r) for name in ("r", "log_decay", "k", "kk", "a")}
    dv = np.empty_like(v)
    for t in reversed(range(r.shape[1])):
        w, remove, replace = np.exp(log_decay[:, t]), kk[:, t], kk[:, t] * a[:, t]
        removed = apply(before[t], remove)
        gradients["r"][:, t] = apply(transposed(after), dy[:, t])
        dstate = dstate + outer(dy[:, t], r[:, t])
        gradients["k"][:, t] = apply(transposed(dstate), v[:, t])
        dv[:, t] = apply(dstate, k[:, t])
        gradients["log_decay"][:, t] = (dstate * before[t]).sum(axis=-2) * w
        dreplace = -apply(transposed(dstate), removed)
        dremoved = -apply(dstate, replace)
        gradients["a"][:, t] = dreplace * remove
        gradients["kk"][:, t] = dreplace * a[:, t] + apply(transposed(before[t]), dremoved)
        dstate = dstate * w[..., None, :] + outer(dremoved, remove)
        after = before[t]
    return RecurrenceInputs(v=dv, state=dstate, **gradients)


def sigmoid(x: Array) -> Array:
    """Logistic function."""
    return 1.0 / (1.0 + np.exp(-x))


def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Normalise the last axis with biased variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normalised: Array = centred / np.sqrt(variance + eps) * weight + bias
    return normalised


class Reference:
    """A whole model."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take a checkpoint in the official key format, any float dtype."""
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}
        self.n_head, self.head_size = weights["blocks.0.att.r_k"].shape
        self.n_embd = weights["emb.weight"].shape[1]
        self.n_layer = sum(name.endswith(".att.r_k") for name in weights)

    def zeros(self, batch: int) -> ReferenceState:
        """State before any token."""
        shift = (self.n_layer, batch, self.n_embd)
        heads = (self.n_layer, batch, self.n_head, self.head_size, self.head_size)
        return ReferenceState(np.zeros(shift), np.zeros(heads), np.zeros(shift))

    def forward(
        self, tokens: NDArray[np.int64], state: ReferenceState | None = None
    ) -> tuple[Array, ReferenceState]:
        """Read tokens (B, T); returns logits (B, T, vocabulary) and the last state."""
        state = state or self.zeros(tokens.shape[0])
        logits = []
        for t in range(tokens.shape[1]):
            one, state = self.step(tokens[:, t], state)
            logits.append(one)
        return np.stack(logits, axis=1), state

    def step(
        self, tokens: NDArray[np.int64], state: ReferenceState
    ) -> tuple[Array, ReferenceState]:
        """Read one token per conversation, (B,); returns logits (B, vocabulary) and state."""
        new = ReferenceState(*(part.copy() for part in state))
        x = self.norm("blocks.0.ln0", self.weights["emb.weight"][tokens])
        v_first = np.empty_like(x)
        for layer in range(self.n_layer):
            xn = self.norm(f"blocks.{layer}.ln1", x)
            att, new.wkv[layer], v_first = self.time_mix(
                layer, xn, state.time_mix_shift[layer], state.wkv[layer], v_first
            )
            new.time_mix_shift[layer] = xn
            x = x + att
            xn = self.norm(f"blocks.{layer}.ln2", x)
            x = x + self.channel_mix(layer, xn, state.channel_mix_shift[layer])
            new.channel_mix_shift[layer] = xn
        return self.norm("ln_out", x) @ self.weights["head.weight"].T, new

    def norm(self, name: str, x: Array) -> Array:
        """Apply the layer norm of this name."""
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def time_mix(
        self, layer: int, x: Array, shift: Array, wkv: Array, v_first: Array
    ) -> tuple[Array, Array, Array]:
        """Attention half of a block for one token: output, new S, value of layer 0."""
        prefix = f"blocks.{layer}.att."
        p = {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}
        z = {name: x + (shift - x) * p[f"x_{name}"].reshape(-1) for name in "rwkvag"}

        r = z["r"] @ p["receptance.weight"].T
        k = z["k"] @ p["key.weight"].T
        v = z["v"] @ p["value.weight"].T
        raw_w = p["w0"].reshape(-1) + np.tanh(z["w"] @ p["w1"]) @ p["w2"]
        log_decay = -math.exp(-0.5) * sigmoid(raw_w)
        a = sigmoid(p["a0"].reshape(-1) + z["a"] @ p["a1"] @ p["a2"])
        g = sigmoid(z["g"] @ p["g1"]) @ p["g2"]
        if layer == 0:
            v_first = v
        else:
            v = v + (v_first - v) * sigmoid(p["v0"].reshape(-1) + z["v"] @ p["v1"] @ p["v2"])

        kk = self.heads(k * p["k_k"].reshape(-1))
        kk = kk / np.maximum(np.sqrt((kk**2).sum(axis=-1, keepdims=True)), 1e-12)
        k = k * (1.0 + (a - 1.0) * p["k_a"].reshape(-1))

        r, log_decay, k, v_heads, a = (self.heads(part) for part in (r, log_decay, k, v, a))
        y, wkv = recurrence_step(r, log_decay, k, v_heads, kk, a, wkv)
        weight, bias = self.heads(p["ln_x.weight"]), self.heads(p["ln_x.bias"])
        o = layer_norm(y, weight, bias, GROUP_NORM_EPS)
        o = o + (r * k * p["r_k"]).sum(axis=-1, keepdims=True) * v_heads
        return (o.reshape(x.shape) * g) @ p["output.weight"].T, wkv, v_first

    def channel_mix(self, layer: int, x: Array, shift: Array) -> Array:
        """Feed-forward half of a block for one token."""
        prefix = f"blocks.{layer}.ffn."
        mixed = x + (shift - x) * self.weights[f"{prefix}x_k"].reshape(-1)
        hidden = np.maximum(mixed @ self.weights[f"{prefix}key.weight"].T, 0.0) ** 2
        output: Array = hidden @ self.weights[f"{prefix}value.weight"].T
        return output

    def heads(self, x: Array) -> Array:
        """Split channels (…, C) into (…, H, K)."""
        return x.reshape(*x.shape[:-1], self.n_head, self.head_size)
