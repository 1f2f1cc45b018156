"""Figures of how long a memory lasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from rwkv_core.errors import Sentence
from rwkv_core.inspection import BOOK_TOKENS, PAGE_TOKENS, SENTENCE_TOKENS, Floats
from ui.plots.look import ACCENT, ACCENT_SOFT, INK, Figure, direct_label, every, finish

MARKS = {"a sentence": SENTENCE_TOKENS, "a page": PAGE_TOKENS, "a book": BOOK_TOKENS}
CEILING_TOKENS = 3.0 * BOOK_TOKENS


def forgetting_figure(half_life: Floats, words: Sequence[str] | None = None) -> Figure:
    """Draw how long channels keep half of what they hold, per layer, on a log axis.

    Boxes hold the middle half of a layer's channels, whiskers the middle four fifths.

    Args:
        half_life: (L, N) tokens, one value per channel; may be infinite.
        words: the L words that are as old as each layer's median, "" where the text is younger.
    """
    n_layer = len(half_life)
    ceiling = CEILING_TOKENS
    p10, q1, median, q3, p90 = np.minimum(
        np.percentile(half_life, [10, 25, 50, 75, 90], axis=1, method="lower"), ceiling
    )
    layers = np.arange(1, n_layer + 1)
    box = go.Box(
        orientation="h",
        y=layers,
        q1=q1,
        median=median,
        q3=q3,
        lowerfence=p10,
        upperfence=p90,
        width=0.6,
        line={"color": ACCENT, "width": 1.5},
        fillcolor=ACCENT_SOFT,
        hoverinfo="skip",
    )
    dots = go.Scatter(
        x=median,
        y=layers,
        mode="markers",
        marker={"size": 9, "color": ACCENT},
        customdata=[
            (low, high, Sentence("<br>the word that old is {word}", word=word) if word else "")
            for low, high, word in zip(p10, p90, words or [""] * n_layer, strict=True)
        ],
        hovertemplate=(
            "layer %{y}: half its channels keep half for %{x:.3g} tokens,<br>"
            "most of them between %{customdata[0]:.3g} and %{customdata[1]:.3g}%{customdata[2]}<extra></extra>"
        ),
    )
    figure = Figure([box, dots])
    _tokens_axis(figure)
    figure.update_yaxes(dtick=every(n_layer), range=[0.4, n_layer + 0.6], showgrid=False)
    figure.update_layout(margin={"t": 64})
    height = int(np.clip(140 + 22 * n_layer, 320, 640))
    title = "How fast does each layer forget?"
    return finish(figure, title, "half-life (tokens)", "layer", height)


def lasting_figure(half_life: Floats) -> Figure:
    """Draw which share of the channels keeps half for longer than any number of tokens.

    Args:
        half_life: (L, N) tokens, one value per channel; may be infinite.
    """
    figure = Figure()
    spans = np.geomspace(1, CEILING_TOKENS, 80)
    share = 100 * (half_life[:, :, None] > spans).mean(1)
    for layer, line in enumerate(share):
        figure.add_scatter(
            x=spans,
            y=line,
            mode="lines",
            line={"color": INK, "width": 1},
            opacity=0.45,
            hovertemplate=(
                f"layer {layer + 1}: %{{y:.0f}}% last longer than %{{x:.3g}} tokens<extra></extra>"
            ),
        )
    figure.add_scatter(
        x=spans,
        y=share.mean(0),
        mode="lines",
        line={"color": ACCENT, "width": 3},
        hovertemplate="%{y:.0f}% of all channels last longer than %{x:.3g} tokens<extra></extra>",
    )
    middle = int(np.abs(share.mean(0) - 60).argmin())
    direct_label(
        figure,
        " all layers",
        spans[middle],
        float(share.mean(0)[middle]),
        ACCENT,
        is_log=True,
        anchor="left",
    )
    _tokens_axis(figure)
    figure.update_yaxes(range=[0, 101])
    figure.update_layout(margin={"t": 64})
    title = "How many channels last how long?"
    return finish(figure, title, "half-life longer than (tokens)", "channels (%)", 360)


def _tokens_axis(figure: Figure) -> None:
    """Make the x axis logarithmic in tokens, with marks for a sentence, a page and a book."""
    for name, tokens in MARKS.items():
        figure.add_vline(x=tokens, line={"color": INK, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=np.log10(tokens), y=1, yref="paper", yanchor="bottom", text=name, showarrow=False
        )
    figure.update_xaxes(
        type="log",
        range=[0, np.log10(CEILING_TOKENS)],
        tickvals=[1, 10, 100, 1_000, 10_000, 100_000],
        ticktext=["1", "10", "100", "1k", "10k", "100k"],
    )
