"""Figures of the State inspector: numpy in, Plotly figure out, one template for light and dark."""

from ui.plots.activity import gates_figure, sparsity_figure
from ui.plots.change import change_figure
from ui.plots.forgetting import forgetting_figure, lasting_figure
from ui.plots.look import ACCENT, CONFIG, FAINT, INK, Figure, template
from ui.plots.memory import heads_figure, layers_figure, size_figure
from ui.plots.shape import (
    cell_figure,
    content_figure,
    path_figure,
    rank_figure,
    spectrum_figure,
)
from ui.plots.tokens import filling_figure, surprise_figure
from ui.plots.words import lens_figure, life_figure, reading_figure

__all__ = [
    "ACCENT",
    "CONFIG",
    "FAINT",
    "INK",
    "Figure",
    "cell_figure",
    "change_figure",
    "content_figure",
    "filling_figure",
    "forgetting_figure",
    "gates_figure",
    "heads_figure",
    "lasting_figure",
    "layers_figure",
    "lens_figure",
    "life_figure",
    "path_figure",
    "rank_figure",
    "reading_figure",
    "size_figure",
    "sparsity_figure",
    "spectrum_figure",
    "surprise_figure",
    "template",
]
