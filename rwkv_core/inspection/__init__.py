"""Measures of states and recordings: numpy in, numpy out, layers and heads counted from 0."""

from rwkv_core.inspection.arrays import Floats, Indices, peak_columns, strided_columns
from rwkv_core.inspection.change import (
    change_per_token,
    filling_tokens,
    rank_correlation,
    relative_change,
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

__all__ = [
    "BOOK_TOKENS",
    "PAGE_TOKENS",
    "SENTENCE_TOKENS",
    "Floats",
    "Indices",
    "change_per_token",
    "filling_tokens",
    "half_life_tokens",
    "head_norms",
    "head_shares",
    "kv_cache_bytes",
    "layer_norms",
    "peak_columns",
    "rank_correlation",
    "relative_change",
    "settled_change",
    "strided_columns",
    "wkv_array",
]
