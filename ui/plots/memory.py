"""Figures of what a memory holds now."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from rwkv_core.errors import Sentence
from rwkv_core.inspection import Floats, kv_cache_bytes
from ui.plots.look import ACCENT, INK, Figure, colorbar, every, finish


def layers_figure(norms: Floats) -> Figure:
    """Draw how much each layer holds after the last token.

    Args:
        norms: (L,) Frobenius norm of each layer's memory.
    """
    hover = "layer %{x} holds %{y:.3g}<extra></extra>"
    bars = go.Bar(x=np.arange(1, len(norms) + 1), y=norms, hovertemplate=hover)
    figure = Figure(bars)
    figure.update_xaxes(dtick=every(len(norms)), showgrid=False)
    return finish(figure, "What does each layer hold now?", "layer", "size of memory (norm)", 320)


def heads_figure(norms: Floats) -> Figure:
    """Draw how much each head of each layer holds after the last token.

    Args:
        norms: (L, H) Frobenius norm of each head's memory.
    """
    n_layer, n_head = norms.shape
    figure = Figure(
        go.Heatmap(
            x=np.arange(1, n_head + 1),
            y=np.arange(1, n_layer + 1),
            z=norms.astype(np.float32),
            zmin=0,
            xgap=1,
            ygap=1,
            colorscale="Viridis",
            colorbar=colorbar("size of memory (norm)"),
            hovertemplate="head %{x} of layer %{y} holds %{z:.3g}<extra></extra>",
            # Numbers fit into the cells of small models only.
            texttemplate="%{z:.3g}" if norms.size <= 48 else None,
        )
    )
    figure.update_xaxes(dtick=every(n_head), showgrid=False)
    figure.update_yaxes(dtick=every(n_layer), showgrid=False)
    height = int(np.clip(120 + 20 * n_layer, 320, 640))
    return finish(figure, "Which heads hold the most?", "head", "layer", height)


def size_figure(state_bytes: int, n_layer: int, n_embd: int, tokens: int) -> Figure:
    """Draw the memory's constant size beside a transformer's growing cache (calculated).

    Args:
        state_bytes: bytes of this model's state.
        n_layer: layers of both.
        n_embd: channels of both.
        tokens: tokens read so far.
    """
    per_token = kv_cache_bytes(n_layer, n_embd, 1)
    last = max(2 * tokens, 3 * state_bytes // per_token)
    unit, size = ("MB", 1e6) if last * per_token >= 2e6 else ("kB", 1e3)
    ends = np.array([0, last])
    figure = Figure()
    for y, color, width in (
        (ends * per_token / size, INK, 2),
        (np.full(2, state_bytes / size), ACCENT, 3),
    ):
        line = {"color": color, "width": width}
        figure.add_scatter(x=ends, y=y, mode="lines", line=line, hoverinfo="skip")
    now = np.array([tokens * per_token, state_bytes]) / size
    figure.add_scatter(
        x=[tokens, tokens],
        y=now,
        mode="markers",
        marker={"size": 9, "color": [INK, ACCENT]},
        customdata=[Sentence("a transformer would keep"), Sentence("this memory is")],
        hovertemplate=f"after %{{x}} tokens %{{customdata}} %{{y:.3g}} {unit}<extra></extra>",
    )
    top = last * per_token / size
    figure.add_annotation(
        x=0.62 * last, y=0.62 * top, text="transformer (calculated) ", xanchor="right",
        yanchor="bottom", showarrow=False,
    )  # fmt: skip
    figure.add_annotation(
        x=last, y=state_bytes / size, text="this memory", xanchor="right", yanchor="bottom",
        showarrow=False, font={"color": ACCENT},
    )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    title = "Does the memory grow with the text?"
    return finish(figure, title, "text read (tokens)", f"size ({unit})", 320)
