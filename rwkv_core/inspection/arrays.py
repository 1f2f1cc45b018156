"""The arrays that measures take and give, and which of their columns a figure shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]


def strided_columns(tokens: int, limit: int = 512) -> tuple[Indices, int]:
    """Choose evenly spaced tokens, the last one included, so that a figure stays small.

    Args:
        tokens: T, how many there are.
        limit: the most columns a figure may have.

    Returns:
        At most ``limit`` positions in rising order, and the stride between them.
    """
    stride = max(1, -(-tokens // limit))
    return np.arange(tokens - 1, -1, -stride, dtype=np.int64)[::-1], stride


def peak_columns(values: Floats, limit: int = 512) -> tuple[Indices, int]:
    """Choose the largest token of each group, so that long texts keep their peaks.

    Args:
        values: (T,) one measure per token, NaN where it has none.
        limit: the most columns a figure may have.

    Returns:
        At most ``limit`` positions of finite values in rising order, and the group's size.
    """
    stride = max(1, -(-len(values) // limit))
    groups = (np.arange(start, min(start + stride, len(values)))
              for start in range(0, len(values), stride))  # fmt: skip
    peaks = [
        int(group[np.nanargmax(values[group])])
        for group in groups
        if np.isfinite(values[group]).any()
    ]
    return np.array(peaks, dtype=np.int64), stride
