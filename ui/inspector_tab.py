"""The State inspector: one tab with a sub-tab for each way to look at a memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import gradio as gr

from rwkv_core.engine import Engine
from ui.how_it_works import build_how
from ui.inspector_change import build_change
from ui.inspector_compare import build_compare
from ui.inspector_experiment import build_experiment
from ui.inspector_see import build_see
from ui.words import say

STYLE_PATHS = tuple(
    Path(__file__).with_name(f"{name}.css") for name in ("inspector", "experiments")
)


class SubTab(NamedTuple):
    """One way to look at a memory.

    Attributes:
        id: names it within the inspector.
        label: key of its name in presets/words.
        build: lays it out and wires it; takes the engine, the visitor's session id, the
            visitor's chat, a `Conversation`, and what the visitor has kept, a `Shelf`.
    """

    id: str
    label: str
    build: Callable[[Engine, gr.State, gr.State, gr.State], None]


def _build_see(engine: Engine, visitor: gr.State, conversation: gr.State, _shelf: gr.State) -> None:
    build_see(engine, visitor, conversation)


# In the order of the page; the first is open.
SUB_TABS: Final = (
    SubTab("see", "inspector.see", _build_see),
    SubTab("compare", "compare.tab", build_compare),
    SubTab("change", "change.tab", build_change),
    SubTab("experiment", "experiment.tab", build_experiment),
    SubTab("how", "how.tab", build_how),
)


def build_inspector_tab(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay out the State inspector and wire it.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
        shelf: holds what the visitor has kept, a `Shelf`.
    """
    style = "".join(path.read_text(encoding="utf-8") for path in STYLE_PATHS)
    gr.HTML(f"<style>{style}</style>", elem_classes="inspector-style")
    with gr.Tabs(elem_classes="inspector-tabs", overflow_behavior="wrap"):
        for tab in SUB_TABS:
            with gr.Tab(
                say(tab.label), id=f"inspector-{tab.id}", elem_id=f"inspector-tab-{tab.id}"
            ):
                tab.build(engine, visitor, conversation, shelf)
