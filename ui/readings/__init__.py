"""Sentences that say what a recording shows; layers and heads are counted from 1 here."""

from ui.readings.close import (
    cell_words,
    content_words,
    gates_words,
    lasting_words,
    path_words,
    rank_words,
    sparsity_words,
    spectrum_words,
)
from ui.readings.glance import (
    change_words,
    correlation_sentence,
    filling_words,
    findings,
    forgetting_words,
    heads_words,
    layers_words,
    size_words,
    surprise_words,
)
from ui.readings.word import lens_words, life_words, reading_words
from ui.readings.wording import (
    PIECE,
    Words,
    paragraph,
    token_text,
    token_texts,
    word_at,
)

__all__ = [
    "PIECE",
    "Words",
    "cell_words",
    "change_words",
    "content_words",
    "correlation_sentence",
    "filling_words",
    "findings",
    "forgetting_words",
    "gates_words",
    "heads_words",
    "lasting_words",
    "layers_words",
    "lens_words",
    "life_words",
    "paragraph",
    "path_words",
    "rank_words",
    "reading_words",
    "size_words",
    "sparsity_words",
    "spectrum_words",
    "surprise_words",
    "token_text",
    "token_texts",
    "word_at",
]
