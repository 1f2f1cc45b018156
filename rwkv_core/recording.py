"""What the inspector needs to know about one reading of a text."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rwkv_core.state import State

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """Measures taken while a model read T tokens; numpy, no per-token states.

    Attributes:
        tokens: (T,) int64, the ids read.
        state_norm: (L, T) Frobenius norm of all heads' wkv state after each token.
        change_norm: (L, T) Frobenius norm of the difference each token made to it.
        head_norm: (L, H) Frobenius norm of each head's wkv state after the last token.
        log_decay: (L, H, K) mean log decay per channel over the text, nats per token, <= 0.
        surprise_bits: (T,) -log2 p(token | before); NaN where nothing came before it.
        logits: (V,) logits after the last token.
        state: the state after the last token, B = 1.
    """

    tokens: NDArray[np.int64]
    state_norm: Array
    change_norm: Array
    head_norm: Array
    log_decay: Array
    surprise_bits: Array
    logits: Array
    state: State
