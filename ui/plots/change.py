"""Figures of what each token did to the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rwkv_core.errors import Sentence
from rwkv_core.inspection import Floats, Indices
from ui.plots.look import ACCENT, FAINT, INK, RUST, Figure, finish
from ui.plots.tokens import token_bars

# What is done to a memory, in the order of the stack, with its colour.
PARTS = {"write": ACCENT, "fade": INK, "erase": RUST}


def change_figure(
    parts: Mapping[str, Floats],
    change: Floats,
    labels: Sequence[str],
    columns: Indices,
    stride: int = 1,
    *,
    filling: int = 0,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw what each token wrote, let fade and erased.

    The axis ends above the tallest settled bar; the pale ones of a filling memory may pass it.

    Args:
        parts: "write", "fade", "erase", (T,) each, relative to the memory before, no unit.
        change: (T,) what came of it: the relative change of the memory.
        labels: T readable tokens.
        columns: positions to draw, one of each group.
        stride: tokens in a group.
        filling: how many tokens at the start fill an empty memory; drawn pale.
        names: what to call the parts; "wrote", "faded", "erased" by default.
    """
    names = names or {"write": "wrote", "fade": "faded", "erase": "erased"}
    shown = {name: parts[name] for name in PARTS if np.nansum(parts[name]) > 0} or {
        "write": parts["write"]
    }
    said = [
        (
            labels[c],
            int(c) + 1,
            _listed([(names[name], f"{100 * values[c]:.1f}") for name, values in shown.items()]),
            f"{100 * change[c]:.1f}",
        )
        for c in columns
    ]
    hover = (
        "“%{customdata[0]}”, token %{customdata[1]}: %{customdata[2]};<br>"
        "all in all the memory changed by %{customdata[3]}%<extra></extra>"
    )
    figure = Figure()
    pale = [0.3 if c < filling else 1.0 for c in columns]
    for name, values in shown.items():
        bars = token_bars(100 * values, said, columns, stride, hover)
        bars.update(name=names[name], marker={"color": PARTS[name], "opacity": pale})
        figure.add_trace(bars)
    total = np.sum([np.nan_to_num(values) for values in shown.values()], axis=0)
    if len(settled := total[filling:]) and settled.max() > 0:
        figure.update_yaxes(range=[0, 105 * float(settled.max())])
    figure.update_layout(barmode="stack", bargap=0.12 if len(columns) <= 80 else 0)
    if len(shown) > 1:
        figure.update_layout(showlegend=True, margin={"t": 72})
    figure.update_xaxes(showgrid=False, zeroline=True, zerolinecolor=FAINT)
    title = "Which words changed the memory?"
    return finish(figure, title, "position (token)", "moved (% of the memory)", 320)


def _listed(parts: Sequence[tuple[str, str]]) -> Sentence:
    """Say "wrote 25.0%, faded 3.0%" so that it can be said in other languages."""
    (name, share), *others = parts
    part = Sentence("{part} {share}%", part=Sentence(name), share=share)
    return Sentence("{part}, {others}", part=part, others=_listed(others)) if others else part
