"""Figures of gates and the channel mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from rwkv_core.inspection import Floats, Indices
from ui.plots.look import ACCENT, INK, RUST, Figure, colorbar, every, finish

COLOURS = (ACCENT, RUST, INK)


def gates_figure(by_layer: Mapping[str, Floats]) -> Figure:
    """Draw how open each layer's gates are, mean over the text.

    Args:
        by_layer: (L,) each, by name.
    """
    figure = Figure()
    for number, (name, values) in enumerate(by_layer.items()):
        color = COLOURS[number % len(COLOURS)]
        layers = np.arange(1, len(values) + 1)
        figure.add_scatter(
            x=layers,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2, "dash": ("solid", "dot")[number // len(COLOURS)]},
            hovertemplate=f"layer %{{x}}: {name} %{{y:.2f}}<extra></extra>",
        )
    figure.update_xaxes(dtick=every(len(layers)), showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    # Below the drawing, where several lines of names have room on a phone.
    legend = {"y": -0.24, "yanchor": "top"}
    figure.update_layout(showlegend=True, legend=legend, margin={"b": 96})
    return finish(figure, "How open are the gates?", "layer", "mean size (no unit)", 420)


def sparsity_figure(active: Floats, labels: Sequence[str], columns: Indices) -> Figure:
    """Draw how many units of each layer's channel mix answer to each token.

    Args:
        active: (L, T) share of units above zero.
        labels: T readable tokens.
        columns: positions to draw.
    """
    n_layer = len(active)
    figure = Figure(
        go.Heatmap(
            x=columns + 1,
            y=np.arange(1, n_layer + 1),
            z=(100 * active[:, columns]).astype(np.float32),
            zmin=0,
            colorscale="Viridis",
            colorbar=colorbar("units that answer (%)"),
            customdata=np.tile([labels[column] for column in columns], (n_layer, 1)),
            hovertemplate=(
                "layer %{y} at “%{customdata}” (token %{x}): %{z:.0f}% of units answer"
                "<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False, dtick=every(n_layer))
    height = int(np.clip(140 + 26 * n_layer, 260, 640))
    title = "How many units does a word wake?"
    return finish(figure, title, "position (token)", "layer", height)
