"""Figures in Chinese and Japanese: all that the page says, and nothing of what it read."""

import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from presets.words import FIGURES as PREFIX
from presets.words import speak, words
from rwkv_core.errors import Sentence
from rwkv_core.inspection.comparison import Likeness
from rwkv_core.inspection.equality import Equality
from rwkv_core.inspection.lesion import Lesions
from rwkv_core.inspection.probe import Probe
from rwkv_core.inspection.stability import log_sum_exp
from tests.ui import test_plots
from ui import plots
from ui.inspector_close import GATE_NAMES
from ui.plots import Figure
from ui.plots.comparison import changed_figure, likeness_figure
from ui.plots.experiments import choice_figure, equality_figure, lesion_figure, recall_figure
from ui.plots.lesson import decay_figure, sum_figure
from ui.plots.spoken import in_words, spoken

FOREIGN = ("zh", "ja")
ONES = np.ones(3)
LIKENESS = Likeness(ONES, ONES, ONES, ONES)
RANKS = np.ones((2, 2), np.int64)
PROBE = Probe(np.array([0, 2048]), -np.ones((2, 2, 2)), -2 * np.ones((2, 2)), RANKS, RANKS, 65536)
KEYS = np.array([1.0, 99.0])


def lesions(table: np.ndarray) -> Lesions:
    return Lesions(table, np.zeros(table.shape, np.int64), table, 1, 0.5)


FIGURES: dict[str, Callable[[], Figure]] = {
    **test_plots.FIGURES,
    "gates": lambda: plots.gates_figure(dict.fromkeys(GATE_NAMES.values(), ONES)),
    "change of a mean": lambda: plots.change_figure(
        test_plots.PARTS, np.ones(test_plots.TOKENS), test_plots.LABELS, test_plots.COLUMNS,
        names={"write": "new word", "fade": "given up", "erase": "erased"},
    ),
    "forgetting of words": lambda: plots.forgetting_figure(
        np.ones((2, 4)), [test_plots.LABELS[0], ""]
    ),
    "likeness": lambda: likeness_figure(LIKENESS),
    "changed": lambda: changed_figure(LIKENESS),
    "recall": lambda: recall_figure(PROBE),
    "choice": lambda: choice_figure(PROBE),
    "equality": lambda: equality_figure(Equality(ONES, 1.0, 0, ONES, ONES, 128, 0.5, 0.5)),
    "lesion of layers": lambda: lesion_figure(lesions(ONES)),
    "lesion of heads": lambda: lesion_figure(lesions(np.ones((2, 3)))),
    "sums": lambda: sum_figure(KEYS, log_sum_exp(KEYS, 0.0)),
    "decays": lambda: decay_figure(np.array([0.6, 0.9]), "7"),
    "decays of before": lambda: decay_figure(np.array([0.6, 0.9]), "6"),
}  # fmt: skip
# Keys whose values a visitor does not read.
STYLE = {
    "arrowcolor", "barmode", "bdata", "color", "colorscale", "dash", "dtype", "exponentformat",
    "fill", "fillcolor", "hoverinfo", "mode", "orientation", "rangemode", "shape", "side",
    "symbol", "template", "tickformat", "type", "xanchor", "xref", "yanchor", "yref",
    "zerolinecolor", "autorange",
}  # fmt: skip
NAMES = r"RWKV|transformer|logit|kB|MB"
ARRAYS = ("customdata", "text", "ticktext")


def strings(part: Any) -> Iterator[str]:
    """Every text of a figure as JSON that a visitor may read."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key not in STYLE:
                yield from strings(value)
    elif isinstance(part, list | tuple | np.ndarray):
        for value in part:
            yield from strings(value)
    elif isinstance(part, str):
        yield part


def templates(figure: Figure) -> list[list[str]]:
    return [sorted(re.findall(r"%\{.*?\}", trace["hovertemplate"] or "")) for trace in figure.data]


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens without a letter."""
    monkeypatch.setattr(test_plots, "LABELS", [f"{t}" for t in range(test_plots.TOKENS)])


@pytest.fixture
def misleading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that read like what the page says."""
    known = [text for key, text in words()["en"].items() if key.startswith(PREFIX)]
    monkeypatch.setattr(test_plots, "LABELS", ["layer", "wrote", "and gives it", *known])


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.usefixtures("numbered")
def test_no_english_is_left_in_a_figure(name: str, language: str) -> None:
    figure = FIGURES[name]()
    said = list(strings(spoken(figure, language).to_plotly_json()))
    assert len(said) == len(list(strings(figure.to_plotly_json()))) > 3
    plain = [re.sub(rf"%\{{.*?\}}|<br>|<extra></extra>|{NAMES}", "", text) for text in said]
    assert [text for text in plain if re.search("[A-Za-z]{2}", text)] == []


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_keeps_its_numbers_and_the_places_of_its_hover_texts(
    name: str, language: str
) -> None:
    figure = FIGURES[name]()
    before = figure.to_json()
    said = spoken(figure, language)
    assert figure.to_json() == before != said.to_json()
    assert templates(said) == templates(figure)
    for one, other in zip(said.data, figure.data, strict=True):
        for axis in "xyz":
            if axis in other and other[axis] is not None:
                np.testing.assert_array_equal(one[axis], other[axis])


@pytest.mark.parametrize("name", FIGURES)
def test_english_is_the_figure_itself(name: str) -> None:
    figure = FIGURES[name]()
    assert spoken(figure, "en") is figure
    assert spoken(figure, "fr") is figure


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.usefixtures("misleading")
def test_a_word_that_was_read_stays_as_it_is(name: str, language: str) -> None:
    figure = FIGURES[name]()
    said = spoken(figure, language)
    holders = [*zip(figure.data, said.data, strict=True), (figure.layout.xaxis, said.layout.xaxis)]
    for before, after in holders:
        for key in ARRAYS:
            if key in before and before[key] is not None:
                pairs = zip(strings(before[key]), strings(after[key]), strict=True)
                assert [p for p in pairs if p[0] != p[1] and not isinstance(p[0], Sentence)] == []


def test_a_word_inside_a_sentence_stays_as_it_is() -> None:
    said = spoken(plots.forgetting_figure(np.ones((1, 4)), ["layer"]), "zh")
    assert said.data[1].customdata[0][2] == speak("zh", "figure.forgetting_word", word="layer")


def test_what_was_changed_is_said_part_by_part() -> None:
    figure = spoken(FIGURES["change"](), "ja")
    wrote, faded = (speak("ja", f"figure.{name}") for name in ("wrote", "faded"))
    assert figure.data[0].customdata[0][2].startswith(f"{wrote} 1.7%\u3001{faded} 1.7%\u3001")


@pytest.mark.parametrize("language", FOREIGN)
def test_every_text_is_found_by_its_english_form(language: str) -> None:
    for key, text in words()["en"].items():
        if key.startswith(PREFIX):
            values = {name: "7" for _, name, _, _ in string.Formatter().parse(text) if name}
            said = in_words(f" {text.format(**values)} <extra></extra>", language)
            assert said == f" {speak(language, key, **values)} <extra></extra>", key


def test_what_no_file_knows_stays_english() -> None:
    assert [in_words(text, "zh") for text in ("", " ", "a layer")] == ["", " ", "a layer"]


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("name", FIGURES)
def test_a_title_has_room_on_a_phone(name: str, language: str) -> None:
    title = spoken(FIGURES[name](), language).layout.title.text
    assert sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in title) <= 40
