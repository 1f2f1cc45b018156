from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from rwkv_core.inspection.lesion import Lesions
from rwkv_core.sessions import Conversation
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui import experiment_lesion
from ui.experiment_lesion import HEADS, LAYERS, Panel, damage, findings
from ui.session import RunningStreams
from ui.shelf import Shelf
from ui.study_parts import MY_TEXT


def run(folder: Path, generation: str, *values: Any) -> tuple[Panel, dict[Any, Any]]:
    with tiny_engine(folder, generation) as engine:
        has_heads = not engine.model.config.has_exponents
        panel: Panel = laid_out(
            lambda: experiment_lesion.lay_out(gr.State(Shelf()), has_heads=has_heads)[0], folder
        )
        updates = damage(
            engine, panel, RunningStreams(), "en", "me", Conversation(), Shelf(), *values
        )
        return panel, last(collect(updates))


@pytest.mark.parametrize(("parts", "rows"), [(LAYERS, 2), (HEADS, 8)])
def test_each_part_is_measured_and_the_strongest_is_named(
    parts: str, rows: int, tmp_path: Path
) -> None:
    panel, shown = run(tmp_path, "7", MY_TEXT, "abcdef", None, "q", parts)
    assert "layer" in shown[panel.found] or "No part matters" in shown[panel.found]
    assert len(Path(shown[panel.card.numbers]["value"]).read_text().splitlines()) == 1 + rows
    assert "has the largest effect" in shown[panel.card.words]
    assert set(shown) <= set(panel.outputs)


def test_rwkv_4_offers_layers_and_says_why_not_heads(tmp_path: Path) -> None:
    panel, shown = run(tmp_path, "4", MY_TEXT, "abcdef", None, "q", HEADS)
    assert len(panel.parts.choices) == 1
    assert "RWKV-4 has no heads" in shown[panel.controls.status]


def test_the_sentence_is_true_of_the_numbers(tmp_path: Path) -> None:
    table = np.array([0.2, 1.5, np.nan])
    with tiny_engine(tmp_path) as engine:

        def said(likeliest: list[int], bits: Any = table) -> str:
            chances = np.array([0.1, 0.4, np.nan])
            return findings("en", engine, Lesions(bits, np.array(likeliest), chances, 98, 0.75))

        moved = said([98, 99, 0])
        assert "hangs most on layer 2: without its memory it moves by 1.50 bits" in moved
        assert "becomes “b” (40 %) instead of “a” (75 %)" in moved
        assert "“a” stays the likeliest (75 % before, 40 % then)" in said([98, 98, 0])
        nothing = said([98, 98, 98], np.array([0.0, 1e-5, 0.0]))
        assert "No part matters for this word: the largest effect is < 0.001 bits" in nothing
