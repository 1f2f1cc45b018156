"""Compare: two memories side by side, in what they hold, expect and write."""

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
from rwkv_core.inspection.comparison import Comparison, Likeness, compare_texts
from rwkv_core.sessions import Conversation
from rwkv_core.streams import WorkJob
from ui.components import percent, status_line
from ui.inspector_cards import Card
from ui.plots.comparison import likeness_figure
from ui.readings import Words
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.shelf import Shelf
from ui.studies import Controls, Updates, in_language, run_study
from ui.study_cards import fill_card, lay_out_card
from ui.study_facts import likeness_facts
from ui.study_parts import (
    MY_TEXT,
    Choice,
    Source,
    Stores,
    Writing,
    cue_ids,
    kl_level,
    kl_text,
    lay_out_cue,
    lay_out_source,
    lay_out_writing,
    movers_html,
    section,
    source_text,
    texts_html,
    word_of,
    writing_settings,
)
from ui.words import say, say_title


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the tab."""

    a: Source
    b: Source
    cue: gr.Textbox
    writing: Writing
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    texts: gr.HTML
    movers: gr.HTML
    card: Card

    @property
    def outputs(self) -> list[Any]:
        """Every component that a comparison may change."""
        own = [self.empty, self.found, self.texts, self.movers]
        return [*vars(self.controls).values(), *own, *vars(self.card).values()]


def build_compare(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay out the comparison and wire it.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
        shelf: holds what the visitor has kept, a `Shelf`.
    """
    running = RunningStreams()
    panel, starts = _lay_out(shelf)
    run: dict[str, Any] = {
        "fn": in_language(partial(compare, engine, panel, running)),
        "inputs": [
            visitor, conversation, shelf, *panel.a.inputs, *panel.b.inputs, panel.cue,
            *panel.writing.inputs,
        ],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }  # fmt: skip
    panel.controls.go.click(**run)
    filled = [*panel.a.filled, *panel.b.filled, panel.cue]
    for button, values in starts:
        button.click(partial(tuple, values), None, filled, **QUIET_EVENT).success(**run)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)


async def compare(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Read two texts and show how their memories differ.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        values: sources A and B, the cue, and how the texts go on.
    """
    cue, *writing = values[6:]
    stores = Stores(conversation, shelf)

    def begin() -> WorkJob[Comparison]:
        a = source_text(language, engine, stores, Choice(*values[:3]))
        b = source_text(language, engine, stores, Choice(*values[3:6]))
        asked, settings = cue_ids(language, engine, cue), writing_settings(*writing)
        tokens = len(a.ids) + len(b.ids) + 2 * (len(asked) + settings.max_tokens)
        return engine.study(visitor, lambda lab: compare_texts(lab, a, b, asked, settings), tokens)

    def show(found: Comparison, is_end: bool) -> Updates:
        return render(language, engine, panel, found, cue, is_end=is_end)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


def render(
    language: str, engine: Engine, panel: Panel, found: Comparison, cue: str, *, is_end: bool
) -> Updates:
    """Show a comparison; while the texts grow, only them and what is known from the start."""
    heads = [speak(language, "compare.a"), speak(language, "compare.b")]
    texts = texts_html(heads, cue, found.texts)
    shown: Updates = {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, engine, found))}</p>",
        panel.texts: section(language, "compare.texts", "compare.texts_note", texts),
    }
    if is_end:
        lists = (found.expectations.only_first, found.expectations.only_second)
        names = [speak(language, "compare.only_a"), speak(language, "compare.only_b")]
        movers = movers_html(engine, names, lists, heads)
        shown[panel.movers] = section(language, "compare.movers", None, movers)
        shown |= fill_card(
            language, panel.card, "likeness", likeness_figure(found.likeness),
            Words(
                speak(language, "compare.figure_reading"), likeness_facts(language, found.likeness)
            ),
            *likeness_rows(found.likeness),
        )  # fmt: skip
    return shown


def likeness_rows(found: Likeness) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Write the figure's numbers: header and rows, one a layer."""
    header = (
        "layer", "memory: cosine", "memory: distance (mean lengths)",
        "last token's trace: cosine", "last token's trace: distance (mean lengths)",
    )  # fmt: skip
    columns = np.stack(list(vars(found).values()), axis=1)
    return header, [(n + 1, *(f"{x:.6g}" for x in row)) for n, row in enumerate(columns)]


def findings(language: str, engine: Engine, found: Comparison) -> str:
    """Say in two sentences how alike the memories are and what they expect."""
    alike, expected = found.likeness, found.expectations
    cosine = alike.memory_cosine
    if not np.isfinite(cosine).any():
        alike_text = speak(language, "compare.alike_empty")
    elif not alike.memory_distance.any():
        alike_text = speak(language, "compare.alike_same")
    else:
        near, far = int(np.nanargmax(cosine)), int(np.nanargmin(cosine))
        alike_text = speak(
            language,
            "compare.alike_most" if near != far else "compare.alike_one",
            near=near + 1, near_cosine=f"{cosine[near]:.2f}",
            far=far + 1, far_cosine=f"{cosine[far]:.2f}",
        )  # fmt: skip
    level = kl_level(expected.kl_bits)
    movers = [*expected.only_first[:1], *expected.only_second[:1]]
    said = [
        speak(
            language, "compare.mover", word=word_of(engine, mover.id),
            before=percent(mover.before), after=percent(mover.after),
        )
        for mover in (movers if level != "none" else [])
    ]  # fmt: skip
    return speak(
        language, "compare.found", alike=alike_text,
        kl=speak(language, f"compare.kl_{level}", bits=kl_text(expected.kl_bits)),
        movers=" ".join(said) or speak(language, "compare.no_mover"),
    )  # fmt: skip


def _lay_out(shelf: gr.State) -> tuple[Panel, list[tuple[gr.Button, tuple[str, ...]]]]:
    gr.HTML(say("compare.intro"), elem_classes="inspector-intro")
    with gr.Row(elem_classes=["chips", "study-chips"]):
        starts: list[tuple[gr.Button, tuple[str, ...]]] = [
            (
                gr.Button(say_title(pair.title), size="sm"),
                (MY_TEXT, pair.a, MY_TEXT, pair.b, pair.cue),
            )
            for pair in experiments().compare
        ]
    with gr.Row(elem_classes="study-pair"):
        with gr.Column(min_width=280):
            a = lay_out_source(shelf, "compare-a", "compare.a", "compare.a_info")
        with gr.Column(min_width=280):
            b = lay_out_source(shelf, "compare-b", "compare.b", "compare.b_info")
    cue = lay_out_cue("compare", "compare.cue")
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("compare.go"), variant="primary", elem_id="compare-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="compare-stop")
    writing = lay_out_writing()
    status = gr.HTML(status_line(), elem_id="compare-status")
    empty = gr.HTML(say("compare.empty"), elem_classes="study-empty", elem_id="compare-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="compare-results"):
        found, texts = gr.HTML(elem_classes="findings"), gr.HTML(elem_classes="study-section")
        movers = gr.HTML(elem_classes="study-section")
        card = lay_out_card("likeness")
    controls = Controls(go, stop, status)
    return Panel(a, b, cue, writing, controls, empty, found, texts, movers, card), starts
