"""What a memory's matrices look like: how many directions they use, and where they move."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np

from rwkv_core.inspection.arrays import Floats, Indices, strided_columns
from rwkv_core.inspection.recurrence import Float64, states
from rwkv_core.recording import LayerInputs


def singular_values(matrix: Floats) -> Floats:
    """Take the singular values of matrices.

    Args:
        matrix: (..., V, K).

    Returns:
        (..., min(V, K)), largest first.
    """
    values: Floats = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    return values


def effective_rank(values: Floats) -> Floats:
    """Count the directions in use: exp of the entropy of the singular values' shares.

    Args:
        values: (..., K) singular values.

    Returns:
        (...), 1 to K; 0 for an empty memory.
    """
    shares = _shares(values)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    rank = np.exp(-(shares * logs).sum(-1))
    used: Floats = np.where(shares.any(-1), rank, 0.0)
    return used


def stable_rank(values: Floats) -> Floats:
    """Count directions by weight: squared Frobenius norm over the largest squared value.

    Args:
        values: (..., K) singular values, largest first.

    Returns:
        (...), 1 to K; 0 for an empty memory.
    """
    squares = np.square(values.astype(np.float64))
    top = squares[..., 0]
    rank: Floats = np.divide(squares.sum(-1), top, out=np.zeros(top.shape), where=top > 0)
    return rank


class Path(NamedTuple):
    """A layer's memory on its way, seen from where it moves the most.

    Attributes:
        positions: (P,) after which of the kept tokens, from 0.
        places: (P, 2) coordinates along the two directions of the largest movement.
        explained: (2,) share of all movement that each direction shows.
    """

    positions: Indices
    places: Float64
    explained: Float64


def path(inputs: LayerInputs, limit: int = 96) -> Path:
    """Project a layer's states on the two directions in which they move the most (PCA).

    Args:
        inputs: of T tokens of one layer.
        limit: the most places to compute; evenly spaced, the last token is among them.
    """
    positions, _ = strided_columns(len(inputs.k), limit)
    wanted = set(positions.tolist())
    held = np.stack(
        [S.ravel() for t, S in enumerate(islice(states(inputs), len(inputs.k))) if t in wanted]
    )
    held -= held.mean(0)
    # Of P places of many numbers the P x P products say all.
    squares, vectors = np.linalg.eigh(held @ held.T)
    order = np.argsort(squares)[::-1][:2]
    squares, vectors = np.maximum(squares, 0), vectors[:, order]
    # A direction has no sign; the last place is put on its positive side.
    places = vectors * np.sqrt(squares[order]) * np.where(vectors[-1] < 0, -1.0, 1.0)
    total = squares.sum()
    explained = squares[order] / total if total > 0 else np.zeros(len(order))
    if len(order) < 2:
        places = np.pad(places, ((0, 0), (0, 1)))
        explained = np.pad(explained, (0, 1))
    return Path(positions, places, explained)


def _shares(values: Floats) -> Float64:
    values = values.astype(np.float64)
    total = values.sum(-1, keepdims=True)
    shares: Float64 = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    return shares
