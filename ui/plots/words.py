"""Figures that follow one word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from rwkv_core.errors import Sentence
from rwkv_core.inspection import Floats, Indices
from ui.plots.look import ACCENT, FAINT, INK, RUST, Figure, colorbar, direct_label, every, finish

# More lines than this are drawn as the band they fill.
MAX_LINES = 32


def life_figure(heads: Floats, layer: Floats, first: int) -> Figure:
    """Draw how much of what one word wrote is left after each later one.

    Args:
        heads: (H, n) share left in each head, from 1 at the word itself.
        layer: (n,) share left in the whole layer.
        first: position of the word, from 0.
    """
    ages = np.arange(heads.shape[1])
    figure = Figure()
    if len(heads) <= MAX_LINES:
        for head, left in enumerate(heads):
            figure.add_scatter(
                x=ages,
                y=100 * left,
                mode="lines",
                line={"color": INK, "width": 1},
                opacity=0.5,
                hovertemplate=f"head {head + 1}, %{{x}} tokens later: %{{y:.0f}}%<extra></extra>",
            )
    else:
        low, high = np.percentile(100 * heads, [10, 90], axis=0)
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(x=ages, y=low, **edge)
        figure.add_scatter(x=ages, y=high, fill="tonexty", fillcolor=FAINT, **edge)
    figure.add_scatter(
        x=ages,
        y=100 * layer,
        mode="lines+markers" if len(ages) < 3 else "lines",
        line={"color": ACCENT, "width": 3},
        customdata=ages + first + 1,
        hovertemplate="%{x} tokens later (token %{customdata}): %{y:.0f}% left<extra></extra>",
    )
    figure.add_hline(y=50, line={"color": INK, "width": 1, "dash": "dot"})
    direct_label(figure, "half", ages[-1], 50, INK)
    figure.update_yaxes(range=[0, max(105.0, 105 * float(min(2, heads.max(initial=0))))])
    figure.update_xaxes(range=[0, max(1, int(ages[-1]))])
    title = "How long does this word last?"
    return finish(figure, title, "tokens read since", "left of its trace (%)", 360)


def reading_figure(weights: Floats, labels: Sequence[str], columns: Indices, first: int) -> Figure:
    """Draw with which weight one head reads back each earlier token.

    Args:
        weights: (n,) signed, of the tokens up to and with the one that reads.
        labels: n readable tokens.
        columns: positions to draw.
        first: position of the first of them in the text.
    """
    figure = Figure(
        go.Bar(
            x=columns + first + 1,
            y=weights[columns],
            marker={"color": np.where(weights[columns] < 0, RUST, ACCENT).tolist()},
            customdata=[(labels[c], int(c) + first + 1) for c in columns],
            hovertemplate=(
                "“%{customdata[0]}”, token %{customdata[1]}, "
                "is read with weight %{y:.3g}<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(zeroline=True, zerolinecolor=FAINT)
    figure.update_layout(bargap=0.12 if len(columns) <= 80 else 0)
    title = "What is it reading right now?"
    return finish(figure, title, "position (token)", "weight (signed)", 360)


def lens_figure(
    probability: Floats,
    guesses: Sequence[Sequence[str]],
    labels: Sequence[str],
    first: int,
    is_known: Sequence[bool],
) -> Figure:
    """Draw what every layer would say comes next.

    Args:
        probability: (L, n) probability of the token that came next; of the likeliest where
            the text ends.
        guesses: (L, n) each layer's likeliest next token.
        labels: n readable tokens, after which the layers are asked.
        first: position of the first of them in the text.
        is_known: n, whether the text says which token came next.
    """
    n_layer, count = probability.shape
    given = [
        Sentence("and gives the right word" if known else "and gives it") for known in is_known
    ]
    places = np.arange(count)
    figure = Figure(
        go.Heatmap(
            x=places,
            y=np.arange(1, n_layer + 1),
            z=100 * probability,
            zmin=0,
            zmax=100,
            xgap=2,
            ygap=2,
            colorscale="Viridis",
            colorbar=colorbar("right word (%)"),
            text=[list(row) for row in guesses],
            texttemplate="%{text}" if n_layer <= 12 else None,
            customdata=[list(zip(labels, given, strict=True))] * n_layer,
            hovertemplate=(
                "after “%{customdata[0]}” layer %{y} would say “%{text}”<br>"
                "%{customdata[1]} %{z:.1f}%<extra></extra>"
            ),
        )
    )
    ticks = [f"{label}<br>{first + i + 1}" for i, label in enumerate(labels)]
    figure.update_xaxes(showgrid=False, tickvals=places, ticktext=ticks, tickangle=0)
    figure.update_yaxes(showgrid=False, dtick=every(n_layer))
    height = int(np.clip(160 + 34 * n_layer, 320, 720))
    title = "When does it make up its mind?"
    return finish(figure, title, "after this word", "layer", height)
