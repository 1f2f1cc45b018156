"""How long channels keep what they hold."""

from __future__ import annotations

import numpy as np

from rwkv_core.inspection.arrays import Floats

# Round figures for a reader of English: 20 tokens a sentence, 400 a page, 250 pages a book.
SENTENCE_TOKENS = 20
PAGE_TOKENS = 400
BOOK_TOKENS = 100_000


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
