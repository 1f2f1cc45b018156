"""See: what stands where in the inspector's first sub-tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import gradio as gr

from presets import examples
from rwkv_core.config import ModelConfig
from ui.components import status_line
from ui.inspector_cards import Card, lay_out_cards, parts_of
from ui.inspector_close import LAYER_VIEWS, MEMORY_VIEWS, WORD_VIEWS
from ui.inspector_views import VIEW_NAMES
from ui.words import say, say_title

Source = Literal["A text of mine", "This chat"]
MY_TEXT: Final = "A text of mine"
THIS_CHAT: Final = "This chat"
SURPRISE, CHANGE = "Surprise", "Change"
SIMPLE, RESEARCHER = "Simple", "Researcher"
WIDE = ("filling", "sparsity", "lens")
# Tells the page which word of a coloured text was pressed.
PICK = """
element.addEventListener('click', (event) => {
  const word = event.target.closest('[data-token]');
  if (word) trigger('select', {index: Number(word.dataset.token)});
});
"""


@dataclass(frozen=True, eq=False)
class Panel:
    """The components that handlers change; is_read says whether the last reading came to its end."""

    source: gr.Radio
    text: gr.Textbox
    read: gr.Button
    stop: gr.Button
    status: gr.HTML
    empty: gr.HTML
    findings: gr.HTML
    measure: gr.Radio
    surprise: gr.HTML
    change: gr.HTML
    depth: gr.Radio
    layer: gr.Slider
    head: gr.Slider
    word: gr.Slider
    chosen: gr.HTML
    seen: gr.State
    is_read: gr.State
    cards: dict[str, Card]

    def outputs(self) -> set[Any]:
        """Every component that looking at a text may change."""
        own = {
            part
            for name, part in vars(self).items()
            if name not in ("cards", "measure", "depth", "source", "text")
        }
        return {*own, *parts_of(self.cards.values())}


def lay_out(config: ModelConfig, seen: gr.State) -> tuple[Panel, list[tuple[gr.Button, str]]]:
    """Lay everything out.

    Args:
        config: sizes of the model.
        seen: holds what was read.

    Returns:
        The components, and each example's button with its text.
    """
    gr.HTML(say("inspector.intro"), elem_classes="inspector-intro")
    source = gr.Radio(
        [(say("inspector.my_text"), MY_TEXT), (say("inspector.this_chat"), THIS_CHAT)],
        value=MY_TEXT,
        label=say("inspector.source"),
        info=say("inspector.source_hint"),
        elem_classes="segmented",
        elem_id="inspector-source",
    )
    text = gr.Textbox(
        label=say("inspector.text"),
        info=say("inspector.text_hint"),
        placeholder=say("inspector.placeholder"),
        lines=4,
        max_lines=12,
        elem_id="inspector-text",
    )
    with gr.Row(elem_classes="chips", elem_id="inspector-chips"):
        chosen = examples().inspector
        buttons = [
            (gr.Button(say_title(example.title), size="sm"), example.text) for example in chosen
        ]
    with gr.Row(elem_classes="actions"):
        read = gr.Button(say("inspector.read"), variant="primary", elem_id="inspector-read")
        stop = gr.Button(
            say("inspector.stop"), variant="stop", visible=False, elem_id="inspector-stop"
        )
    status = gr.HTML(status_line(), elem_id="inspector-status")
    empty = gr.HTML(say("inspector.empty"), elem_classes="inspector-empty")
    # Always in the page, hidden by the style sheet while nothing is read: gradio 6.31 at times
    # loses the value of a figure that is put into the page together with it.
    with gr.Column(elem_classes="inspector-results"):
        found = gr.HTML(elem_classes="findings")
        depth, measure = _lay_out_choices()
        surprise, change = gr.HTML(js_on_load=PICK), gr.HTML(visible=False, js_on_load=PICK)
        cards = lay_out_cards(VIEW_NAMES, wide=WIDE)
        layer, head, word, picked, closer = _lay_out_closer(config)
    panel = Panel(
        source, text, read, stop, status, empty, found, measure, surprise, change, depth,
        layer, head, word, picked, seen, gr.State(False), cards | closer,
    )  # fmt: skip
    return panel, buttons


def _lay_out_choices() -> tuple[gr.Radio, gr.Radio]:
    with gr.Row(elem_classes="inspector-choices"):
        depth = gr.Radio(
            [(say("inspector.simple"), SIMPLE), (say("inspector.researcher"), RESEARCHER)],
            value=SIMPLE,
            label=say("inspector.depth"),
            info=say("inspector.depth_hint"),
            elem_classes="segmented",
            elem_id="inspector-depth",
        )
        measure = gr.Radio(
            [(say("inspector.surprise"), SURPRISE), (say("inspector.change"), CHANGE)],
            value=SURPRISE,
            label=say("inspector.measure"),
            info=say("inspector.measure_hint"),
            elem_classes="segmented",
            elem_id="inspector-measure",
        )
    return depth, measure


def _lay_out_closer(
    config: ModelConfig,
) -> tuple[gr.Slider, gr.Slider, gr.Slider, gr.HTML, dict[str, Card]]:
    with gr.Column(elem_classes="closer"):
        gr.HTML(say("inspector.memory_part"), elem_classes="part")
        cards = lay_out_cards(MEMORY_VIEWS, wide=WIDE)
        gr.HTML(say("inspector.layer_part"), elem_classes="part")
        with gr.Row(elem_classes="pickers"):
            layer = _slider("layer", config.n_layer)
            head = _slider("head", config.n_head)
        cards |= lay_out_cards(LAYER_VIEWS, wide=WIDE)
        gr.HTML(say("inspector.word_part"), elem_classes="part")
        with gr.Row(elem_classes="pickers"):
            word = _slider("word", 1)
        chosen = gr.HTML(elem_classes="chosen", js_on_load=PICK)
        cards |= lay_out_cards(WORD_VIEWS, wide=WIDE)
    return layer, head, word, chosen, cards


def _slider(name: str, count: int) -> gr.Slider:
    """A whole number from 1 to a count; hidden while there is no choice."""
    return gr.Slider(
        1,
        max(2, count),
        value=1,
        step=1,
        label=say(f"inspector.{name}"),
        info=say(f"inspector.{name}_hint"),
        visible=count > 1 or name == "word",
        elem_id=f"inspector-{name}",
    )
