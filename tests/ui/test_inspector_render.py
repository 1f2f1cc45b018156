from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from presets.words import speak, translated
from rwkv_core.engine import Engine
from rwkv_core.recording import CLOSE_LOOK, GLANCE
from tests.ui.recordings import make_close_recording
from tests.ui.study_engine import tiny_engine
from ui.inspector_close import Choice
from ui.inspector_layout import Panel, lay_out
from ui.inspector_render import render, render_closer
from ui.inspector_see import Seen
from ui.readings import findings


def laid_out(engine: Engine, folder: Path) -> Panel:
    with gr.Blocks():
        panel, _ = lay_out(engine.model.config, gr.State(Seen()))
    panel.text.GRADIO_CACHE = str(folder)
    return panel


def chosen_line(
    folder: Path, word: int, *, generation: str = "7", kept: int = 99, language: str = "en"
) -> Any:
    """What is said of a word of a text of nine, of whose last words so many are kept."""
    with tiny_engine(folder, generation) as engine:
        panel = laid_out(engine, folder)
        ids = [engine.tokenizer.end_of_text, *engine.encode("abcdefgh")]
        recording = engine.model.trace(ids, None, wanted=replace(CLOSE_LOOK, inputs_tokens=kept))
        shown = render_closer(language, engine, panel, recording, Choice(1, 0, word), "word")
    return shown[panel.chosen]


@pytest.mark.parametrize(("generation", "parts"), [("4", "channels"), ("7", "heads")])
def test_the_colour_is_a_mean_over_what_the_generation_has(
    generation: str, parts: str, tmp_path: Path
) -> None:
    said = chosen_line(tmp_path, 5, generation=generation)
    assert f"what layer 2 reads there, as a mean over its {parts}." in said
    assert "--heat" in said


def test_of_a_word_that_colours_nothing_no_colour_is_spoken(tmp_path: Path) -> None:
    said = chosen_line(tmp_path, 2, kept=3)
    assert "Token 3 of 9" in said
    assert "--heat" not in said
    assert "colour" not in said


def test_what_is_chosen_is_named_in_the_words_of_the_text_and_escaped(tmp_path: Path) -> None:
    tokenizer = SimpleNamespace(token_bytes=lambda token: b"<i>" if token else b"")
    with tiny_engine(tmp_path) as engine:
        panel = laid_out(engine, tmp_path)
        other = SimpleNamespace(tokenizer=tokenizer, model=engine.model)
        shown = render_closer(
            "en",
            cast(Engine, other),
            panel,
            make_close_recording(9, (0, 1)),
            Choice(1, 0, 5),
            "word",
        )
    assert "&lt;i&gt;" in shown[panel.chosen]
    assert "<i>" not in shown[panel.chosen]


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_the_line_and_the_values_of_the_words_are_in_the_visitors_language(
    language: str, tmp_path: Path
) -> None:
    said = chosen_line(tmp_path, 5, language=language)
    word = speak(language, "reading.quoted", word="abcdefgh")
    line = speak(language, "one_word.chosen", token=6, tokens=9, word=word)
    assert f"<p>{line}{speak(language, 'one_word.colour_heads', layer=2)}</p>" in said
    assert "what is read" not in said


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_a_first_look_is_in_the_visitors_language(language: str, tmp_path: Path) -> None:
    with tiny_engine(tmp_path) as engine:
        panel = laid_out(engine, tmp_path)
        ids = [engine.tokenizer.end_of_text, *engine.encode("abcdefgh")]
        recording = engine.model.trace(ids, None, wanted=GLANCE)
        shown = render(language, engine, panel, recording)
        texts = ["", *"abcdefgh"]
        found = findings(recording, texts)
    assert shown[panel.findings] == f"<p>{translated(language, found)}</p>"
    bits = float(recording.surprise_bits[1])
    assert speak(language, "reading.strip_surprise", value=bits) in shown[panel.surprise]
    assert speak(language, "reading.no_text") in shown[panel.change]
    caption = speak(language, "reading.surprise_caption")
    assert caption in shown[panel.cards["surprise"].words]
