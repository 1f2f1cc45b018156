"""Figures of the experiments: recall against distance, both ways of reading, damage."""

from __future__ import annotations

import numpy as np

from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.equality import Equality
from rwkv_core.inspection.lesion import Lesions
from rwkv_core.inspection.probe import Probe, right_bits, right_choices
from ui.plots.comparison import LEGEND
from ui.plots.look import ACCENT, INK, Figure, colorbar, every, finish

# Where 0 stands on an axis of doubling distances.
ZERO_AT = 8

CHOICE_TITLE = "Does it pick the right answer?"


def recall_figure(probe: Probe) -> Figure:
    """Draw the probability of the right answer against distance, told and not told.

    Args:
        probe: D distances.
    """
    figure = Figure()
    for name, bits, ranks, color, symbol in (
        ("told", right_bits(probe), probe.told_rank, ACCENT, "circle"),
        ("not told", probe.control_bits, probe.control_rank, INK, "diamond"),
    ):
        figure.add_scatter(
            x=_positions(probe),
            y=np.exp2(bits).mean(axis=1),
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 9, "color": color, "symbol": symbol},
            customdata=np.stack([probe.distances, np.median(ranks, axis=1)], axis=1),
            hovertemplate=(
                f"{name}, after %{{customdata[0]:,}} tokens: the right answer has %{{y:.2%}},<br>"
                "%{customdata[1]:,} in the list of likely words<extra></extra>"
            ),
        )
    chance = 1 / probe.vocab_size
    _dotted(figure, chance, f"chance, 1 of {probe.vocab_size:,} tokens")
    _distance_axis(figure, probe)
    lowest = min(chance, float(np.exp2(probe.control_bits).mean(axis=1).min()))
    figure.update_yaxes(
        type="log", range=[np.log10(lowest) - 0.3, 0.1], dtick=1, tickformat="~p",
        exponentformat="power",
    )  # fmt: skip
    title = "How long does it remember the fact?"
    x_title, y_title = "filler between fact and question (tokens)", "chance of the answer"
    figure = finish(figure, title, x_title, y_title, 360)
    return figure.update_layout(showlegend=True, legend=LEGEND, margin={"t": 76})


def choice_figure(probe: Probe) -> Figure:
    """Draw how often the told answer gains most of all, against distance.

    Args:
        probe: D distances, at least two answers.
    """
    count = probe.told_bits.shape[-1]
    figure = Figure()
    figure.add_scatter(
        x=_positions(probe),
        y=right_choices(probe),
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 9, "color": ACCENT},
        customdata=np.stack([probe.distances], axis=1),
        hovertemplate=(
            f"after %{{customdata[0]:,}} tokens the told one of {count} answers gains most "
            "in %{y:.0%} of the cases<extra></extra>"
        ),
    )
    _dotted(figure, 1 / count, f"chance, 1 of {count} answers")
    _distance_axis(figure, probe)
    figure.update_yaxes(range=[-0.03, 1.06], tickformat=".0%")
    return finish(
        figure, CHOICE_TITLE, "filler between fact and question (tokens)", "right choices", 300
    )


def equality_figure(found: Equality) -> Figure:
    """Draw how far the two ways of reading differ at each token.

    Args:
        found: T tokens.
    """
    seen = np.where(found.difference > 0, found.difference, np.nan)
    figure = Figure()
    figure.add_scatter(
        x=np.arange(1, len(seen) + 1),
        y=seen.astype(np.float32),
        mode="markers",
        marker={"size": 5, "color": ACCENT},
        hovertemplate="token %{x}: %{y:.2g} between the two ways<extra></extra>",
    )
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    title = "How far apart are the two ways?"
    return finish(
        figure, title, "position (token)", "largest difference of a logit", 300
    )  # fmt: skip


def lesion_figure(found: Lesions) -> Figure:
    """Draw what the loss of each layer, or head, does to the next word.

    Args:
        found: (L,) or (L, H); NaN where not yet measured.
    """
    table, n_layer = found.kl_bits, len(found.kl_bits)
    title = "Which part matters for the next word?"
    if table.ndim == 1:
        figure = Figure()
        figure.add_bar(
            x=np.arange(1, n_layer + 1), y=table, marker={"color": ACCENT, "line": {"width": 0}},
            hovertemplate="without layer %{x} the next word moves by %{y:.3g} bits<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(dtick=every(n_layer), range=[0.4, n_layer + 0.6], showgrid=False)
        figure.update_yaxes(rangemode="tozero")
        return finish(figure, title, "layer", "effect on the next word (bits)", 300)
    n_head = table.shape[1]
    figure = Figure()
    figure.add_heatmap(
        z=table.astype(np.float32), x=np.arange(1, n_head + 1), y=np.arange(1, n_layer + 1),
        colorscale="Viridis", colorbar=colorbar("effect (bits)"), zmin=0,
        hovertemplate=(
            "without head %{x} of layer %{y} the next word moves by %{z:.3g} bits<extra></extra>"
        ),
    )  # fmt: skip
    figure.update_xaxes(dtick=every(n_head), showgrid=False)
    figure.update_yaxes(dtick=every(n_layer), showgrid=False)
    return finish(figure, title, "head", "layer", int(np.clip(120 + 20 * n_layer, 300, 640)))


def _positions(probe: Probe) -> Floats:
    positions: Floats = np.log2(np.maximum(probe.distances, ZERO_AT))
    return positions


def _distance_axis(figure: Figure, probe: Probe) -> None:
    positions = _positions(probe)
    named = [f"{d // 1024}k" if d >= 1024 else f"{d}" for d in probe.distances.tolist()]
    figure.update_xaxes(
        tickvals=positions, ticktext=named, range=[positions[0] - 0.3, positions[-1] + 0.3]
    )


def _dotted(figure: Figure, height: float, text: str) -> None:
    figure.add_hline(y=height, line={"color": INK, "width": 1, "dash": "dot"})
    on_log = np.log10(height) if height < 0.15 else height
    figure.add_annotation(
        x=1, xref="paper", y=on_log, text=text, showarrow=False, xanchor="right", yanchor="bottom"
    )
