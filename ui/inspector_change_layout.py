"""The components of Change, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from presets.experiments import experiments
from rwkv_core.config import ModelConfig
from rwkv_core.inspection.editing import MAX_GAIN, MAX_NOISE
from ui.components import status_line
from ui.inspector_cards import Card
from ui.studies import Controls
from ui.study_cards import lay_out_card
from ui.study_parts import (
    MY_TEXT,
    Source,
    Writing,
    lay_out_cue,
    lay_out_source,
    lay_out_writing,
)
from ui.words import say, say_title


@dataclass(frozen=True, eq=False)
class Tools:
    """The controls of each kind of change, with the button that adds it."""

    layer: gr.Slider
    head: gr.Slider
    empty: gr.Button
    half_life: gr.Slider
    slow: gr.Button
    gain: gr.Slider
    weigh: gr.Button
    noise: gr.Slider
    roughen: gr.Button


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the tab."""

    a: Source
    b: Source
    c: Source
    share_b: gr.Slider
    share_c: gr.Slider
    cue: gr.Textbox
    writing: Writing
    tools: Tools
    undo: gr.Button
    reset: gr.Button
    keep: gr.Button
    shelf: gr.State
    edits: gr.State
    edited: gr.HTML
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    texts: gr.HTML
    movers: gr.HTML
    card: Card

    @property
    def recipe_inputs(self) -> list[Any]:
        """In the order of `make_recipe`."""
        sources = [*self.a.inputs, *self.b.inputs, *self.c.inputs]
        return [*sources, self.share_b, self.share_c, self.cue]

    @property
    def example_inputs(self) -> list[Any]:
        """What an example fills, in order."""
        sources = [*self.a.filled, *self.b.filled, *self.c.filled]
        return [*sources, self.share_b, self.share_c, self.cue]

    @property
    def outputs(self) -> list[Any]:
        """Every component that a trial may change."""
        own = [self.empty, self.found, self.texts, self.movers]
        return [*vars(self.controls).values(), *own, *vars(self.card).values()]


def lay_out(
    config: ModelConfig, shelf: gr.State
) -> tuple[Panel, list[tuple[gr.Button, tuple[Any, ...]]]]:
    """Lay the tab out.

    Args:
        config: sizes of the model.
        shelf: holds the visitor's `Shelf`.

    Returns:
        The panel, and for each example its button and values in the order of `example_inputs`.
    """
    gr.HTML(say("change.intro"), elem_classes="inspector-intro")
    with gr.Row(elem_classes=["chips", "study-chips"]):
        starts: list[tuple[gr.Button, tuple[Any, ...]]] = [
            (
                gr.Button(say_title(pair.title), size="sm"),
                (MY_TEXT, pair.a, MY_TEXT, pair.b, MY_TEXT, "", 0.5, 0, pair.cue),
            )
            for pair in experiments().compare
        ]
    with gr.Row(elem_classes="study-pair"):
        with gr.Column(min_width=280):
            a = lay_out_source(shelf, "change-a", "change.a", "change.a_info")
        with gr.Column(min_width=280):
            b = lay_out_source(shelf, "change-b", "change.b", "change.b_info")
    cue = lay_out_cue("change")
    share_b = gr.Slider(
        0, 1, 0.5, step=0.05, label=say("change.share_b"), info=say("change.share_b_info"),
        elem_id="change-share", elem_classes="study-blend",
    )  # fmt: skip
    with gr.Accordion(say("change.third"), open=False, elem_classes="quiet"):
        c = lay_out_source(shelf, "change-c", "change.c", "change.c_info")
        share_c = gr.Slider(
            0, 1, 0, step=0.05, label=say("change.share_c"), info=say("change.share_c_info")
        )
    with gr.Accordion(
        say("change.tools"), open=False, elem_classes="quiet", elem_id="change-tools"
    ):
        tools = _lay_out_tools(config)
    writing = lay_out_writing(24)
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("change.go"), variant="primary", elem_id="change-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="change-stop")
        undo = gr.Button(say("change.undo"), elem_classes="plain", elem_id="change-undo")
        reset = gr.Button(say("change.reset"), elem_classes="plain", elem_id="change-reset")
        keep = gr.Button(say("change.keep"), elem_classes="plain", elem_id="change-keep")
    edited = gr.HTML("", elem_id="change-edited")
    status = gr.HTML(status_line(), elem_id="change-status")
    empty = gr.HTML(say("change.empty"), elem_classes="study-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="change-results"):
        found, texts = gr.HTML(elem_classes="findings"), gr.HTML(elem_classes="study-section")
        movers = gr.HTML(elem_classes="study-section")
        card = lay_out_card("changed")
    panel = Panel(
        a, b, c, share_b, share_c, cue, writing, tools, undo, reset, keep, shelf, gr.State(()),
        edited, Controls(go, stop, status), empty, found, texts, movers, card,
    )  # fmt: skip
    return panel, starts


def _lay_out_tools(config: ModelConfig) -> Tools:
    with gr.Row(elem_classes="study-tool"):
        # Gradio makes no slider with one place.
        layer = gr.Slider(1, max(2, config.n_layer), 1, step=1, label=say("change.layer"),
                          info=say("change.layer_info"), interactive=config.n_layer > 1)  # fmt: skip
        heads = 0 if config.has_exponents else config.n_head
        head = gr.Slider(0, max(heads, 1), 0, step=1, label=say("change.head"),
                         info=say("change.head_info"), interactive=heads > 0)  # fmt: skip
        empty = gr.Button(say("change.empty_it"), elem_id="change-empty-it")
    with gr.Row(elem_classes="study-tool"):
        half_life = gr.Slider(1, 400, 20, step=1, label=say("change.half_life"),
                              info=say("change.half_life_info"))  # fmt: skip
        slow = gr.Button(say("change.keep_slow"), elem_id="change-slow")
    with gr.Row(elem_classes="study-tool"):
        gain = gr.Slider(0, MAX_GAIN, 0.5, step=0.05, label=say("change.gain"),
                         info=say("change.gain_info"))  # fmt: skip
        weigh = gr.Button(say("change.weigh"), elem_id="change-weigh")
    with gr.Row(elem_classes="study-tool"):
        noise = gr.Slider(0, MAX_NOISE, 0.5, step=0.05, label=say("change.noise"),
                          info=say("change.noise_info"))  # fmt: skip
        roughen = gr.Button(say("change.add_noise"), elem_id="change-noise")
    return Tools(layer, head, empty, half_life, slow, gain, weigh, noise, roughen)
