import json
from collections.abc import Callable

import numpy as np
import pytest

from tests.ui.recordings import make_recording, make_texts
from ui import plots
from ui.plots import Figure

TOKENS = 30
RECORDING = make_recording(TOKENS)
LABELS = [text or "(start)" for text in make_texts(TOKENS)]
COLUMNS = np.arange(1, TOKENS)
RANDOM = np.random.default_rng(0)
PARTS = {name: np.linspace(0, 0.5, TOKENS) for name in ("write", "fade", "erase")}
FIGURES: dict[str, Callable[[], Figure]] = {
    "surprise": lambda: plots.surprise_figure(RECORDING.surprise_bits, LABELS, COLUMNS),
    "change": lambda: plots.change_figure(PARTS, np.linspace(0, 1, TOKENS), LABELS, COLUMNS),
    "filling": lambda: plots.filling_figure(RECORDING.state_norm, LABELS, COLUMNS),
    "layers": lambda: plots.layers_figure(np.array([1.0, 2.0, 3.0])),
    "heads": lambda: plots.heads_figure(RECORDING.head_norm),
    "forgetting": lambda: plots.forgetting_figure(np.geomspace(1.2, 5000, 24).reshape(3, 8)),
    "size": lambda: plots.size_figure(304_128, 6, 192, 100),
    "lasting": lambda: plots.lasting_figure(np.geomspace(1.2, 5000, 24).reshape(3, 8)),
    "ranks": lambda: plots.rank_figure(
        1 + RANDOM.random((4, 3)), 1 + RANDOM.random((4, 3)), np.arange(4), LABELS[:4], 64
    ),
    "gates": lambda: plots.gates_figure({"output gate": np.ones(3), "rate (0 to 1)": np.ones(3)}),
    "sparsity": lambda: plots.sparsity_figure(RANDOM.random((3, TOKENS)), LABELS, COLUMNS),
    "cell": lambda: plots.cell_figure(RANDOM.normal(size=(8, 8))),
    "content": lambda: plots.content_figure(RANDOM.normal(size=8), RANDOM.normal(size=8)),
    "spectrum": lambda: plots.spectrum_figure(np.arange(8, 0, -1.0), 3.5),
    "path": lambda: plots.path_figure(
        RANDOM.normal(size=(4, 2)), np.array([0.6, 0.3]), np.arange(4), LABELS[:4]
    ),
    "life": lambda: plots.life_figure(RANDOM.random((3, 9)), RANDOM.random(9), 5),
    "life of many": lambda: plots.life_figure(RANDOM.random((64, 9)), RANDOM.random(9), 5),
    "reading": lambda: plots.reading_figure(RANDOM.normal(size=9), LABELS[:9], np.arange(9), 0),
    "lens": lambda: plots.lens_figure(
        RANDOM.random((3, 4)), [LABELS[:4]] * 3, LABELS[:4], 7, [True, True, True, False]
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_asks_a_question_and_names_both_quantities(name: str) -> None:
    layout = FIGURES[name]().layout
    assert layout.title.text.endswith("?")
    # At 390 pixels a longer title would be cut.
    assert len(layout.title.text) <= 40
    assert layout.xaxis.title.text
    assert layout.yaxis.title.text
    assert layout.height >= 250


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_leaves_the_background_to_the_page(name: str) -> None:
    layout = json.loads(FIGURES[name]().to_json())["layout"]
    look = layout["template"]["layout"]
    assert look["paper_bgcolor"] == look["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert look["font"]["color"] == plots.INK
    assert "paper_bgcolor" not in layout


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_catches_a_finger_that_wants_to_scroll(name: str) -> None:
    look = json.loads(FIGURES[name]().to_json())["layout"]["template"]["layout"]
    assert look["dragmode"] is False
    assert look["xaxis"]["fixedrange"]
    assert look["yaxis"]["fixedrange"]


def test_bars_stand_at_their_token_and_name_it() -> None:
    figure = plots.surprise_figure(RECORDING.surprise_bits, LABELS, np.array([2, 7]))
    bars = figure.data[0]
    assert bars.x.tolist() == [3, 8]
    assert bars.y.tolist() == RECORDING.surprise_bits[[2, 7]].tolist()
    assert [tuple(entry) for entry in bars.customdata] == [(LABELS[2], 3), (LABELS[7], 8)]


def test_a_bar_of_several_tokens_covers_its_group() -> None:
    figure = plots.surprise_figure(RECORDING.surprise_bits, LABELS, np.array([2, 7]), 4)
    # Tokens 1 to 4 and 5 to 8, drawn in the middle; the label still names the tallest.
    assert figure.data[0].x.tolist() == [2.5, 6.5]
    assert [entry[1] for entry in figure.data[0].customdata] == [3, 8]


def test_bars_of_a_filling_memory_are_pale_and_do_not_set_the_axis() -> None:
    parts = {
        "write": np.array([np.nan, 9.0, 0.25, 0.125]),
        "fade": np.array([np.nan, 1.0, 0.25, 0.125]),
        "erase": np.zeros(4),
    }
    figure = plots.change_figure(parts, np.ones(4), list("abcd"), np.array([1, 2, 3]), filling=2)
    # What never happens has no bars.
    assert [bars.name for bars in figure.data] == ["wrote", "faded"]
    assert list(figure.data[0].marker.opacity) == [0.3, 1.0, 1.0]
    assert figure.data[0].y.tolist() == [900, 25, 12.5]
    assert figure.layout.barmode == "stack"
    assert figure.layout.yaxis.range[1] == pytest.approx(52.5)
    assert "wrote 25.0%, faded 25.0%" in figure.data[0].customdata[1][2]


def test_signed_cells_are_coloured_evenly_around_nothing() -> None:
    cells = plots.cell_figure(np.array([[1.0, -3.0], [0.5, 2.0]])).data[0]
    assert cells.zmin == -cells.zmax


def test_the_oldest_and_the_newest_word_stand_at_their_token() -> None:
    figure = plots.reading_figure(np.array([0.5, -0.2]), ["a", "b"], np.arange(2), 10)
    assert figure.data[0].x.tolist() == [11, 12]
    assert len(set(figure.data[0].marker.color)) == 2


def test_filling_divides_each_layer_by_its_own_average() -> None:
    norms = np.array([[1.0, 3.0], [10.0, 30.0], [0.0, 0.0]])
    figure = plots.filling_figure(norms, ["a", "b"], np.array([0, 1]))
    assert figure.data[0].z.tolist() == [[0.5, 1.5], [0.5, 1.5], [0.0, 0.0]]


def test_half_lives_show_the_layer_quartiles_on_a_log_axis_with_marks() -> None:
    figure = plots.forgetting_figure(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]] * 2))
    box = figure.data[0]
    assert (box.q1[0], box.median[0], box.q3[0]) == (2.0, 3.0, 4.0)
    assert figure.layout.xaxis.type == "log"
    marks = {note.text: 10**note.x for note in figure.layout.annotations}
    assert marks == pytest.approx({"a sentence": 20, "a page": 400, "a book": 100_000})


def test_an_endless_half_life_stays_inside_the_axis() -> None:
    figure = plots.forgetting_figure(np.full((2, 4), np.inf))
    assert np.log10(figure.data[0].median).max() <= figure.layout.xaxis.range[1]


def test_sizes_are_drawn_in_the_unit_of_the_axis() -> None:
    figure = plots.size_figure(304_128, 6, 192, 100)
    assert "kB" in figure.layout.yaxis.title.text
    now = figure.data[2]
    assert now.y.tolist() == pytest.approx([100 * 4608 / 1000, 304.128])


def test_numbers_stand_in_the_cells_of_small_models_only() -> None:
    assert plots.heads_figure(np.ones((3, 2))).data[0].texttemplate
    assert not plots.heads_figure(np.ones((24, 32))).data[0].texttemplate
