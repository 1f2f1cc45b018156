"""Which layer matters? Each part's memory is emptied in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from presets.experiments import experiments
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.inspection.lesion import Lesions, lesion, strongest, tokens_of
from rwkv_core.sessions import Conversation
from rwkv_core.streams import WorkJob
from ui.components import percent, status_line
from ui.inspector_cards import Card
from ui.plots.experiments import lesion_figure
from ui.readings import Words
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.shelf import Shelf
from ui.studies import Controls, Updates, in_language, run_study
from ui.study_cards import fill_card, lay_out_card
from ui.study_facts import lesion_facts
from ui.study_parts import (
    MY_TEXT,
    Choice,
    Source,
    Stores,
    cue_ids,
    kl_level,
    kl_text,
    lay_out_cue,
    lay_out_source,
    source_text,
    word_of,
)
from ui.words import say, say_title

LAYERS, HEADS = "layers", "heads"


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the experiment."""

    source: Source
    cue: gr.Textbox
    parts: gr.Radio
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    card: Card

    @property
    def outputs(self) -> list[Any]:
        """Every component that it may change."""
        own = [self.empty, self.found]
        return [*vars(self.controls).values(), *own, *vars(self.card).values()]


def build_lesion(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay the experiment out and wire it; see build_experiment."""
    running = RunningStreams()
    panel, starts = lay_out(shelf, has_heads=not engine.model.config.has_exponents)
    run: dict[str, Any] = {
        "fn": in_language(partial(damage, engine, panel, running)),
        "inputs": [visitor, conversation, shelf, *panel.source.inputs, panel.cue, panel.parts],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }
    panel.controls.go.click(**run)
    filled = [*panel.source.filled, panel.cue]
    for button, values in starts:
        button.click(partial(tuple, values), None, filled, **QUIET_EVENT).success(**run)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)


async def damage(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Empty each part in turn and show how far the next word moves, while it is measured.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        values: of the source, the cue, and which parts.
    """
    *source, cue, parts = values
    by_head = parts == HEADS

    def begin() -> WorkJob[Lesions]:
        text = source_text(language, engine, Stores(conversation, shelf), Choice(*source))
        asked = cue_ids(language, engine, cue)
        config = engine.model.config
        size = tokens_of(config.n_layer, config.n_head, len(text.ids), len(asked), by_head=by_head)
        return engine.study(visitor, lambda lab: lesion(lab, text, asked, by_head=by_head), size)

    def show(found: Lesions, _is_end: bool) -> Updates:
        return render(language, engine, panel, found)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


def render(language: str, engine: Engine, panel: Panel, found: Lesions) -> Updates:
    """Show what is known of the effects."""
    table = found.kl_bits
    header = ("layer", *(("head",) if table.ndim == 2 else ()), "effect on the next word (bits)",
              "likeliest word then", "its probability")  # fmt: skip
    rows = [
        (
            *(i + 1 for i in place), f"{table[place]:.6g}",
            word_of(engine, int(found.likeliest[place])), f"{found.chance[place]:.6g}",
        )
        for place in np.ndindex(table.shape)
        if np.isfinite(table[place])
    ]  # fmt: skip
    return {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, engine, found))}</p>",
        **fill_card(
            language, panel.card, "lesions", lesion_figure(found),
            Words(speak(language, "experiment.lesion_reading"), lesion_facts(language, found)),
            header, rows,
        ),
    }  # fmt: skip


def findings(language: str, engine: Engine, found: Lesions) -> str:
    """Say which part the next word hangs on most, and what comes without it."""
    place = strongest(found)
    bits, word = float(found.kl_bits[place]), int(found.likeliest[place])
    key = "layer" if len(place) == 1 else "head"
    part = speak(language, f"experiment.part_{key}", layer=place[0] + 1, head=place[-1] + 1)
    is_same = word == found.whole_likeliest
    which = "nothing" if kl_level(bits) == "none" else "stays" if is_same else "found"
    return speak(
        language, f"experiment.lesion_{which}", part=part, kl=kl_text(bits),
        word=word_of(engine, word), chance=percent(float(found.chance[place])),
        whole=word_of(engine, found.whole_likeliest), whole_chance=percent(found.whole_chance),
    )  # fmt: skip


def lay_out(
    shelf: gr.State, *, has_heads: bool
) -> tuple[Panel, list[tuple[gr.Button, tuple[str, ...]]]]:
    """Lay the experiment out; each example is a button and its values.

    Args:
        shelf: holds the visitor's `Shelf`.
        has_heads: whether heads can be chosen.
    """
    gr.HTML(say("experiment.lesion_intro"), elem_classes="inspector-intro")
    with gr.Row(elem_classes=["chips", "study-chips"]):
        starts: list[tuple[gr.Button, tuple[str, ...]]] = [
            (gr.Button(say_title(pair.title), size="sm"), (MY_TEXT, pair.a, pair.cue))
            for pair in experiments().compare
        ]
    with gr.Row(elem_classes="study-pair"):
        with gr.Column(min_width=280):
            source = lay_out_source(shelf, "lesion", "experiment.text", "experiment.lesion_info")
        with gr.Column(min_width=280):
            choices = [(say("experiment.layers"), LAYERS), (say("experiment.heads"), HEADS)]
            parts = gr.Radio(
                choices if has_heads else choices[:1], value=LAYERS, label=say("experiment.parts"),
                show_label=False, elem_classes=["segmented", "study-source"],
                elem_id="lesion-parts",
            )  # fmt: skip
            cue = lay_out_cue("lesion")
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("experiment.run_lesion"), variant="primary", elem_id="lesion-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="lesion-stop")
    status = gr.HTML(status_line(), elem_id="lesion-status")
    empty = gr.HTML(say("experiment.lesion_empty"), elem_classes="study-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="lesion-results"):
        found = gr.HTML(elem_classes="findings")
        card = lay_out_card("lesions")
    return Panel(source, cue, parts, Controls(go, stop, status), empty, found, card), starts
