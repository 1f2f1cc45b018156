"""How much a memory holds: norms of its matrices, and bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rwkv_core.inspection.arrays import Floats
from rwkv_core.state import State


def wkv_array(state: State) -> NDArray[np.float32]:
    """Copy the matrix memory of one conversation out of its tensors.

    Args:
        state: a state with B = 1.

    Returns:
        (L, H, V, K) float32, no unit; for RWKV-4 see State.memory.
    """
    array: NDArray[np.float32] = state.memory[:, 0].detach().cpu().float().numpy().copy()
    return array


def head_norms(wkv: Floats) -> Floats:
    """Measure how much each head holds: the Frobenius norm of its matrix.

    Args:
        wkv: (L, H, V, K) matrix memory.

    Returns:
        (L, H), no unit.
    """
    norms: Floats = np.sqrt(np.square(wkv.astype(np.float64)).sum(axis=(2, 3)))
    return norms


def layer_norms(norms_of_heads: Floats) -> Floats:
    """Measure how much each layer holds: the Frobenius norm over all its heads.

    Args:
        norms_of_heads: (L, H) Frobenius norm of each head.

    Returns:
        (L,), no unit.
    """
    norms: Floats = np.sqrt(np.square(norms_of_heads.astype(np.float64)).sum(axis=1))
    return norms


def head_shares(norms_of_heads: Floats) -> Floats:
    """Split what the memory holds over its heads, as shares of the squared norm.

    Args:
        norms_of_heads: (L, H) Frobenius norm of each head.

    Returns:
        (L, H) shares that sum to 1; all zero for an empty memory.
    """
    squares = np.square(norms_of_heads.astype(np.float64))
    total = squares.sum()
    shares: Floats = squares / total if total > 0 else squares
    return shares


def kv_cache_bytes(n_layer: int, n_embd: int, tokens: int, *, bytes_per_value: int = 2) -> int:
    """Calculate what a transformer of the same shape would keep for the same tokens.

    Args:
        n_layer: layers.
        n_embd: channels; every head has its own keys and values.
        tokens: tokens in the context.
        bytes_per_value: 2 for 16-bit numbers.

    Returns:
        Bytes of all keys and values.
    """
    return 2 * n_layer * n_embd * tokens * bytes_per_value
