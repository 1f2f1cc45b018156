import re

import numpy as np

from presets.words import speak, words
from ui.word_strip import visible, word_strip

BITS = "{value:.3g} bits"


def test_a_token_cannot_become_markup() -> None:
    html = word_strip(
        ["<img src=x onerror=alert(1)>", '"quoted"'], np.array([1.0, 2.0]), BITS, "en"
    )
    assert "<img" not in html
    assert "&lt;img" in html
    assert 'title="&quot;quoted&quot;: 2 bits"' in html


def test_colour_grows_with_the_value_and_unknown_values_have_none() -> None:
    html = word_strip(["a", "b", "c"], np.array([np.nan, 1.0, 2.0]), BITS, "en")
    assert [int(heat) for heat in re.findall(r"--heat:(\d+)%", html)] == [51, 100]


def test_one_extreme_word_does_not_leave_the_others_pale() -> None:
    values = np.ones(200)
    values[7] = 1000.0
    html = word_strip(["a"] * 200, values, BITS, "en")
    assert "--heat:0%" not in html


def test_whitespace_is_marked_and_lines_break_where_the_text_does() -> None:
    assert visible(" a\n\t") == "·a↵⇥"
    assert visible("") == "(start)"
    html = word_strip(["one", " two", "\n", " "], np.full(4, np.nan), BITS, "en")
    assert '</span> <span data-token="1">two' in html
    assert "↵</span><br>" in html
    assert "·</span>" in html


def test_a_strip_of_nothing_known_has_no_colour() -> None:
    assert "--heat" not in word_strip(["a"], np.array([np.nan]), BITS, "en")
    assert "--heat:0%" in word_strip(["a"], np.array([0.0]), BITS, "en")


def test_values_and_the_start_are_named_in_the_visitors_language() -> None:
    form, start = "{value:.3g} bits of surprise", words()["ja"]["reading.no_text"]
    html = word_strip(["", "a"], np.array([np.nan, 2.0]), form, "ja")
    assert f">{start}</span>" in html
    assert f'title="a: {speak("ja", "reading.strip_surprise", value=2.0)}"' in html
    html = word_strip(["", "a"], np.array([1.0, 2.0]), form, "ja")
    assert f'title="{start}: ' in html
