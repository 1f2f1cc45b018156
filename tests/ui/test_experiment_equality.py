from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from rwkv_core.engine import Engine
from rwkv_core.inspection.equality import Equality
from rwkv_core.sessions import Conversation
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui import experiment_equality
from ui.experiment_equality import Panel, check, findings, page_of_alice, table_html
from ui.session import RunningStreams
from ui.shelf import Shelf
from ui.study_parts import MY_TEXT


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with tiny_engine(tmp_path) as made:
        yield made


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    found: Panel = laid_out(lambda: experiment_equality.lay_out(gr.State(Shelf()))[0], tmp_path)
    return found


def run(engine: Engine, panel: Panel, text: str) -> dict[Any, Any]:
    updates = check(
        engine, panel, RunningStreams(), "en", "me", Conversation(), Shelf(), MY_TEXT, text
    )
    return last(collect(updates))


def test_the_numbers_of_both_ways_are_shown_and_never_called_identical(
    engine: Engine, panel: Panel
) -> None:
    shown = run(engine, panel, "abcdefgh")
    assert "agree to within" in shown[panel.found]
    assert "9 of 9" in shown[panel.table]
    assert "identical" not in shown[panel.found] + shown[panel.table]
    rows = Path(shown[panel.card.numbers]["value"]).read_text().splitlines()
    assert len(rows) == 10
    assert "<li>The largest difference is " in shown[panel.card.words]
    assert set(shown) <= set(panel.outputs)


def test_too_long_a_text_gets_a_sentence(engine: Engine, panel: Panel) -> None:
    assert "1,025 tokens, the limit here is 1,024" in run(engine, panel, "a" * 1024)[
        panel.controls.status
    ]  # fmt: skip


def test_the_sentence_and_the_table_are_true_of_the_numbers() -> None:
    found = Equality(
        np.array([0.0, 2e-5, 1e-5]), 2.0, 2, np.array([1e-7, 3e-7]), np.array([4e-7, 0.0]),
        128, 0.5, 1.5,
    )  # fmt: skip
    said = findings("en", found)
    assert "within 2e-05 in every logit, 1e-05 of the spread" in said
    assert "for 2 of 3 tokens" in said
    table = table_html("en", found)
    for words in ("3e-07", "4e-07", "2 of 3", "0.5 s, 6 tokens/s", "1.5 s, 2 tokens/s", "128"):
        assert words in table


def test_the_example_is_a_page_that_is_read_at_once() -> None:
    kind, text = page_of_alice()
    assert kind == MY_TEXT
    assert text.startswith("Alice was beginning")
    assert len(text) == experiment_equality.ALICE_TO
