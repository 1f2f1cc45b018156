"""Do both ways of reading agree? In long pieces at once, and token by token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from presets.texts import public_text
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.inspection.equality import Equality, compare_modes
from rwkv_core.sessions import Conversation
from rwkv_core.streams import WorkJob
from ui.components import status_line
from ui.inspector_cards import Card
from ui.plots.experiments import equality_figure
from ui.readings import Words
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.shelf import Shelf
from ui.studies import Controls, Updates, in_language, run_study
from ui.study_cards import fill_card, lay_out_card
from ui.study_facts import agreement_facts
from ui.study_parts import MY_TEXT, Choice, Source, Stores, lay_out_source, source_text
from ui.words import say

MAX_TOKENS = 1024
# Where the book's first chapter begins to be a story, to the end of a page.
ALICE_FROM, ALICE_TO = "Alice was beginning", 900


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the check."""

    source: Source
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    table: gr.HTML
    card: Card

    @property
    def outputs(self) -> list[Any]:
        """Every component that a check may change."""
        own = [self.empty, self.found, self.table]
        return [*vars(self.controls).values(), *own, *vars(self.card).values()]


def build_equality(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay out the check and wire it; see build_experiment."""
    running = RunningStreams()
    panel, page = lay_out(shelf)
    run: dict[str, Any] = {
        "fn": in_language(partial(check, engine, panel, running)),
        "inputs": [visitor, conversation, shelf, *panel.source.inputs],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }
    panel.controls.go.click(**run)
    filled = page.click(page_of_alice, None, panel.source.filled, **QUIET_EVENT)
    filled.success(**run)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)


def page_of_alice() -> tuple[str, ...]:
    """Fill the source with a page of the book."""
    book = public_text()
    start = book.index(ALICE_FROM)
    return MY_TEXT, book[start : start + ALICE_TO]


async def check(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Read a text both ways and show how far they agree.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat; read from the memory that every text begins from.
        shelf: what the visitor has kept; likewise.
        values: of the source.
    """

    def begin() -> WorkJob[Equality]:
        ids = source_text(language, engine, Stores(conversation, shelf), Choice(*values)).ids
        if len(ids) > MAX_TOKENS:
            what = speak(language, "study.the_text")
            raise InputError(
                speak(language, "study.too_long", what=what, count=f"{len(ids):,}",
                      limit=f"{MAX_TOKENS:,}")
            )  # fmt: skip
        return engine.study(visitor, lambda lab: compare_modes(lab, ids), 2 * len(ids))

    def show(found: Equality, _is_end: bool) -> Updates:
        return render(language, panel, found)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


def render(language: str, panel: Panel, found: Equality) -> Updates:
    """Show the check's numbers."""
    count = len(found.difference)
    zeros = int((found.difference == 0).sum())
    rows = [(t + 1, f"{d:.6g}") for t, d in enumerate(found.difference)]
    return {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, found))}</p>",
        panel.table: table_html(language, found),
        **fill_card(
            language, panel.card, "agreement", equality_figure(found),
            Words(
                speak(language, "experiment.equal_reading", zeros=zeros, count=count),
                agreement_facts(language, found),
            ),
            ("position (token)", "largest difference of a logit"), rows,
        ),
    }  # fmt: skip


def findings(language: str, found: Equality) -> str:
    """Say how closely the two ways agree, in numbers."""
    largest = float(found.difference.max())
    return speak(
        language, "experiment.equal_found", difference=small(largest),
        share=small(largest / found.logit_spread if found.logit_spread else 0.0),
        same=f"{found.same_likeliest:,}", count=f"{len(found.difference):,}",
    )  # fmt: skip


def table_html(language: str, found: Equality) -> str:
    """List the numbers of the check."""
    count = len(found.difference)

    def speed(seconds: float) -> str:
        per_s = f"{count / seconds:,.0f}" if seconds > 0 else "–"
        return speak(language, "experiment.equal_speed", seconds=f"{seconds:.3g}", speed=per_s)

    facts = [
        ("equal_logit", small(float(found.difference.max()))),
        ("equal_memory", small(float(np.max(found.memory_difference)))),
        ("equal_shift", small(float(np.max(found.shift_difference)))),
        (
            "equal_same",
            speak(language, "experiment.equal_of", same=found.same_likeliest, count=count),
        ),
        ("equal_gpt", speed(found.gpt_s)),
        ("equal_rnn", speed(found.rnn_s)),
    ]
    rows = "".join(
        f"<div><dt>{escape(speak(language, f'experiment.{key}', piece=found.piece_tokens))}</dt>"
        f"<dd>{escape(value)}</dd></div>"
        for key, value in facts
    )
    return f'<dl class="study-facts">{rows}</dl>'


def small(value: float) -> str:
    """Write a small number: 0, 2.1e-06, 0.013."""
    return f"{value:.2g}"


def lay_out(shelf: gr.State) -> tuple[Panel, gr.Button]:
    """Lay the check out; also gives the button of the example."""
    gr.HTML(say("experiment.equality_intro"), elem_classes="inspector-intro")
    with gr.Row(elem_classes="chips"):
        page = gr.Button(say("experiment.page_of_alice"), size="sm", elem_id="equality-page")
    source = lay_out_source(shelf, "equality", "experiment.text", "experiment.equality_info")
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("experiment.run_equality"), variant="primary", elem_id="equality-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="equality-stop")
    status = gr.HTML(status_line(), elem_id="equality-status")
    empty = gr.HTML(say("experiment.equality_empty"), elem_classes="study-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="equality-results"):
        found, table = gr.HTML(elem_classes="findings"), gr.HTML()
        card = lay_out_card("agreement")
    return Panel(source, Controls(go, stop, status), empty, found, table, card), page
