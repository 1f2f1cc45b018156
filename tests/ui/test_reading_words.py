"""What See says of a recording, in every language: each sentence, of each kind of model."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from presets.words import RUNTIME, translated, words
from rwkv_core.config import ModelConfig
from rwkv_core.errors import Sentence
from rwkv_core.models import load_model
from rwkv_core.recording import CLOSE_LOOK, Recording
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, random_tokens
from tests.ui.recordings import make_recording, make_texts
from ui import readings
from ui.inspector_close import Choice, layer_views, memory_views, word_views
from ui.inspector_views import View, views

CONFIG = ModelConfig("7", 50, 3, 8, 32, 2, 4)
TOKENS = random_tokens(1, 30)[0].tolist()
FOREIGN = ("zh", "ja")


def said_by(made: Mapping[str, View]) -> Iterator[str]:
    for view in made.values():
        told = (view.title, view.words.caption, *view.words.facts, view.words.strange)
        yield from (text for text in told if text)


def named(token: int) -> str:
    return f" w{token}"


def said_closer(recording: Recording, texts: list[str], config: ModelConfig) -> Iterator[str]:
    yield readings.findings(recording, texts)
    yield from said_by(views(recording, texts, config))
    yield from said_by(memory_views(recording, texts, config))
    for word in sorted({0, 1, len(texts) - 2, len(texts) - 1}):
        choice = Choice(1, 0, word)
        yield from said_by(layer_views(recording, texts, config, choice))
        yield from said_by(word_views(recording, texts, config, name=named, choice=choice))


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All that is said of recordings of several lengths, some kept only in part."""
    folder, said = tmp_path_factory.mktemp("said"), list[str]()
    # Among the generations are those that erase, those that only fade, and one without heads.
    for generation, draw in RANDOM_WEIGHTS.items():
        weights = draw(n_layer=2, n_embd=32, head_size=16)
        model = load_model(write_pth(folder / f"{generation}.pth", weights), "cpu fp32")
        for tokens, kept in ((30, 99), (30, 5), (2, 99)):
            wanted = replace(CLOSE_LOOK, inputs_tokens=kept, lens_tokens=kept)
            recording = model.trace(TOKENS[:tokens], wanted=wanted)
            texts = ["", *(named(token) for token in TOKENS[1:tokens])]
            said += said_closer(recording, texts, model.config)
    for tokens in (1, 2, 40, 600):
        recording, texts = make_recording(tokens), make_texts(tokens)
        said += [readings.findings(recording, texts), *said_by(views(recording, texts, CONFIG))]
    return [*said, *correlations()]


def correlations() -> Iterator[str]:
    """Sentences for surprise and change that go together in each way and strength."""
    steps, drawn = np.arange(400.0), np.random.default_rng(0).uniform(-0.5, 0.5, 400)
    for noise in (0.0, 1065.0, 2170.0, 10.0**6):
        for sign in (1, -1):
            change = sign * steps + noise * drawn
            recording = replace(
                make_recording(401, n_layer=1),
                surprise_bits=np.array([np.nan, *steps], np.float32),
                state_norm=np.ones((1, 401), np.float32),
                change_norm=np.array([[1.0, *(change - change.min() + 1)]], np.float32),
            )
            yield readings.correlation_sentence(recording)


def forms(said: object) -> Iterator[str]:
    """Forms of a sentence and of all inside it; a plain text is its own."""
    if isinstance(said, str):
        yield said.form if isinstance(said, Sentence) else said
    if isinstance(said, Sentence):
        for value in said.values.values():
            yield from forms(value)


def test_every_form_is_known(sentences: list[str]) -> None:
    known = {text for key, text in words()["en"].items() if key.startswith(RUNTIME)}
    found = {form for said in sentences for form in forms(said)}
    # Numbers and sizes in bytes are the same everywhere.
    plain = {form for form in found if re.fullmatch(r"[\d.,]+( (%|bytes|kB|MB|GB))?", form)}
    assert sorted(found - plain - known) == []
    assert len(found & known) > 150


@pytest.mark.parametrize("language", FOREIGN)
def test_no_english_is_left_but_names(sentences: list[str], language: str) -> None:
    for said in sentences:
        assert translated("en", said) == said
        told = translated(language, said)
        assert told != said
        outside = re.sub("“.*?”|\u300c.*?\u300d", "", told)
        left = re.findall("[A-Za-z]{3,}", outside)
        assert set(left) <= {"RWKV", "transformer", "bytes"}, told


@pytest.mark.parametrize("language", ["en", *FOREIGN])
def test_the_strengths_and_signs_of_a_correlation_are_told_apart(language: str) -> None:
    told = {re.sub(r"-?\d\S*", "", translated(language, said)) for said in correlations()}
    assert len(told) == 7


@pytest.mark.parametrize("language", FOREIGN)
def test_a_word_of_the_text_stays_as_it_is(language: str) -> None:
    # The page has a word of its own for "none".
    assert translated(language, "none") != "none"
    assert "none" in translated(language, readings.word_at(["", " none"], 1))
    chance = np.array([[0.1], [0.2]])
    told = readings.lens_words(chance, [["none"], ["none"]], [None], 0).facts[-1]
    assert "none" in translated(language, told)


def test_a_blank_and_the_start_have_names() -> None:
    texts = ["", "\n", " "]
    for language in FOREIGN:
        told = [translated(language, readings.word_at(texts, i)) for i in range(3)]
        assert told == [
            words()[language][f"reading.{key}"] for key in ("start", "line_break", "space")
        ]
