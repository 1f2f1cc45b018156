import re

import pytest

from presets.catalogue import catalogue
from rwkv_core.config import Choice
from rwkv_core.errors import SettingsError
from rwkv_core.machine import Machine
from rwkv_core.memory import GB
from tests.ui.fakes import FakeEngine, as_engine
from ui.models_tab import CARD, COMPUTER, HERE, available, look_text, put_into_words, show_all

MACHINE = Machine(
    Choice("A <CPU>", "test"),
    Choice("2", "of 4"),
    Choice("avx2", "used"),
    Choice("none", "this PyTorch is the build for the CPU alone"),
    16 * GB,
    9 * GB,
)
FIRST = catalogue()[0].file


def test_the_table_judges_every_model_for_the_chosen_memory() -> None:
    _, table, plan = show_all(MACHINE, "en", COMPUTER, "4", 1, FIRST, "")
    assert table.count("verdict is-") == len(catalogue())
    assert {"is-fits", "is-no"} <= set(re.findall(r"is-\w+", table))
    assert "4.0 GB" in plan
    more = show_all(MACHINE, "en", COMPUTER, "80", 1, FIRST, "")[1]
    assert "is-no" not in more


def test_a_card_gets_strategies_of_cards() -> None:
    _, table, plan = show_all(MACHINE, "en", CARD, "8", 1, FIRST, "")
    assert "cuda fp16" in table
    assert "cuda int4" in table
    assert "cpu fp32" not in table + plan


def test_this_machine_needs_no_size_and_its_free_memory_counts() -> None:
    shown, _, _ = show_all(MACHINE, "en", HERE, "8", 1, FIRST, "")
    assert not shown.visible
    assert available(MACHINE, HERE, 8) == {"cpu": 9 * GB}


def test_a_strategy_is_checked_as_it_is_typed_and_drawn_layer_by_layer() -> None:
    room = {"cpu": 16 * GB, "cuda": 8 * GB}
    text = look_text(room, 1, FIRST, "cuda fp16 *4 -> cpu int8", "en")
    assert "<b>4</b> cuda fp16" in text
    assert "<b>9</b> cpu fp32 with int8 weights" in text
    wrong = look_text(room, 1, FIRST, "cpu fp99", "en")
    assert 'role="alert"' in wrong
    assert "underlined" in wrong


@pytest.mark.parametrize(
    ("place", "size", "sessions", "file", "strategy"),
    [
        ("moon", "8", 1, FIRST, ""),
        (COMPUTER, "9", 1, FIRST, ""),
        (COMPUTER, "x", 1, FIRST, ""),
        (COMPUTER, "8", 1e9, FIRST, ""),
        (COMPUTER, "8", float("nan"), FIRST, ""),
        (COMPUTER, "8", 1, "../../passwd", ""),
        (COMPUTER, "8", 1, FIRST, "cpu " * 1000),
    ],
)
def test_what_the_controls_cannot_send_is_one_sentence(
    place: str, size: str, sessions: float, file: str, strategy: str
) -> None:
    _, table, plan = show_all(MACHINE, "en", place, size, sessions, file, strategy)
    assert 'role="alert"' in table + plan


def test_what_was_found_is_escaped_and_gives_reasons() -> None:
    found, _, _, known = put_into_words(
        MACHINE, as_engine(FakeEngine()), "en", HERE, "8", 1, FIRST, ""
    )
    assert "A &lt;CPU&gt;" in found
    assert "build for the CPU alone" in found
    assert "9.0 GB free of 16.0 GB" in found
    assert "C++ AVX2" in found
    assert "<td>16 GB</td>" in known


def test_a_strategy_nobody_has_typed_is_the_best_one() -> None:
    plans = [show_all(MACHINE, "en", COMPUTER, "8", 1, FIRST, text)[2] for text in ("", None)]
    assert plans[0] == plans[1]
    assert "cpu fp32" in plans[0]


def test_an_unknown_memory_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="7 GB"):
        available(MACHINE, COMPUTER, 7)
