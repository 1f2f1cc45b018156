"""Figures of a memory's matrices: one cell, the directions in use, and their way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from rwkv_core.inspection import Floats, Indices
from ui.plots.look import (
    ACCENT,
    FAINT,
    INK,
    SIGNED,
    TIME,
    Figure,
    colorbar,
    direct_label,
    every,
    finish,
)


def cell_figure(matrix: Floats) -> Figure:
    """Draw one head's table of associations.

    Args:
        matrix: (V, K), rows are values, columns keys.
    """
    rows, columns = matrix.shape
    top = max(float(np.percentile(np.abs(matrix), 99.5)), 1e-9)
    figure = Figure(
        go.Heatmap(
            x=np.arange(1, columns + 1),
            y=np.arange(1, rows + 1),
            z=matrix.astype(np.float32),
            zmin=-top,
            zmax=top,
            colorscale=SIGNED,
            colorbar=colorbar("strength (signed)"),
            hovertemplate="question %{x} gives answer %{y} a %{z:.3g}<extra></extra>",
        )
    )
    figure.update_xaxes(showgrid=False, dtick=every(columns))
    figure.update_yaxes(showgrid=False, dtick=every(rows), autorange="reversed")
    title = "What is in this memory cell?"
    return finish(figure, title, "question (key channel)", "answer (value channel)", 420)


def content_figure(content: Floats, log_mass: Floats) -> Figure:
    """Draw what RWKV-4's channels hold, and on how much evidence.

    Args:
        content: (C,) the remembered means.
        log_mass: (C,) natural logarithm of the sum of all weights behind each.
    """
    held = np.isfinite(log_mass)
    dots = go.Scattergl(
        x=log_mass[held],
        y=content[held],
        mode="markers",
        marker={"size": 5, "color": ACCENT, "opacity": 0.6},
        customdata=np.flatnonzero(held) + 1,
        hovertemplate=(
            "channel %{customdata} holds %{y:.3g},<br>weight behind it e^%{x:.1f}<extra></extra>"
        ),
    )
    figure = Figure(dots)
    figure.update_yaxes(zeroline=True, zerolinecolor=FAINT)
    return finish(
        figure, "What does each channel hold?", "weight behind it (log)", "content (mean)", 420
    )


def spectrum_figure(values: Floats, rank: float) -> Figure:
    """Draw how strong each direction of one head is.

    Args:
        values: (K,) singular values, largest first.
        rank: effective rank; bars up to it are drawn full.
    """
    count = len(values)
    bars = go.Bar(
        x=np.arange(1, count + 1),
        y=values,
        marker={"color": [ACCENT if i < rank else FAINT for i in range(count)]},
        hovertemplate="direction %{x} has strength %{y:.3g}<extra></extra>",
    )
    figure = Figure(bars)
    figure.update_xaxes(showgrid=False, dtick=every(count))
    title = "How many directions does it use?"
    return finish(figure, title, "direction, strongest first", "strength (singular value)", 420)


def rank_figure(
    effective: Floats, stable: Floats, positions: Indices, labels: Sequence[str], size: int
) -> Figure:
    """Draw how many directions of the matrices are in use while a text is read.

    Args:
        effective: (P, L) effective rank, mean over heads.
        stable: (P, L) stable rank, likewise.
        positions: (P,) after which tokens.
        labels: P readable tokens.
        size: the most there could be, K.
    """
    figure = Figure()
    x = positions + 1
    for layer in range(effective.shape[1]):
        figure.add_scatter(
            x=x,
            y=effective[:, layer],
            mode="lines",
            line={"color": INK, "width": 1},
            opacity=0.45,
            customdata=list(labels),
            hovertemplate=(
                f"layer {layer + 1} after “%{{customdata}}” (token %{{x}}): "
                f"%{{y:.1f}} of {size} directions<extra></extra>"
            ),
        )
    means = ("all layers", effective.mean(1), ACCENT, None), ("stable", stable.mean(1), INK, "dot")
    for name, values, color, dash in means:
        figure.add_scatter(
            x=x,
            y=values,
            mode="lines+markers" if len(x) < 3 else "lines",
            line={"color": color, "width": 3, "dash": dash},
            hovertemplate=f"{name}: %{{y:.1f}} of {size} after token %{{x}}<extra></extra>",
        )
        direct_label(figure, name, x[-1], float(values[-1]), color)
    figure.update_yaxes(range=[0, min(size, 1.15 * float(effective.max()) + 1)])
    title = "How much of the notebook is used?"
    return finish(figure, title, "position (token)", f"directions in use (of {size})", 360)


def path_figure(
    places: Floats, explained: Floats, positions: Indices, labels: Sequence[str]
) -> Figure:
    """Draw a layer's memory on its way through a text.

    Args:
        places: (P, 2) along the two directions of the largest movement.
        explained: (2,) share of all movement that each shows.
        positions: (P,) after which tokens.
        labels: P readable tokens.
    """
    figure = Figure(
        go.Scatter(
            x=places[:, 0],
            y=places[:, 1],
            mode="lines+markers",
            line={"color": FAINT, "width": 2},
            marker={
                "size": 7,
                "color": positions + 1,
                "colorscale": TIME,
                "colorbar": colorbar("position (token)"),
            },
            customdata=[(label, int(p) + 1) for label, p in zip(labels, positions, strict=True)],
            hovertemplate="after “%{customdata[0]}”, token %{customdata[1]}<extra></extra>",
        )
    )
    for text, place in (("start", places[0]), ("end", places[-1])):
        figure.add_annotation(
            x=place[0], y=place[1], text=text, showarrow=False, yshift=14, font={"size": 12}
        )
    first, second = (f"{100 * share:.0f}%" for share in explained)
    return finish(
        figure,
        "Where does the memory wander?",
        f"main direction ({first} of movement)",
        f"second direction ({second})",
        420,
    )
