from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from rwkv_core.engine import Engine
from rwkv_core.inspection.probe import Probe
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui import experiment_probe
from ui.experiment_probe import ALICE, OWN, Panel, findings, probe, recall_rows, show_own
from ui.session import RunningStreams

FACT = ("It is {}.", "a, b", "It is", OWN, "x" * 300, 256)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with tiny_engine(tmp_path) as made:
        yield made


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    found: Panel = laid_out(lambda: experiment_probe.lay_out()[0], tmp_path)
    return found


def run(engine: Engine, panel: Panel, *values: Any) -> list[dict[Any, Any]]:
    return collect(probe(engine, panel, RunningStreams(), "en", "me", *values))


def made(told: list[list[list[float]]], control: list[list[float]]) -> Probe:
    bits = np.array(told)
    ranks = np.ones(bits.shape[:2], int)
    return Probe(np.array([0, 16, 32][: len(bits)]), bits, np.array(control), ranks, ranks, 64)


def test_recall_is_shown_against_distance_with_its_numbers(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, *FACT))
    assert shown[panel.recall.plot]["value"].type == "plotly"
    assert shown[panel.choice.plot]["value"].type == "plotly"
    rows = Path(shown[panel.recall.numbers]["value"]).read_text().splitlines()
    assert "<li>At 256 tokens the right answer has " in shown[panel.recall.words]
    assert "<li>At 256 tokens " in shown[panel.choice.words]
    assert len(rows) == 1 + 2 * 6  # two answers at 0, 16, 32, 64, 128 and 256 tokens
    assert set(shown) <= set(panel.outputs)


def test_one_answer_needs_no_place_and_has_no_choice(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, "It is a.", "a", "It is", OWN, "x" * 300, 256))
    assert panel.recall.plot in shown
    # What an earlier question showed there goes, and the words say why.
    for part in (panel.choice.plot, panel.choice.numbers, panel.choice.figure):
        assert shown[part] == gr.update(visible=False)
    assert "nothing to choose between" in shown[panel.choice.words]
    assert set(shown) <= set(panel.outputs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: " "}, "fill all three"),
        ({1: " , "}, "fill all three"),
        ({2: None}, "fill all three"),
        ({0: "It is."}, "The fact has no {} for the answer"),
        ({1: "a,b,c,d,e,f"}, "6 answers, the limit is 5"),
        ({4: "short"}, "fewer than the distance 256"),
        ({5: 100_000}, "choose one of 256, 1024, 4096"),
        ({2: "x" * 257}, "257 tokens, the limit here is 256"),
    ],
)
def test_what_cannot_be_probed_gets_one_sentence(
    engine: Engine, panel: Panel, change: dict[int, Any], words: str
) -> None:
    values = [change.get(index, value) for index, value in enumerate(FACT)]
    seen = run(engine, panel, *values)
    assert [set(update) for update in seen] == [{panel.controls.status}]
    assert words in seen[0][panel.controls.status]


def test_the_sentences_are_true_of_the_numbers() -> None:
    lost = made([[[-1, -9], [-9, -1]], [[-7.9, -8], [-8, -8.1]]], [[-8, -8], [-8, -8]])
    said = findings("en", lost)
    assert "helps up to 0 tokens on: there the right answer is 128 times as likely" in said
    assert "At 16 tokens it no longer does." in said
    assert "100 % of the cases right away and in 50 % at 16 tokens; 50 % would be chance" in said
    kept = made([[[-1]], [[-4]]], [[-8], [-8]])
    assert "up to 16 tokens on: there the right answer is 16 times as likely" in findings(
        "en", kept
    )
    assert "try a larger distance" in findings("en", kept)
    assert "does not make the right answer twice" in findings("en", made([[[-8]]], [[-8]]))


def test_rows_hold_each_answer_at_each_distance() -> None:
    header, rows = recall_rows(made([[[-1, -9], [-9, -2]]], [[-8, -7]]))
    assert len(header) == 6
    assert rows == [(0, 1, "-1", "-8", 1, 1), (0, 2, "-2", "-7", 1, 1)]


def test_the_box_for_an_own_text_is_there_when_it_is_read() -> None:
    assert show_own(OWN)["visible"] is True
    assert show_own(ALICE)["visible"] is False
