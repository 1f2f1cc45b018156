import json
import re
from html import unescape

from rwkv_core.generate import Alternative, Token
from tests.ui.fakes import fake_token
from ui.completion.strip import strip


def test_every_word_says_its_chance_its_surprise_and_what_it_could_have_been() -> None:
    page = strip([fake_token(" a"), fake_token("<i>")], "en")
    assert 'data-title="a: 61 %, 0.7 bits"' in page
    assert "&lt;i&gt;</span>" in page
    assert "<i>" not in page.replace('<i class="c', "").replace('<i class="bits"', "")
    data = re.findall(r'data-choices="([^"]*)"', page)
    assert json.loads(unescape(data[0])) == [
        [" a".strip(), "61 %", False, True],
        ["<b>", "14 %", False, True],
    ]


def test_a_piece_of_a_character_cannot_be_chosen() -> None:
    token = Token(1, " a", -0.5, (Alternative(1, " a", -0.5), Alternative(9, "\ufffd", -3.0)))
    (data,) = re.findall(r'data-choices="([^"]*)"', strip([token], "en"))
    assert [choice[2:] for choice in json.loads(unescape(data))] == [[True, True], [False, False]]


def test_likely_words_are_pale_and_unlikely_ones_strong() -> None:
    page = strip([Token(1, "a", -0.01), Token(2, "b", -9.0)], "en", with_choices=False)
    assert '<span class="c0" style="--heat:0%">a</span>' in page
    assert '<span class="c4" style="--heat:100%">b</span>' in page
    assert "data-choices" not in page


def test_no_words_draw_nothing() -> None:
    assert strip([], "en") == ""
