"""RWKV-6 in numpy float64, one token after the other; shares no code with the runtime.

Equations: RWKV-5 and 6 "Eagle and Finch", arXiv 2404.05892. S is (V, K): rows are values.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.references.rwkv7_float64 import (
    GROUP_NORM_EPS,
    Array,
    ReferenceState,
    layer_norm,
    outer,
    sigmoid,
)


class Reference:
    """A whole model."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take a checkpoint in the official key format, any float dtype."""
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}
        self.n_head, self.head_size = weights["blocks.0.att.time_faaaa"].shape
        self.n_embd = weights["emb.weight"].shape[1]
        self.n_layer = sum(name.endswith(".att.time_faaaa") for name in weights)

    def forward(
        self, tokens: NDArray[np.int64], state: ReferenceState | None = None
    ) -> tuple[Array, ReferenceState]:
        """Read tokens (B, T); returns logits (B, T, vocabulary) and the last state."""
        batch, length = tokens.shape
        if state is None:
            shift = np.zeros((self.n_layer, batch, self.n_embd))
            heads = (self.n_layer, batch, self.n_head, self.head_size, self.head_size)
            state = ReferenceState(shift, np.zeros(heads), shift)
        logits = []
        for t in range(length):
            one, state = self.step(tokens[:, t], state)
            logits.append(one)
        return np.stack(logits, axis=1), state

    def step(
        self, tokens: NDArray[np.int64], state: ReferenceState
    ) -> tuple[Array, ReferenceState]:
        """Read one token per conversation, (B,); returns logits (B, vocabulary) and state."""
        new = ReferenceState(*(part.copy() for part in state))
        x = self.norm("blocks.0.ln0", self.weights["emb.weight"][tokens])
        for layer in range(self.n_layer):
            xn = self.norm(f"blocks.{layer}.ln1", x)
            att, new.wkv[layer] = self.time_mix(
                layer, xn, state.time_mix_shift[layer], state.wkv[layer]
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

    def time_mix(self, layer: int, x: Array, shift: Array, wkv: Array) -> tuple[Array, Array]:
        """Attention half of a block for one token: output and new S."""
        prefix = f"blocks.{layer}.att."
        p = {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}
        dx = shift - x
        rank = p["time_maa_w2"].shape[1]
        z_x = x + dx * p["time_maa_x"].reshape(-1)
        z = {}
        for index, name in enumerate("wkvrg"):
            columns = p["time_maa_w1"][:, index * rank : (index + 1) * rank]
            mix = p[f"time_maa_{name}"].reshape(-1)
            mix = mix + np.tanh(z_x @ columns) @ p["time_maa_w2"][index]
            z[name] = x + dx * mix

        r, k, v = (
            self.heads(z[letter] @ p[f"{name}.weight"].T)
            for letter, name in (("r", "receptance"), ("k", "key"), ("v", "value"))
        )
        gate = z["g"] @ p["gate.weight"].T
        raw_w = p["time_decay"].reshape(-1)
        raw_w = raw_w + np.tanh(z["w"] @ p["time_decay_w1"]) @ p["time_decay_w2"]
        decay = self.heads(np.exp(-np.exp(raw_w)))

        # The current token is read with the bonus before it is written without.
        read = wkv + outer(v, p["time_faaaa"] * k)
        y = np.einsum("...vk,...k->...v", read, r)
        wkv = wkv * decay[..., None, :] + outer(v, k)
        weight, bias = self.heads(p["ln_x.weight"]), self.heads(p["ln_x.bias"])
        y = layer_norm(y, weight, bias, GROUP_NORM_EPS).reshape(x.shape)
        return (y * gate * sigmoid(gate)) @ p["output.weight"].T, wkv

    def channel_mix(self, layer: int, x: Array, shift: Array) -> Array:
        """Feed-forward half of a block for one token."""
        prefix = f"blocks.{layer}.ffn."
        p = {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}
        z_k, z_r = (x + (shift - x) * p[f"time_maa_{part}"].reshape(-1) for part in "kr")
        hidden = np.maximum(z_k @ p["key.weight"].T, 0.0) ** 2
        output: Array = sigmoid(z_r @ p["receptance.weight"].T) * (hidden @ p["value.weight"].T)
        return output

    def heads(self, x: Array) -> Array:
        """Split channels (…, C) into (…, H, K)."""
        return x.reshape(*x.shape[:-1], self.n_head, self.head_size)
