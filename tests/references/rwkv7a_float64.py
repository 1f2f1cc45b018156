"""RWKV-7a in numpy float64: the RWKV-7 reference with the table folded as upstream does."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.references import rwkv7_float64
from tests.references.rwkv7_float64 import Array, ReferenceState


class Reference(rwkv7_float64.Reference):
    """A whole model."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        """Take a checkpoint and add to every layer's table what all the embeddings say."""
        super().__init__(weights)
        embedded = self.norm("blocks.0.ln0", self.weights["emb.weight"])
        self.tables = [
            self.weights[f"blocks.{layer}.ffn.s_emb.weight"]
            + embedded @ self.weights[f"blocks.{layer}.ffn.s_emb_x.weight"].T
            for layer in range(self.n_layer)
        ]
        self.tokens = np.zeros(0, np.int64)

    def step(
        self, tokens: NDArray[np.int64], state: ReferenceState
    ) -> tuple[Array, ReferenceState]:
        """Read one token per conversation; the channel mix looks its row up."""
        self.tokens = tokens
        return super().step(tokens, state)

    def channel_mix(self, layer: int, x: Array, shift: Array) -> Array:
        """Feed-forward half of a block for one token."""
        prefix = f"blocks.{layer}.ffn."
        p = {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}
        z_k = x + (shift - x) * p["x_k"].reshape(-1)
        hidden = np.maximum(z_k @ p["key.weight"].T, 0.0) ** 2
        scale = np.empty_like(hidden)
        for row, token in enumerate(self.tokens):
            rank = p["s1"].shape[1]
            matrix = self.tables[layer][token].reshape(rank, rank)
            scale[row] = x[row] @ p["s1"] @ matrix @ p["s2"] + p["s0"].reshape(-1)
        output: Array = (hidden * scale) @ p["value.weight"].T
        return output
