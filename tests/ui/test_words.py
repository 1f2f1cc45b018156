from types import SimpleNamespace
from typing import cast

import gradio as gr
import pytest

from presets import examples
from presets.experiments import experiments
from presets.words import FIGURES, RUNTIME, words
from ui.words import language_of, say, say_title, translations


def request(header: str) -> gr.Request:
    return cast(gr.Request, SimpleNamespace(headers={"accept-language": header}))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr-FR, ja;q=0.5", "ja"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_the_first_wish_that_the_page_speaks(header: str, language: str) -> None:
    assert language_of(request(header)) == language


def test_a_text_that_is_not_written_is_refused_while_the_page_is_built() -> None:
    with pytest.raises(KeyError, match=r"page\.nothing"):
        say("page.nothing")


def test_the_browser_gets_every_text_under_the_names_it_uses() -> None:
    given = translations().translations_dict
    assert set(given) == {"en", "zh-CN", "zh-TW", "zh", "ja"}
    assert given["zh-TW"]["page.chat"] == "聊天"
    assert given["ja"]["page.chat"] == words()["ja"]["page.chat"]
    assert not [key for key in given["en"] if key.startswith((*RUNTIME, FIGURES))]


def test_the_titles_of_ready_made_texts_are_known_in_every_language() -> None:
    ready = experiments()
    titles = {example.title for example in examples().inspector}
    titles |= {pair.title for pair in ready.compare} | {fact.title for fact in ready.probe}
    assert titles == {text for key, text in words()["en"].items() if key.startswith("example.")}
    assert not [title for title in titles if isinstance(say_title(title), str)]
    assert say_title("An owner's own") == "An owner's own"
