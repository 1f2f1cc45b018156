"""Measures of states and recordings: numpy in, numpy out, layers and heads counted from 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rwkv_core.recording import Recording
from rwkv_core.state import State

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]

# Round figures for a reader of English: 20 tokens a sentence, 400 a page, 250 pages a book.
SENTENCE_TOKENS = 20
PAGE_TOKENS = 400
BOOK_TOKENS = 100_000
# Below this share of its average size a memory counts as still filling.
FILLED_SHARE = 0.75
# Fewer pairs than this say nothing about a correlation.
CORRELATION_TOKENS = 10


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


def half_life_tokens(log_decay: Floats) -> Floats:
    """Say after how many tokens a channel has lost half of what it held, by decay alone.

    Args:
        log_decay: any shape, nats per token, <= 0.

    Returns:
        The same shape, in tokens: ln 2 / -log_decay; infinity where nothing decays.
    """
    with np.errstate(divide="ignore"):
        tokens: Floats = np.log(2.0) / -np.minimum(log_decay.astype(np.float64), -0.0)
    return np.abs(tokens)


def relative_change(recording: Recording) -> Floats:
    """Compare the change each token made with the memory it found.

    Returns:
        (L, T): ||S_t - S_(t-1)|| / ||S_(t-1)||, no unit (1 = as large as the memory itself);
        NaN for the first token and wherever the memory before was empty.
    """
    before = recording.state_norm[:, :-1].astype(np.float64)
    change = np.full(recording.state_norm.shape, np.nan)
    np.divide(recording.change_norm[:, 1:], before, out=change[:, 1:], where=before > 0)
    return change


def change_per_token(recording: Recording) -> Floats:
    """Average the relative change over the layers.

    Returns:
        (T,), no unit; NaN for the first token and while any layer was empty.
    """
    mean: Floats = relative_change(recording).mean(axis=0)
    return mean


def rank_correlation(a: Floats, b: Floats) -> tuple[float, int]:
    """Correlate two series by rank (Spearman), ties sharing their mean rank.

    Args:
        a: (T,) one measure per token; positions where either is NaN are left out.
        b: (T,) the other.

    Returns:
        r between -1 and 1 and the number of positions used; r is NaN for fewer than ten
        positions or a constant series.
    """
    kept = np.isfinite(a) & np.isfinite(b)
    n = int(kept.sum())
    ranks = [_ranks(series[kept]) for series in (a, b)]
    if n < CORRELATION_TOKENS or any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan"), n
    matrix = np.asarray(np.corrcoef(ranks))
    return float(matrix[0, 1]), n


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts).astype(np.float64)
    means = ends - (counts - 1) / 2
    return means[inverse]


def filling_tokens(recording: Recording) -> int:
    """Count the tokens at the start while which the memory is still filling.

    An almost empty memory changes a lot at every word, so these would win every comparison.

    Returns:
        Tokens until the layers hold, on average, three quarters of their mean over the text.
    """
    norms = recording.state_norm.astype(np.float64)
    means = norms.mean(axis=1, keepdims=True)
    share = np.divide(norms, means, out=np.ones(norms.shape), where=means > 0).mean(axis=0)
    return int((share >= FILLED_SHARE).argmax())


def settled_change(recording: Recording) -> Floats:
    """Average the relative change over the layers, once the memory has filled.

    Returns:
        (T,), no unit; NaN for the tokens that fill an empty memory.
    """
    change = change_per_token(recording)
    change[: filling_tokens(recording)] = np.nan
    return change


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
