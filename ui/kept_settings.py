"""A visitor's settings: kept in the browser, and checked when they come back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from ui.session import QUIET_EVENT

# Longer texts are not taken back.
MAX_TEXT = 100_000
# Larger whole numbers lose digits in the browser.
MAX_SEED = 2**53


def browser_state(name: str) -> gr.BrowserState:
    """Room in the browser under a fixed key and secret, so that it outlives the page."""
    return gr.BrowserState(None, storage_key=f"rwkv-playground-{name}", secret="rwkv-playground")


def fits(control: Component, value: object) -> bool:
    """Whether a control could hold a value."""
    if isinstance(control, gr.Slider):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        # NaN fails both comparisons.
        return bool(control.minimum <= value <= control.maximum)
    if isinstance(control, gr.Number):
        return type(value) is int and -1 <= value <= MAX_SEED
    if isinstance(control, gr.Radio):
        return isinstance(value, str) and value in [held for _, held in control.choices]
    if isinstance(control, gr.Checkbox):
        return isinstance(value, bool)
    return isinstance(value, str) and len(value) <= MAX_TEXT


def restored(controls: Mapping[str, Component], stored: object) -> list[Any]:
    """The settings of an earlier visit, each where its control could hold it.

    Args:
        controls: by the names they were kept under.
        stored: what the browser kept; whatever does not fit leaves its control as it is.
    """
    known = stored if isinstance(stored, dict) else {}
    return [
        known[name] if name in known and fits(control, known[name]) else gr.skip()
        for name, control in controls.items()
    ]


def keep_settings(
    page: gr.Blocks,
    kept: gr.BrowserState,
    controls: Mapping[str, Component],
    filled: Sequence[Dependency],
) -> None:
    """Let the browser keep what a visitor sets, and set it again when the page is opened.

    Args:
        page: that the controls stand on.
        kept: from `browser_state`; made outside of tabs that are closed at first, whose parts
            Gradio draws, and reads from the browser, only when they are opened.
        controls: by name.
        filled: steps in which the page itself changes some of them.
    """
    held = list(controls.values())
    save: dict[str, Any] = {
        "fn": None,
        "inputs": held,
        "outputs": kept,
        "js": f"(...v) => Object.fromEntries({json.dumps([*controls])}.map((n, i) => [n, v[i]]))",
        **QUIET_EVENT,
    }
    # Not `change`, which would also come while the page is being filled. The server is not asked.
    # A slider that is reset tells only of its release; a pasted text may be told of when it is left.
    set_by_hand = [control.input for control in held]  # type: ignore[attr-defined]
    set_by_hand += [control.release for control in held if isinstance(control, gr.Slider)]
    set_by_hand += [control.blur for control in held if isinstance(control, gr.Textbox)]
    gr.on(set_by_hand, trigger_mode="always_last", **save)
    for step in filled:
        step.success(**save)
    page.load(lambda stored: restored(controls, stored), kept, held, **QUIET_EVENT)
