import csv
import io
import json

import numpy as np
import pytest

from rwkv_core.config import ModelConfig
from rwkv_core.inspection import half_life_tokens, relative_change
from tests.ui.recordings import make_recording, make_texts
from ui.inspector_views import VIEW_NAMES, View, views, words_of_age

CONFIG = ModelConfig("7", 50, 3, 8, 32, 2, 4)


def make_views(tokens: int) -> dict[str, View]:
    return views(make_recording(tokens), make_texts(tokens), CONFIG)


def table(view: View) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(view.numbers))
    return header, rows


@pytest.mark.parametrize("tokens", [1, 2, 3, 40])
def test_every_view_is_made_for_any_length(tokens: int) -> None:
    made = make_views(tokens)
    assert tuple(made) == VIEW_NAMES
    for view in made.values():
        assert view.reading.endswith(".")
        assert "nan" not in view.reading
        if view.figure is None:
            # One token alone: there is nothing to compare it with.
            assert (tokens, view.numbers) == (1, "")
            continue
        assert len(view.words.facts) == 3 or tokens < 12
        header, rows = table(view)
        assert rows
        assert all(len(row) == len(header) for row in rows)


def test_numbers_are_those_of_the_recording_with_units() -> None:
    recording, made = make_recording(40), make_views(40)
    header, rows = table(made["surprise"])
    assert header == ["position (token)", "token", "surprise (bits)"]
    assert rows[0] == ["1", "(start)", ""]
    told = [float(row[2]) for row in rows[1:]]
    np.testing.assert_allclose(told, recording.surprise_bits[1:], rtol=1e-5)

    header, rows = table(made["change"])
    assert header[2:5] == [
        f"{part}, mean over layers (share of the memory before)"
        for part in ("fade", "erase", "write")
    ]
    assert header[5] == "layer 1: change (share of the memory before)"
    by_layer = np.array([[float(cell) for cell in row[5:]] for row in rows[1:]]).T
    np.testing.assert_allclose(by_layer, relative_change(recording)[:, 1:], rtol=1e-5)

    header, rows = table(made["forgetting"])
    assert header[-1] == "half-life (tokens)"
    half_lives = np.array([float(row[-1]) for row in rows]).reshape(3, 2, 4)
    np.testing.assert_allclose(half_lives, half_life_tokens(recording.log_decay), rtol=1e-5)
    assert rows[-1][:3] == ["3", "2", "4"]


def test_a_long_text_is_thinned_and_says_so() -> None:
    made = make_views(2000)
    assert "Each column is every 4th token" in made["filling"].reading
    figures = [made[name].figure for name in ("filling", "surprise")]
    assert figures[0] is not None
    assert figures[1] is not None
    assert figures[0].data[0].z.shape[1] <= 512
    assert "Each bar is the tallest of 4 tokens." in made["surprise"].reading
    assert len(figures[1].data[0].x) <= 512
    assert len(table(made["surprise"])[1]) == 2000


def test_a_token_that_looks_like_a_formula_stays_text() -> None:
    recording = make_recording(3)
    numbers = views(recording, ["", "=", "-1+2"], CONFIG)["surprise"].numbers
    assert "2,'=," in numbers
    assert "3,'-1+2," in numbers


def test_words_are_text_in_figures_and_cannot_become_markup() -> None:
    recording = make_recording(3)
    made = views(recording, ["", "<b>x</b>", "%{y}"], CONFIG)
    for name in ("filling", "surprise", "change"):
        figure = made[name].figure
        assert figure is not None
        # Plotly itself would read a bare "<b>" as bold.
        assert "<b>" not in json.dumps(figure.to_dict(), default=str)


def test_words_as_old_as_a_half_life_are_named_and_older_texts_are_not() -> None:
    texts = ["", " a", " b", " c", " d"]
    assert words_of_age(np.array([1.2, 2.0, 3.4, 9.0, np.inf]), texts) == [
        "“c”", "“b”", "“a”", "", "",
    ]  # fmt: skip
