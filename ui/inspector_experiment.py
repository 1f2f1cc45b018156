"""Experiment: what a memory is worth, measured; one of three questions at a time."""

from __future__ import annotations

from typing import Any

import gradio as gr

from rwkv_core.engine import Engine
from ui.experiment_equality import build_equality
from ui.experiment_lesion import build_lesion
from ui.experiment_probe import build_probe
from ui.session import QUIET_EVENT
from ui.words import say

PROBE, EQUALITY, LESION = "probe", "equality", "lesion"


def build_experiment(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay out the experiments and wire them.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
        shelf: holds what the visitor has kept, a `Shelf`.
    """
    which = gr.Radio(
        [(say(f"experiment.{name}"), name) for name in (PROBE, EQUALITY, LESION)],
        value=PROBE, label=say("experiment.which"), show_label=False,
        elem_classes=["segmented", "study-source", "study-which"], elem_id="experiment-which",
    )  # fmt: skip
    with gr.Column(elem_id="experiment-probe") as probe:
        build_probe(engine, visitor)
    with gr.Column(visible=False, elem_id="experiment-equality") as equality:
        build_equality(engine, visitor, conversation, shelf)
    with gr.Column(visible=False, elem_id="experiment-lesion") as lesion:
        build_lesion(engine, visitor, conversation, shelf)
    which.change(show_one, which, [probe, equality, lesion], **QUIET_EVENT)


def show_one(which: str) -> list[dict[str, Any]]:
    """Show one experiment."""
    return [gr.update(visible=which == name) for name in (PROBE, EQUALITY, LESION)]
