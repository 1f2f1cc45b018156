"""The look that all figures share, for light pages and dark ones."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go

Figure: TypeAlias = go.Figure

# The page's accent, close to the middle of Viridis.
ACCENT = "#278d80"
ACCENT_SOFT = "rgba(39, 141, 128, 0.22)"
# Mid-grey: near 4 : 1 against the light page and against the dark one.
INK = "#77827f"
# For what takes away, and for negative numbers; told from ACCENT by the colour-blind too.
RUST = "#c4622d"
# Nothing is the page itself, light or dark.
SIGNED = [(0.0, RUST), (0.5, "rgba(128, 140, 136, 0.08)"), (1.0, ACCENT)]
# From early to late; the ends show on both pages.
TIME = [(0.0, "#b9c2bf"), (0.5, "#5fa89d"), (1.0, "#14584f")]
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
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "traceorder": "normal",
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "dragmode": False,
            "bargap": 0.12,
        }
    )


def finish(figure: Figure, title: str, x_title: str, y_title: str, height: int) -> Figure:
    """Give a figure its question, its units, its height and the shared look."""
    figure.update_layout(template=template(), title={"text": title}, height=height)
    figure.update_xaxes(title={"text": x_title})
    figure.update_yaxes(title={"text": y_title})
    return figure


def colorbar(title: str) -> dict[str, object]:
    """Make the strip that says what colours stand for."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "outlinewidth": 0,
        "xpad": 6,
        "nticks": 5,
    }


def every(count: int) -> int:
    """Space whole-number ticks so that about eight remain."""
    return max(1, -(-count // 8))


def direct_label(
    figure: Figure,
    text: str,
    x: float,
    y: float,
    color: str,
    *,
    is_log: bool = False,
    anchor: str = "right",
) -> None:
    """Write a line's name beside a point of it, ending there or beginning there."""
    figure.add_annotation(
        x=np.log10(x) if is_log else x,
        y=y,
        text=text,
        xanchor=anchor,
        yanchor="bottom",
        showarrow=False,
        font={"color": color},
    )
