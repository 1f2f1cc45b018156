import json

from presets.words import LANGUAGES, speak
from ui import masthead


def test_the_tour_has_five_steps_in_every_language() -> None:
    for language in LANGUAGES:
        told = json.loads(masthead.tour(language))
        assert len(told["steps"]) == 5
        assert all(step["target"] and step["text"] for step in told["steps"])
        assert ["#tour-open", speak(language, "hints.tour")] in told["hints"]


def test_the_page_says_its_name_in_the_visitors_language() -> None:
    assert "<h1>RWKV playground</h1>" in masthead.title("en")
    assert "记忆大小固定" in masthead.title("zh")


def test_only_a_page_whose_model_can_change_asks_for_it() -> None:
    for language in LANGUAGES:
        watchful = json.loads(masthead.changed(language, is_watchful=True))
        assert all(watchful.values())
        alone = json.loads(masthead.changed(language, is_watchful=False))
        assert watchful.keys() - alone.keys() == {"text"}
