"""Figures with one column per token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from rwkv_core.inspection import Floats, Indices
from ui.plots.look import ACCENT, Figure, colorbar, every, finish


def surprise_figure(
    bits: Floats, labels: Sequence[str], columns: Indices, stride: int = 1
) -> Figure:
    """Draw how unexpected each token was.

    Args:
        bits: (T,) surprise in bits, NaN where nothing came before.
        labels: T readable tokens.
        columns: positions to draw, one of each group.
        stride: tokens in a group.
    """
    hover = "“%{customdata[0]}”, token %{customdata[1]}: %{y:.1f} bits of surprise<extra></extra>"
    said = [(labels[column], int(column) + 1) for column in columns]
    figure = Figure(token_bars(bits, said, columns, stride, hover))
    figure.update_xaxes(showgrid=False)
    # Gaps narrower than a pixel would draw stripes that are not in the data.
    figure.update_layout(bargap=0.12 if len(columns) <= 80 else 0)
    return finish(figure, "What surprised the model?", "position (token)", "surprise (bits)", 300)


def filling_figure(norms: Floats, labels: Sequence[str], columns: Indices) -> Figure:
    """Draw how much each layer holds after each token, against its own average.

    Args:
        norms: (L, T) Frobenius norm of each layer's memory.
        labels: T readable tokens.
        columns: positions to draw.
    """
    means = norms.mean(axis=1, keepdims=True)
    ratio = np.divide(norms, means, out=np.zeros(norms.shape), where=means > 0)[:, columns]
    n_layer = len(norms)
    low, high = np.percentile(ratio, [2, 98])
    figure = Figure(
        go.Heatmap(
            x=columns + 1,
            y=np.arange(1, n_layer + 1),
            z=ratio.astype(np.float32),
            zmin=low,
            zmax=max(high, low + 0.01),
            customdata=np.tile([labels[column] for column in columns], (n_layer, 1)),
            colorscale="Viridis",
            colorbar=colorbar("times the layer's average"),
            hovertemplate=(
                "layer %{y} after “%{customdata}” (token %{x}): "
                "%{z:.2f} times its average<extra></extra>"
            ),
        )
    )
    figure.update_yaxes(dtick=every(n_layer), showgrid=False)
    figure.update_xaxes(showgrid=False)
    height = int(np.clip(140 + 26 * n_layer, 260, 640))
    title = "How full is each layer, word by word?"
    return finish(figure, title, "position (token)", "layer", height)


def token_bars(
    values: Floats,
    said: Sequence[tuple[object, ...]],
    columns: Indices,
    stride: int,
    hovertemplate: str,
) -> go.Bar:
    """Make one bar per group of tokens, as wide as the group; `said` is for the hover text."""
    return go.Bar(
        x=columns // stride * stride + (stride + 1) / 2,
        y=values[columns].astype(np.float32),
        customdata=said,
        hovertemplate=hovertemplate,
        marker={"line": {"width": 0}, "color": ACCENT},
    )
