"""Figures of how long a memory lasts."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from rwkv_core.inspection import BOOK_TOKENS, PAGE_TOKENS, SENTENCE_TOKENS, Floats
from ui.plots.look import ACCENT, ACCENT_SOFT, INK, Figure, every, finish


def forgetting_figure(half_life: Floats) -> Figure:
    """Draw how long channels keep half of what they hold, per layer, on a log axis.

    Boxes hold the middle half of a layer's channels, whiskers the middle four fifths.

    Args:
        half_life: (L, N) tokens, one value per channel; may be infinite.
    """
    n_layer = len(half_life)
    ceiling = 3.0 * BOOK_TOKENS
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
        customdata=np.stack([p10, p90], axis=1),
        hovertemplate=(
            "layer %{y}: half its channels keep half for %{x:.3g} tokens,<br>"
            "most of them between %{customdata[0]:.3g} and %{customdata[1]:.3g}<extra></extra>"
        ),
    )
    figure = Figure([box, dots])
    marks = {"a sentence": SENTENCE_TOKENS, "a page": PAGE_TOKENS, "a book": BOOK_TOKENS}
    for name, tokens in marks.items():
        figure.add_vline(x=tokens, line={"color": INK, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=np.log10(tokens), y=1, yref="paper", yanchor="bottom", text=name, showarrow=False
        )
    figure.update_xaxes(
        type="log",
        range=[0, np.log10(ceiling)],
        tickvals=[1, 10, 100, 1_000, 10_000, 100_000],
        ticktext=["1", "10", "100", "1k", "10k", "100k"],
    )
    figure.update_yaxes(dtick=every(n_layer), range=[0.4, n_layer + 0.6], showgrid=False)
    figure.update_layout(margin={"t": 64})
    height = int(np.clip(140 + 22 * n_layer, 320, 640))
    title = "How fast does each layer forget?"
    return finish(figure, title, "half-life (tokens)", "layer", height)
