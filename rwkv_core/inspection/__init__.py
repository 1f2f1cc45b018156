"""Measures of states and recordings: numpy in, numpy out, layers and heads counted from 0."""

from rwkv_core.inspection.arrays import Floats, Indices, peak_columns, strided_columns
from rwkv_core.inspection.change import (
    change_per_token,
    filling_tokens,
    rank_correlation,
    relative_change,
    relative_parts,
    settled_change,
)
from rwkv_core.inspection.forgetting import (
    BOOK_TOKENS,
    PAGE_TOKENS,
    SENTENCE_TOKENS,
    half_life_tokens,
)
from rwkv_core.inspection.memory import (
    head_norms,
    head_shares,
    kv_cache_bytes,
    layer_norms,
    wkv_array,
)
from rwkv_core.inspection.recurrence import log_mass, states
from rwkv_core.inspection.shape import Path, effective_rank, path, singular_values, stable_rank
from rwkv_core.inspection.tracing import Reading, reading, remaining, remaining_in_layer

__all__ = [
    "BOOK_TOKENS",
    "PAGE_TOKENS",
    "SENTENCE_TOKENS",
    "Floats",
    "Indices",
    "Path",
    "Reading",
    "change_per_token",
    "effective_rank",
    "filling_tokens",
    "half_life_tokens",
    "head_norms",
    "head_shares",
    "kv_cache_bytes",
    "layer_norms",
    "log_mass",
    "path",
    "peak_columns",
    "rank_correlation",
    "reading",
    "relative_change",
    "relative_parts",
    "remaining",
    "remaining_in_layer",
    "settled_change",
    "singular_values",
    "stable_rank",
    "states",
    "strided_columns",
    "wkv_array",
]
