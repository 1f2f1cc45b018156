from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from rwkv_core.engine import Engine
from rwkv_core.recording import CLOSE_LOOK
from tests.ui.recordings import make_close_recording
from tests.ui.study_engine import tiny_engine
from ui.inspector_close import Choice
from ui.inspector_layout import Panel, lay_out
from ui.inspector_render import render_closer
from ui.inspector_see import Seen


def laid_out(engine: Engine, folder: Path) -> Panel:
    with gr.Blocks():
        panel, _ = lay_out(engine.model.config, gr.State(Seen()))
    panel.text.GRADIO_CACHE = str(folder)
    return panel


def chosen_line(folder: Path, word: int, *, generation: str = "7", kept: int = 99) -> Any:
    """What is said of a word of a text of nine, of whose last words so many are kept."""
    with tiny_engine(folder, generation) as engine:
        panel = laid_out(engine, folder)
        ids = [engine.tokenizer.end_of_text, *engine.encode("abcdefgh")]
        recording = engine.model.trace(ids, None, wanted=replace(CLOSE_LOOK, inputs_tokens=kept))
        shown = render_closer(engine, panel, recording, Choice(1, 0, word), "word")
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
            cast(Engine, other), panel, make_close_recording(9, (0, 1)), Choice(1, 0, 5), "word"
        )
    assert "&lt;i&gt;" in shown[panel.chosen]
    assert "<i>" not in shown[panel.chosen]
