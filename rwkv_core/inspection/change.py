"""How much each word changed the memory, and what goes with it."""

from __future__ import annotations

import numpy as np

from rwkv_core.inspection.arrays import Floats
from rwkv_core.recording import Recording

# Below this share of its average size a memory counts as still filling.
FILLED_SHARE = 0.75
# Fewer pairs than this say nothing about a correlation.
CORRELATION_TOKENS = 10


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


def relative_parts(recording: Recording) -> dict[str, Floats]:
    """Compare what faded, was erased and was written with the memory found, over all layers.

    The three add up, as matrices, to the change: written less faded less erased. Their norms
    say how far each alone would have moved the memory, and add up to no less than the change.

    Returns:
        "fade", "erase" and "write", (T,) each, mean over layers, no unit; NaN for the first
        token and while any layer was empty.
    """
    before = recording.state_norm[:, :-1].astype(np.float64)
    parts = {
        "fade": recording.fade_norm,
        "erase": recording.erase_norm,
        "write": recording.write_norm,
    }
    relative = {}
    for name, norm in parts.items():
        share = np.full(norm.shape, np.nan)
        np.divide(norm[:, 1:], before, out=share[:, 1:], where=before > 0)
        relative[name] = share.mean(axis=0)
    return relative


def change_per_token(recording: Recording) -> Floats:
    """Average the relative change over the layers.

    Returns:
        (T,), no unit; NaN for the first token and while any layer was empty.
    """
    mean: Floats = relative_change(recording).mean(axis=0)
    return mean


def filling_tokens(recording: Recording) -> int:
    """Count the tokens at the start while which the memory is still filling.

    An almost empty memory changes a lot at every word, so these would win every comparison.

    Returns:
        Tokens until one finds that the layers hold, on average, three quarters of their mean
        over the text; always fewer than there are.
    """
    norms = recording.state_norm.astype(np.float64)
    means = norms.mean(axis=1, keepdims=True)
    share = np.divide(norms, means, out=np.ones(norms.shape), where=means > 0).mean(axis=0)
    return min(int((share >= FILLED_SHARE).argmax()) + 1, len(share) - 1)


def settled_change(recording: Recording) -> Floats:
    """Average the relative change over the layers, once the memory has filled.

    Returns:
        (T,), no unit; NaN for the tokens that fill an empty memory.
    """
    change = change_per_token(recording)
    change[: filling_tokens(recording)] = np.nan
    return change


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
