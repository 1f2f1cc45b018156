"""Every generation in every view of a closer look, from tiny models that really read."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rwkv_core.config import ModelConfig
from rwkv_core.inspection import reading
from rwkv_core.models import load_model
from rwkv_core.recording import CLOSE_LOOK, Recording, Wanted
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, random_tokens
from ui.inspector_close import (
    LAYER_VIEWS,
    MEMORY_VIEWS,
    WORD_VIEWS,
    Choice,
    layer_views,
    memory_views,
    read_shares,
    word_views,
)
from ui.inspector_views import View, views

TOKENS = random_tokens(1, 30)[0].tolist()
TEXTS = ["", *(f" w{token}" for token in TOKENS[1:])]
CHOICE = Choice(layer=1, head=0, word=20)
every_generation = pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
Read = tuple[Recording, ModelConfig]


def name(token: int) -> str:
    return f" w{token}"


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Read]:
    folder, made = tmp_path_factory.mktemp("close"), {}
    for generation, draw in RANDOM_WEIGHTS.items():
        path = write_pth(folder / f"{generation}.pth", draw(n_layer=2, n_embd=32, head_size=16))
        model = load_model(path, "cpu fp32")
        made[generation] = model.trace(TOKENS, wanted=CLOSE_LOOK), model.config
    return made


def all_views(read: Read, choice: Choice = CHOICE) -> dict[str, View]:
    recording, config = read
    return {
        **views(recording, TEXTS, config),
        **memory_views(recording, TEXTS, config),
        **layer_views(recording, TEXTS, config, choice),
        **word_views(recording, TEXTS, config, name=name, choice=choice),
    }


@every_generation
def test_every_generation_is_in_every_view_or_the_view_says_why_not(
    reads: Mapping[str, Read], generation: str
) -> None:
    made = all_views(reads[generation])
    assert list(made)[5:] == [*MEMORY_VIEWS, *LAYER_VIEWS, *WORD_VIEWS]
    missing = {key for key, view in made.items() if view.figure is None}
    assert missing == ({"ranks", "spectrum"} if generation == "4" else set())
    for key, view in made.items():
        assert view.words.caption.endswith("."), key
        assert "nan" not in view.reading, key
        if view.figure is None:
            assert "RWKV-4 keeps no tables" in view.words.caption
            assert view.title.endswith("?")
            continue
        assert 2 <= len(view.words.facts) <= 3, key
        assert view.words.strange.startswith("Strange would be"), key
        header, *rows = csv.reader(io.StringIO(view.numbers))
        assert rows
        assert all(len(row) == len(header) for row in rows), key
        assert view.figure.layout.title.text.endswith("?")


@every_generation
def test_shares_of_what_is_read_add_up_to_one(reads: Mapping[str, Read], generation: str) -> None:
    inputs = reads[generation][0].layers[1]
    shares = read_shares(inputs, 20, len(TOKENS))
    assert np.nansum(shares) == pytest.approx(1)
    assert np.isnan(shares[21:]).all()
    if generation == "4":
        # There the weights are shares themselves, of a mean that begins empty.
        np.testing.assert_allclose(shares[:21], reading(inputs, 20).weights.mean(0), atol=1e-6)


def test_the_numbers_of_a_word_are_those_of_its_figure(reads: Mapping[str, Read]) -> None:
    made = all_views(reads["7"])
    header, *rows = csv.reader(io.StringIO(made["reading"].numbers))
    weights = reading(reads["7"][0].layers[1], 20).weights[0]
    assert header == ["position (token)", "token", "weight"]
    np.testing.assert_allclose([float(row[2]) for row in rows], weights, rtol=1e-5)
    figure = made["reading"].figure
    assert figure is not None
    np.testing.assert_allclose(figure.data[0].y, weights)


def test_a_word_whose_inputs_are_not_kept_is_told_so(reads: Mapping[str, Read]) -> None:
    recording, config = reads["7"]
    inputs = recording.layers[1]
    late = {1: replace(inputs, first=inputs.first + 25)}
    made = word_views(replace(recording, layers=late), TEXTS, config, name=name, choice=CHOICE)
    assert made["life"].figure is None
    assert "choose a later word" in made["life"].words.caption
    assert made["lens"].figure is not None


def test_the_last_word_has_no_life_to_follow_and_the_lens_still_speaks(
    reads: Mapping[str, Read],
) -> None:
    made = all_views(reads["7"], Choice(1, 1, len(TOKENS) - 1))
    assert made["life"].figure is None
    assert "last word" in made["life"].words.caption
    lens = made["lens"].figure
    assert lens is not None
    assert np.isfinite(np.asarray(lens.data[0].z, float)).all()
    # No word came next, so the number is the guess's own chance.
    given = np.asarray(lens.data[0].customdata)[:, :, 1]
    assert set(given[:, -1]) == {"and gives it"}
    assert set(given[:, :-1].ravel()) == {"and gives the right word"}
    assert "customdata[1]" in lens.data[0].hovertemplate


@pytest.mark.parametrize("generation", ["4", "6", "7"])
def test_a_text_of_one_word_has_views_without_holes(
    reads: Mapping[str, Read], generation: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = RANDOM_WEIGHTS[generation]
    path = tmp_path_factory.mktemp("one") / "one.pth"
    model = load_model(write_pth(path, draw(n_layer=2, n_embd=32, head_size=16)), "cpu fp32")
    read = model.trace([3], wanted=CLOSE_LOOK), model.config
    choice = Choice(1, 0, 0)
    made = {
        **views(read[0], ["a"], read[1]),
        **memory_views(read[0], ["a"], read[1]),
        **layer_views(read[0], ["a"], read[1], choice),
        **word_views(read[0], ["a"], read[1], name=name, choice=choice),
    }
    for key, view in made.items():
        assert view.words.caption, key
        if view.figure is not None:
            assert "NaN" not in view.figure.to_json(), key


def test_only_the_layers_asked_for_are_kept(reads: Mapping[str, Read]) -> None:
    assert set(reads["7"][0].layers) == {0, 1}
    assert Wanted(layers=(1,)) != CLOSE_LOOK
