import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from presets.words import speak
from rwkv_core.config import ModelConfig
from rwkv_core.errors import Sentence
from tests.ui.recordings import make_recording, make_texts
from ui import inspector_cards, plots
from ui.inspector_cards import Card, show_view, words_html
from ui.inspector_views import View, views
from ui.plots import Figure
from ui.plots.experiments import CHOICE_TITLE
from ui.readings import Words
from ui.study_cards import empty_card, fill_card, lay_out_card

WORDS = Words(
    "Fading is this model's only way to forget.",
    (Sentence("A page (400 tokens) is outlasted by {share}.", share="<5 %"),),
    "Strange would be one single bar: a table that knows one answer only.",
)


def make_view() -> View:
    config = ModelConfig("7", 50, 3, 8, 32, 2, 4)
    return views(make_recording(20), make_texts(20), config)["surprise"]


@pytest.fixture
def card(tmp_path: Path) -> Card:
    with gr.Blocks():
        card = lay_out_card("one")
    vars(card.numbers)["GRADIO_CACHE"] = str(tmp_path)
    return card


def test_all_that_is_said_beside_a_figure_is_in_the_visitors_language_and_escaped() -> None:
    html = words_html(WORDS, "Where does the memory wander?", "ja")
    assert f"<h3>{speak('ja', 'closer.path_title')}</h3>" in html
    assert f"<p>{speak('ja', 'reading.forgetting_only')}</p>" in html
    assert f"<li>{speak('ja', 'closer.lasting_page', share='&lt;5 %')}</li>" in html
    assert f">{speak('ja', 'closer.spectrum_strange')}</p>" in html
    assert "<li>A page (400 tokens) is outlasted by &lt;5 %.</li>" in words_html(WORDS, "", "en")


def retitled(figure: Figure, language: str) -> Figure:
    return Figure(figure).update_layout(title={"text": f"spoken in {language}"})


def shown_title(updates: dict[Any, Any], card: Card) -> str:
    return str(json.loads(updates[card.plot]["value"].plot)["layout"]["title"]["text"])


def test_a_figure_is_shown_and_kept_as_it_is_spoken_and_its_numbers_stay_english(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector_cards, "spoken", retitled)
    shown = show_view(card, make_view(), tmp_path, "surprise", "zh")
    assert shown_title(shown, card) == "spoken in zh"
    kept = json.loads((tmp_path / "surprise.json").read_text(encoding="utf-8"))
    assert kept["layout"]["title"]["text"] == "spoken in zh"
    numbers = (tmp_path / "surprise.csv").read_text(encoding="utf-8")
    assert numbers.startswith("position (token),token,surprise (bits)\n1,(start),")


def test_cards_of_the_experiments_speak_the_visitors_language(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector_cards, "spoken", retitled)
    figure = plots.layers_figure(make_recording(5).head_norm[:, 0])
    shown = fill_card("ja", card, "one", figure, WORDS, ("layer",), [(1,)])
    assert shown_title(shown, card) == "spoken in ja"
    assert speak("ja", "reading.forgetting_only") in shown[card.words]
    shown = empty_card("zh", card, WORDS, CHOICE_TITLE)
    assert f"<h3>{speak('zh', 'reading.choice_title')}</h3>" in shown[card.words]
    assert shown[card.plot]["visible"] is False
