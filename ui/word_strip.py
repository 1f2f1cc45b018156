"""A text whose tokens are coloured by a measure, as escaped HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from rwkv_core.inspection import Floats
from ui.readings import PIECE


def visible(text: str) -> str:
    """Show whitespace: a line break as ↵, a tab as ⇥, spaces as ·; no text as (start)."""
    if not text:
        return "(start)"
    return text.replace("\r", "").replace("\n", "↵").replace("\t", "⇥").replace(" ", "·")


def word_strip(texts: Sequence[str], values: Floats, unit: str) -> str:
    """Colour each token by its value, stronger for larger.

    Args:
        texts: T tokens, whitespace included.
        values: (T,) one measure per token; NaN stays uncoloured.
        unit: written after each value on hover.

    Returns:
        HTML with every token escaped and numbered; it breaks lines where the text does.
    """
    known = values[np.isfinite(values)]
    # One extreme word would leave all others pale, so the scale ends at the 98th percentile.
    top = float(np.percentile(known, 98)) if known.size else 0.0
    spans = [
        _span(index, text, float(value), top, unit)
        for index, (text, value) in enumerate(zip(texts, values, strict=True))
    ]
    return f'<div class="word-strip" role="group" tabindex="0">{"".join(spans)}</div>'


def _span(index: int, text: str, value: float, top: float, unit: str) -> str:
    # Spaces between words stay spaces, so that lines wrap; all other whitespace is marked.
    word = text.lstrip(" ")
    space, shown = (" ", word) if word != text and word else ("", text)
    attributes = [f'data-token="{index}"']
    attributes += [] if text.strip() and text != PIECE else ['class="blank"']
    if np.isfinite(value):
        heat = round(100 * min(1.0, value / top)) if top > 0 else 0
        title = escape(f"{visible(text)}: {value:.3g} {unit}")
        attributes += [f'style="--heat:{heat}%"', f'title="{title}"']
    breaks = "<br>" * text.count("\n")
    return f"{space}<span {' '.join(attributes)}>{escape(visible(shown))}</span>{breaks}"
