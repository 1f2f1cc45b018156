"""Every control says what it does: beside itself, or in a sentence on pointing at it."""

import re
from collections.abc import Iterator

import gradio as gr
import pytest
from gradio.blocks import Block

from presets.words import words
from tests.ui.desks import make_desk
from tests.ui.fakes import FakeEngine, as_engine
from ui import build_app
from ui.hints import HINTS, hints

CONTROLS = (
    gr.Accordion, gr.Button, gr.Checkbox, gr.DownloadButton, gr.Dropdown, gr.Number, gr.Radio,
    gr.Slider, gr.Tab, gr.Textbox, gr.UploadButton,
)  # fmt: skip
NAMES = {name for selector, _ in HINTS for name in re.findall(r"[#.][\w-]+", selector)}


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    return build_app(as_engine(FakeEngine()), "Pip", desk=make_desk(), may_read_ahead=True)


def names(block: Block) -> Iterator[str]:
    """What CSS may call a control: by itself, or as one of those inside a row."""
    own = f"#{block.elem_id}"
    yield from (own, f"{own}-button")
    yield from (f".{name}" for name in block.elem_classes)
    row = block.parent
    if isinstance(row, gr.Row):
        yield from (f"#{row.elem_id}", *(f".{name}" for name in row.elem_classes))


def test_every_control_has_a_hint(page: gr.Blocks) -> None:
    controls = [block for block in page.blocks.values() if isinstance(block, CONTROLS)]
    assert len(controls) > 150
    silent = [
        (type(control).__name__, control.elem_id, getattr(control, "label", ""))
        for control in controls
        if not getattr(control, "info", None)
        and getattr(control, "visible", True) != "hidden"
        # What no page ever shows has no name either.
        and (getattr(control, "visible", True) or control.elem_id)
        and not NAMES.intersection(names(control))
    ]
    assert silent == []


def test_every_hint_is_one_sentence_in_every_language() -> None:
    keys = [key for _, key in HINTS]
    assert {f"hints.{key}" for key in keys} == {
        key for key in words()["en"] if key.startswith("hints.")
    }
    for language, stop in (("en", "."), ("zh", "。"), ("ja", "。")):
        for selector, sentence in hints(language):
            assert sentence.endswith(stop), selector
            assert len(sentence) < 130, selector
