"""Figures of the State inspector: numpy in, Plotly figure out, one template for light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go

from rwkv_core.inspection import (
    BOOK_TOKENS,
    PAGE_TOKENS,
    SENTENCE_TOKENS,
    Floats,
    Indices,
    kv_cache_bytes,
)

Figure: TypeAlias = go.Figure

# The page's accent, close to the middle of Viridis.
ACCENT = "#278d80"
ACCENT_SOFT = "rgba(39, 141, 128, 0.22)"
# Mid-grey: near 4 : 1 against the light page and against the dark one.
INK = "#77827f"
FAINT = "rgba(119, 130, 127, 0.22)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
# Buttons over a figure hide it on a phone; hovering and the CSV file give the same.
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False}


def template() -> go.layout.Template:
    """Make the look that all figures share; backgrounds are the page's own."""
    axis = {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "fixedrange": True,
        "title": {"standoff": 8, "font": {"size": 12}},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": INK},
            "title": {
                "font": {"size": 15},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "yref": "container",
                "y": 1,
                "yanchor": "top",
                "pad": {"l": 8, "t": 12},
            },
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "colorway": [ACCENT, INK],
            "margin": {"l": 8, "r": 12, "t": 48, "b": 8},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": "#1a201f",
                "bordercolor": "#1a201f",
                "font": {"family": FONT, "size": 13, "color": "#f6f8f7"},
                "align": "left",
            },
            "showlegend": False,
            "dragmode": False,
            "bargap": 0.12,
        }
    )


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
    figure = _token_bars(bits, labels, columns, stride, hover)
    return _finish(figure, "What surprised the model?", "position (token)", "surprise (bits)", 300)


def change_figure(
    change: Floats, labels: Sequence[str], columns: Indices, stride: int = 1, *, filling: int = 0
) -> Figure:
    """Draw how much of the memory each token rewrote.

    The axis ends above the tallest settled bar; grey bars may pass it.

    Args:
        change: (T,) relative change, mean over layers, no unit; NaN for the first token.
        labels: T readable tokens.
        columns: positions to draw, one of each group.
        stride: tokens in a group.
        filling: how many tokens at the start fill an empty memory; drawn in grey.
    """
    hover = (
        "“%{customdata[0]}”, token %{customdata[1]}: changed %{y:.1f}% of the memory<extra></extra>"
    )
    figure = _token_bars(100 * change, labels, columns, stride, hover)
    figure.update_traces(marker={"color": [FAINT if c < filling else ACCENT for c in columns]})
    settled = change[filling:]
    if np.isfinite(settled).any():
        figure.update_yaxes(range=[0, 105 * max(float(np.nanmax(settled)), 0.001)])
    title = "Which words changed the memory?"
    return _finish(figure, title, "position (token)", "change (% of the memory)", 300)


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
            colorbar=_colorbar("times the layer's average"),
            hovertemplate=(
                "layer %{y} after “%{customdata}” (token %{x}): "
                "%{z:.2f} times its average<extra></extra>"
            ),
        )
    )
    figure.update_yaxes(dtick=_every(n_layer), showgrid=False)
    figure.update_xaxes(showgrid=False)
    height = int(np.clip(140 + 26 * n_layer, 260, 640))
    title = "How full is each layer, word by word?"
    return _finish(figure, title, "position (token)", "layer", height)


def layers_figure(norms: Floats) -> Figure:
    """Draw how much each layer holds after the last token.

    Args:
        norms: (L,) Frobenius norm of each layer's memory.
    """
    hover = "layer %{x} holds %{y:.3g}<extra></extra>"
    bars = go.Bar(x=np.arange(1, len(norms) + 1), y=norms, hovertemplate=hover)
    figure = Figure(bars)
    figure.update_xaxes(dtick=_every(len(norms)), showgrid=False)
    return _finish(figure, "What does each layer hold now?", "layer", "size of memory (norm)", 320)


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
            colorbar=_colorbar("size of memory (norm)"),
            hovertemplate="head %{x} of layer %{y} holds %{z:.3g}<extra></extra>",
            # Numbers fit into the cells of small models only.
            texttemplate="%{z:.3g}" if norms.size <= 48 else None,
        )
    )
    figure.update_xaxes(dtick=_every(n_head), showgrid=False)
    figure.update_yaxes(dtick=_every(n_layer), showgrid=False)
    height = int(np.clip(120 + 20 * n_layer, 320, 640))
    return _finish(figure, "Which heads hold the most?", "head", "layer", height)


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
    figure.update_yaxes(dtick=_every(n_layer), range=[0.4, n_layer + 0.6], showgrid=False)
    figure.update_layout(margin={"t": 64})
    height = int(np.clip(140 + 22 * n_layer, 320, 640))
    title = "How fast does each layer forget?"
    return _finish(figure, title, "half-life (tokens)", "layer", height)


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
        customdata=["a transformer would keep", "this memory is"],
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
    return _finish(figure, title, "text read (tokens)", f"size ({unit})", 320)


def _token_bars(
    values: Floats, labels: Sequence[str], columns: Indices, stride: int, hovertemplate: str
) -> Figure:
    """Draw one bar per group of tokens, as wide as the group."""
    figure = Figure(
        go.Bar(
            x=columns // stride * stride + (stride + 1) / 2,
            y=values[columns].astype(np.float32),
            customdata=[(labels[column], int(column) + 1) for column in columns],
            hovertemplate=hovertemplate,
            marker={"line": {"width": 0}, "color": ACCENT},
        )
    )
    figure.update_xaxes(showgrid=False)
    # Gaps narrower than a pixel would draw stripes that are not in the data.
    figure.update_layout(bargap=0.12 if len(columns) <= 80 else 0)
    return figure


def _colorbar(title: str) -> dict[str, object]:
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "outlinewidth": 0,
        "xpad": 6,
        "nticks": 5,
    }


def _every(count: int) -> int:
    """Space whole-number ticks so that about eight remain."""
    return max(1, -(-count // 8))


def _finish(figure: Figure, title: str, x_title: str, y_title: str, height: int) -> Figure:
    """Give a figure its question, its units, its height and the shared look."""
    figure.update_layout(template=template(), title={"text": title}, height=height)
    figure.update_xaxes(title={"text": x_title})
    figure.update_yaxes(title={"text": y_title})
    return figure
