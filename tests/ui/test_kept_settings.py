import math

import gradio as gr
import pytest

from ui.controls import build_controls
from ui.kept_settings import MAX_TEXT, restored

GOOD: dict[str, object] = {
    "preset": "Wild",
    "temperature": 1.5,
    "top_k": 40,
    "seed": 7,
    "persona": "Ann",
    "ahead": True,
}
BAD: dict[str, list[object]] = {
    "preset": ["Mild", None, ["Wild"]],
    "temperature": [-0.1, 2.1, math.nan, "1", True, None, []],
    "seed": [-2, 2**60, 1.5, True, None],
    "persona": [None, 5, "x" * (MAX_TEXT + 1)],
    "ahead": [0, 1, "yes", None],
}


@pytest.fixture(scope="module")
def controls() -> dict[str, gr.components.Component]:
    with gr.Blocks():
        return {**build_controls("mine").named, "persona": gr.Textbox(), "ahead": gr.Checkbox()}


def test_kept_settings_come_back_and_the_rest_stays(
    controls: dict[str, gr.components.Component],
) -> None:
    kept = {**GOOD, "ahead": False}
    back = dict(zip(controls, restored(controls, kept), strict=True))
    assert {name: value for name, value in back.items() if value != gr.skip()} == kept


@pytest.mark.parametrize(("name", "value"), [(n, value) for n in BAD for value in BAD[n]])
def test_a_foreign_or_impossible_setting_leaves_only_its_own_control(
    controls: dict[str, gr.components.Component], name: str, value: object
) -> None:
    kept = {**GOOD, name: value}
    back = dict(zip(controls, restored(controls, kept), strict=True))
    assert back.pop(name) == gr.skip()
    assert all(back[other] == kept[other] for other in back if other in kept)


@pytest.mark.parametrize("stored", [None, [], "preset", 5])
def test_a_foreign_record_changes_nothing(
    controls: dict[str, gr.components.Component], stored: object
) -> None:
    assert all(value == gr.skip() for value in restored(controls, stored))
