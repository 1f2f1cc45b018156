"""How it works: the last token of a text walked through one layer, with live numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.inspection.lesson import Lesson, explain_token
from rwkv_core.sessions import Conversation
from rwkv_core.streams import WorkJob
from ui.components import percent, status_line
from ui.how_it_works_steps import steps_html, tokens_text
from ui.inspector_cards import Card, lay_out_cards
from ui.plots.lesson import decay_figure, sum_figure
from ui.readings import Words
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.shelf import Shelf
from ui.studies import Controls, Updates, in_language, run_study
from ui.study_cards import fill_card
from ui.study_facts import decay_facts, sum_facts
from ui.study_parts import Choice, Source, Stores, lay_out_source, source_text, word_of
from ui.words import say

# Lets a step's link open the sub-tab and the figure it names.
FOLLOW_LINKS = Path(__file__).with_name("how_it_works.js")
START = "Tom had a red ball. One day, Tom lost his red"


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the page."""

    source: Source
    layer: gr.Slider
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    steps: gr.HTML
    total: Card
    decay: Card

    @property
    def outputs(self) -> list[Any]:
        """Every component that a walk may change."""
        cards = [*vars(self.total).values(), *vars(self.decay).values()]
        own = [self.empty, self.found, self.steps]
        return [*vars(self.controls).values(), *own, *cards]


def build_how(engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State) -> None:
    """Lay out the classroom page and wire it.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
        shelf: holds what the visitor has kept, a `Shelf`.
    """
    running = RunningStreams()
    panel = lay_out(engine, shelf)
    run: dict[str, Any] = {
        "fn": in_language(partial(explain, engine, panel, running)),
        "inputs": [visitor, conversation, shelf, *panel.source.inputs, panel.layer],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }
    panel.controls.go.click(**run)
    panel.layer.release(**run)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)


async def explain(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Walk a text's last token and show every step.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        values: of the source, and the layer, counted from 1.
    """
    *source, layer = values

    def begin() -> WorkJob[Lesson]:
        if not isinstance(layer, int | float):
            raise InputError("the layer is empty; move the slider")
        text = source_text(language, engine, Stores(conversation, shelf), Choice(*source))
        return engine.study(
            visitor, lambda lab: explain_token(lab, text, int(layer) - 1), 2 * len(text.ids)
        )

    def show(found: Lesson, _is_end: bool) -> Updates:
        return render(language, engine, panel, found)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


def render(language: str, engine: Engine, panel: Panel, found: Lesson) -> Updates:
    """Show a walk and the two tricks."""
    total = found.total
    sums = [
        (found.first + t + 1, f"{key:.6g}", f"{plain:.6g}", f"{kept:.6g}", f"{top:.6g}")
        for t, (key, plain, kept, top) in enumerate(
            zip(found.stretched, total.plain, total.kept, total.exponent, strict=True)
        )
    ]
    header = ("token", "key, stretched", "plain sum", "kept sum", "largest exponent")
    return {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, engine, found))}</p>",
        panel.steps: steps_html(language, engine, found.walk),
        **fill_card(
            language, panel.total, "sums", sum_figure(found.stretched, total, found.first),
            Words(
                speak(language, "how.sum_reading", real=f"{found.keys.max():.3g}"),
                sum_facts(language, found),
            ),
            header, sums,
        ),
        **fill_card(
            language, panel.decay, "decays", decay_figure(found.decay, engine.model.config.generation),
            Words(
                speak(language, "how.decay_reading", count=len(found.decay)),
                decay_facts(language, found.decay),
            ),
            ("channel", "decay"), [(n + 1, f"{w:.6g}") for n, w in enumerate(found.decay)],
        ),
    }  # fmt: skip


def findings(language: str, engine: Engine, found: Lesson) -> str:
    """Say in one sentence what is most worth seeing on the way."""
    walk = found.walk
    stages = {stage.name: stage for stage in walk.stages}
    half_life = stages["decay"].numbers["half_life_tokens"]
    return speak(
        language, "how.found", token=word_of(engine, walk.token), layer=walk.layer + 1,
        layers=engine.model.config.n_layer,
        share=f"{100 * stages['shift'].numbers['key']:.0f}",
        half_life=tokens_text(language, half_life),
        word=word_of(engine, walk.likeliest[0]), chance=percent(walk.chances[0]),
    )  # fmt: skip


def lay_out(engine: Engine, shelf: gr.State) -> Panel:
    """Lay the page out."""
    gr.HTML(say("how.intro"), elem_classes="inspector-intro")
    source = lay_out_source(shelf, "how", "how.text", "how.text_info", lines=2)
    source.text.value = START
    n_layer = engine.model.config.n_layer
    layer = gr.Slider(
        1, max(n_layer, 2), n_layer, step=1, label=say("how.layer"), info=say("how.layer_info"),
        elem_id="how-layer", elem_classes="study-blend", interactive=n_layer > 1,
    )  # fmt: skip
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("how.go"), variant="primary", elem_id="how-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="how-stop")
    status = gr.HTML(status_line(), elem_id="how-status")
    empty = gr.HTML(say("how.empty"), elem_classes="study-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="how-results"):
        found = gr.HTML(elem_classes="findings")
        steps = gr.HTML(js_on_load=FOLLOW_LINKS.read_text(encoding="utf-8"))
        gr.HTML(say("how.tricks"), elem_classes="how-tricks")
        cards = lay_out_cards(("sums", "decays"))
    controls = Controls(go, stop, status)
    return Panel(source, layer, controls, empty, found, steps, cards["sums"], cards["decays"])
