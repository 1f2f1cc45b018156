"""Figures of the State inspector: numpy in, Plotly figure out, one template for light and dark."""

from ui.plots.forgetting import forgetting_figure
from ui.plots.look import ACCENT, CONFIG, FAINT, INK, Figure, template
from ui.plots.memory import heads_figure, layers_figure, size_figure
from ui.plots.tokens import change_figure, filling_figure, surprise_figure

__all__ = [
    "ACCENT",
    "CONFIG",
    "FAINT",
    "INK",
    "Figure",
    "change_figure",
    "filling_figure",
    "forgetting_figure",
    "heads_figure",
    "layers_figure",
    "size_figure",
    "surprise_figure",
    "template",
]
