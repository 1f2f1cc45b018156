"""A text whose tokens are coloured by a measure, as escaped HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from presets.words import translated
from rwkv_core.errors import Sentence
from rwkv_core.inspection import Floats
from ui.readings import PIECE

# What stands for a token without text.
START = "(start)"


def visible(text: str) -> str:
    """Show whitespace: a line break as ↵, a tab as ⇥, spaces as ·; no text as (start)."""
    if not text:
        return START
    return text.replace("\r", "").replace("\n", "↵").replace("\t", "⇥").replace(" ", "·")


def word_strip(texts: Sequence[str], values: Floats, form: str, language: str) -> str:
    """Colour each token by its value, stronger for larger.

    Args:
        texts: T tokens, whitespace included.
        values: (T,) one measure per token; NaN stays uncoloured.
        form: says on hover what a `{value}` is.
        language: the visitor's.

    Returns:
        HTML with every token escaped and numbered; it breaks lines where the text does.
    """
    known = values[np.isfinite(values)]
    # One extreme word would leave all others pale, so the scale ends at the 98th percentile.
    top = float(np.percentile(known, 98)) if known.size else 0.0
    spans = [
        _span(index, text, float(value), top, form, language)
        for index, (text, value) in enumerate(zip(texts, values, strict=True))
    ]
    return f'<div class="word-strip" role="group" tabindex="0">{"".join(spans)}</div>'


def _span(index: int, text: str, value: float, top: float, form: str, language: str) -> str:
    start = translated(language, START)
    # Spaces between words stay spaces, so that lines wrap; all other whitespace is marked.
    word = text.lstrip(" ")
    space, shown = (" ", word) if word != text and word else ("", text)
    attributes = [f'data-token="{index}"']
    attributes += [] if text.strip() and text != PIECE else ['class="blank"']
    if np.isfinite(value):
        heat = round(100 * min(1.0, value / top)) if top > 0 else 0
        said = translated(language, Sentence(form, value=value))
        title = escape(f"{visible(text) if text else start}: {said}")
        attributes += [f'style="--heat:{heat}%"', f'title="{title}"']
    breaks = "<br>" * text.count("\n")
    return f"{space}<span {' '.join(attributes)}>{escape(visible(shown) if shown else start)}</span>{breaks}"
