"""Figures of the experiments: two memories beside each other, changes, recall, damage."""

from __future__ import annotations

import numpy as np

from rwkv_core.inspection.comparison import Likeness
from ui.plots.look import ACCENT, INK, Figure, every, finish


def likeness_figure(found: Likeness) -> Figure:
    """Draw how alike two memories are in each layer, and their traces of the last token.

    Args:
        found: L layers.
    """
    n_layer = len(found.memory_cosine)
    layers = np.arange(1, n_layer + 1)
    figure = Figure()
    for name, cosine, apart, color, symbol in (
        ("memory", found.memory_cosine, found.memory_distance, ACCENT, "circle"),
        ("trace of the last token", found.shift_cosine, found.shift_distance, INK, "diamond"),
    ):
        figure.add_scatter(
            x=layers,
            y=cosine,
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 9, "color": color, "symbol": symbol},
            customdata=np.stack([apart], axis=1),
            hovertemplate=(
                f"layer %{{x}}, {name}: cosine %{{y:.3f}},<br>"
                "%{customdata[0]:.3f} of their mean length apart<extra></extra>"
            ),
        )
    known = np.concatenate([found.memory_cosine, found.shift_cosine])
    low = float(np.nanmin(known)) if np.isfinite(known).any() else 0.0
    figure.update_xaxes(dtick=every(n_layer), range=[0.6, n_layer + 0.4])
    figure.update_yaxes(range=[min(0.0, low) - 0.05, 1.05])
    figure = finish(figure, "How alike are the two memories?", "layer", "cosine", 320)
    return figure.update_layout(showlegend=True, legend=LEGEND, margin={"t": 76})


def changed_figure(found: Likeness) -> Figure:
    """Draw how far a changed memory lies from the one it was made of, in each layer.

    Args:
        found: the first memory beside the changed one, L layers.
    """
    n_layer = len(found.memory_distance)
    figure = Figure()
    figure.add_bar(
        x=np.arange(1, n_layer + 1),
        y=found.memory_distance,
        customdata=np.stack([found.memory_cosine], axis=1),
        marker={"color": ACCENT, "line": {"width": 0}},
        hovertemplate=(
            "layer %{x} lies %{y:.3f} mean lengths from A,<br>"
            "cosine %{customdata[0]:.3f}<extra></extra>"
        ),
    )
    figure.update_xaxes(dtick=every(n_layer), showgrid=False)
    figure.update_yaxes(range=[0, max(1.0, float(found.memory_distance.max()) * 1.05)])
    title = "How much of each layer changed?"
    return finish(figure, title, "layer", "distance from A (mean lengths)", 300)


# Under the title, where no line passes.
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"}
