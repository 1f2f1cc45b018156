"""Figures of How it works: numbers that would overflow, and those that cannot."""

from __future__ import annotations

import numpy as np

from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.stability import (
    FLOAT32_LIMIT,
    LogSumExp,
    bounded_decay,
    raw_of_bounded,
    unbounded_decay,
)
from ui.plots.comparison import LEGEND
from ui.plots.look import ACCENT, INK, Figure, finish


def sum_figure(keys: Floats, total: LogSumExp, first: int = 0) -> Figure:
    """Draw RWKV-4's sum of exp(key), plain and as it is kept, in powers of ten.

    Args:
        keys: (T,) exponents.
        total: the sum both ways.
        first: position in the text of the first of them, from 0.
    """
    tokens = first + np.arange(1, len(keys) + 1)
    with np.errstate(divide="ignore"):
        plain, kept = np.log10(total.plain), np.log10(total.kept)
    plain = np.where(np.isfinite(plain), plain, np.nan)
    figure = Figure()
    for name, values, color, symbol in (
        ("plain sum", plain, INK, "diamond"),
        ("what is kept", kept, ACCENT, "circle"),
    ):
        figure.add_scatter(
            x=tokens, y=values, name=name, mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 6, "color": color, "symbol": symbol},
            customdata=np.stack([keys], axis=1),
            hovertemplate=(
                f"token %{{x}}, key %{{customdata[0]:.1f}}: {name} 10 to the %{{y:.1f}}"
                "<extra></extra>"
            ),
        )  # fmt: skip
    limit = FLOAT32_LIMIT / np.log(10)
    figure.add_hline(y=limit, line={"color": INK, "width": 1, "dash": "dot"})
    if np.isinf(total.plain).any():
        at = int(np.isinf(total.plain).argmax())
        figure.add_annotation(
            x=int(tokens[at]), y=limit, text="here the plain sum is infinite", showarrow=True, arrowcolor=INK,
            ax=0, ay=26, xanchor="left" if at < len(keys) / 2 else "right",
        )  # fmt: skip
    title = "RWKV-4: why does the sum not overflow?"
    figure = finish(figure, title, "position (token)", "sum (power of ten)", 320)
    return figure.update_layout(showlegend=True, legend=LEGEND, margin={"t": 76})


def decay_figure(decay: Floats, generation: str) -> Figure:
    """Draw the decay against what the network says, for RWKV-7 and before, with live dots.

    Args:
        decay: decays of one token, 0 to 1.
        generation: of the model.
    """
    raw = np.linspace(-8, 4, 121)
    figure = Figure()
    is_bounded = generation.startswith("7")
    for name, values, color, width in (
        ("RWKV-7", bounded_decay(raw), ACCENT if is_bounded else INK, 2),
        ("RWKV-4 to 6", unbounded_decay(raw), INK if is_bounded else ACCENT, 2),
    ):
        figure.add_scatter(
            x=raw, y=values, name=name, mode="lines", hoverinfo="skip",
            line={"color": color, "width": width, "dash": "solid" if color == ACCENT else "dot"},
        )  # fmt: skip
    wide = np.clip(decay.astype(np.float64), 1e-12, 1 - 1e-12)
    at = raw_of_bounded(wide) if is_bounded else np.log(-np.log(wide))
    figure.add_scatter(
        x=at, y=wide, name="this token", mode="markers",
        marker={"size": 7, "color": ACCENT, "opacity": 0.6},
        hovertemplate="input %{x:.2f}: decay %{y:.3f}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(range=[-0.03, 1.05])
    figure.update_xaxes(range=[-8.2, 4.2])
    title = "How much can one token let fade?"
    figure = finish(figure, title, "what the network says", "decay w", 320)
    return figure.update_layout(showlegend=True, legend=LEGEND, margin={"t": 76})
