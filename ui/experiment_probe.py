"""How long does it remember? The memory probe: plant a fact, read on, ask."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from presets.experiments import experiments
from presets.texts import public_text
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.inspection.probe import (
    MAX_ANSWERS,
    Probe,
    Question,
    gained_bits,
    kept_tokens,
    probe_memory,
    probe_tokens,
    right_bits,
    right_choices,
    spaced_distances,
)
from rwkv_core.streams import WorkJob
from ui.components import status_line
from ui.inspector_cards import Card
from ui.plots.experiments import CHOICE_TITLE, choice_figure, recall_figure
from ui.readings import Words
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.studies import Controls, Updates, in_language, run_study
from ui.study_cards import empty_card, fill_card, lay_out_card
from ui.study_facts import choice_facts, recall_facts
from ui.words import say, say_title

# Commas of the languages of the page.
COMMAS = "[,\uff0c\u3001]"
LIMITS = (256, 1024, 4096)
ALICE, OWN = "alice", "own"
MAX_FIELD_TOKENS = 256


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the probe."""

    fact: gr.Textbox
    answers: gr.Textbox
    question: gr.Textbox
    filler: gr.Radio
    own: gr.Textbox
    limit: gr.Radio
    controls: Controls
    empty: gr.HTML
    found: gr.HTML
    recall: Card
    choice: Card

    @property
    def inputs(self) -> list[Any]:
        """In the order of `probe`."""
        return [self.fact, self.answers, self.question, self.filler, self.own, self.limit]

    @property
    def outputs(self) -> list[Any]:
        """Every component that a probe may change."""
        cards = [*vars(self.recall).values(), *vars(self.choice).values()]
        return [*vars(self.controls).values(), self.empty, self.found, *cards]


def build_probe(engine: Engine, visitor: gr.State) -> None:
    """Lay out the probe and wire it; see build_experiment."""
    running = RunningStreams()
    panel, starts = lay_out()
    run: dict[str, Any] = {
        "fn": in_language(partial(probe, engine, panel, running)),
        "inputs": [visitor, *panel.inputs],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }
    panel.controls.go.click(**run)
    filled = [panel.fact, panel.answers, panel.question]
    for button, values in starts:
        button.click(partial(tuple, values), None, filled, **QUIET_EVENT).success(**run)
    panel.filler.change(show_own, panel.filler, panel.own, **QUIET_EVENT)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)


def show_own(filler: str) -> dict[str, Any]:
    """Show the box for an own text only where it is read."""
    return gr.update(visible=filler == OWN)


async def probe(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Run the probe and show recall against distance, while it grows.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        values: fact, answers, question, which filler, an own one, and the largest distance.
    """
    # A box that was never shown holds nothing at all.
    fact, answers, question = (value or "" for value in values[:3])
    filler, own, limit = values[3], values[4] or "", values[5]

    def begin() -> WorkJob[Probe]:
        asked = make_question(language, engine, fact, answers, question)
        distances = spaced_distances(checked_limit(limit))
        between = filler_ids(language, engine, filler, own, distances[-1])
        opening = (engine.tokenizer.end_of_text,)
        return engine.study(
            visitor,
            lambda lab: probe_memory(lab, opening, asked, between, distances),
            probe_tokens(asked, distances),
        )

    def show(found: Probe, _is_end: bool) -> Updates:
        return render(language, panel, found)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


def make_question(
    language: str, engine: Engine, fact: str, answers: str, question: str
) -> Question:
    """Turn the three boxes into tokens.

    Raises:
        InputError: something is empty or too long, or the answers do not fit the fact.
    """
    words = [word.strip() for word in re.split(COMMAS, answers)]
    words = [word for word in words if word]
    if not fact.strip() or not words or not question.strip():
        raise InputError(speak(language, "experiment.needs_all"))
    if len(words) > MAX_ANSWERS:
        raise InputError(
            speak(language, "experiment.too_many_answers", count=len(words), limit=MAX_ANSWERS)
        )
    if len(words) > 1 and "{}" not in fact:
        raise InputError(speak(language, "experiment.needs_place"))
    question = question.rstrip()
    # English has a blank before the answer; scripts without blanks have none.
    blank = " " if question.isascii() else ""
    made = Question(
        tuple(tuple(engine.encode(fact.replace("{}", word))) for word in words),
        tuple(tuple(engine.encode(blank + word)) for word in words),
        tuple(engine.encode(question)),
    )
    longest = max(map(len, (*made.facts, *made.answers, made.ask)))
    if longest > MAX_FIELD_TOKENS:
        what = speak(language, "study.the_text")
        raise InputError(
            speak(language, "study.too_long", what=what, count=longest, limit=MAX_FIELD_TOKENS)
        )
    return made


def checked_limit(limit: Any) -> int:
    """Take one of the offered distances.

    Raises:
        InputError: it is none of them.
    """
    if limit not in LIMITS:
        raise InputError(
            "the distance is {limit}; choose one of {known}",
            limit=limit,
            known=", ".join(map(str, LIMITS)),
        )
    return int(limit)


def filler_ids(language: str, engine: Engine, filler: str, own: str, count: int) -> tuple[int, ...]:
    """Turn what is read in between into so many tokens.

    Raises:
        InputError: the visitor's text is shorter.
    """
    # A token has 32 bytes at most in the vocabularies that matter, and 3 or 4 on average.
    text = "\n\n" + (own if filler == OWN else public_text()[: 32 * count])
    ids = tuple(engine.encode(text))
    if len(ids) < count:
        raise InputError(
            speak(language, "experiment.short_filler", count=f"{len(ids):,}", limit=f"{count:,}")
        )
    return ids[:count]


def render(language: str, panel: Panel, found: Probe) -> Updates:
    """Show what is known of the recall."""
    shown: Updates = {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, found))}</p>",
    }
    shown |= fill_card(
        language, panel.recall, "recall", recall_figure(found),
        Words(speak(language, "experiment.probe_reading"), recall_facts(language, found)),
        *recall_rows(found),
    )  # fmt: skip
    if found.told_bits.shape[-1] > 1:
        header = ("filler (tokens)", "right choices (share)", "chance (share)")
        chance = f"{1 / found.told_bits.shape[-1]:.6g}"
        rows = [
            (int(d), f"{share:.6g}", chance)
            for d, share in zip(found.distances, right_choices(found), strict=True)
        ]
        shown |= fill_card(
            language, panel.choice, "choice", choice_figure(found),
            Words(speak(language, "experiment.choice_reading"), choice_facts(language, found)),
            header, rows,
        )  # fmt: skip
    else:
        # The figure there may be another question's.
        why = Words(speak(language, "experiment.choice_of_one"))
        shown |= empty_card(language, panel.choice, why, CHOICE_TITLE)
    return shown


def recall_rows(found: Probe) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Write the numbers of every answer at every distance: header and rows."""
    header = (
        "filler (tokens)", "answer", "told: log2 probability", "not told: log2 probability",
        "told: rank of its first token", "not told: rank of its first token",
    )  # fmt: skip
    right = right_bits(found)
    rows: list[tuple[object, ...]] = [
        (
            int(found.distances[d]), w + 1, f"{right[d, w]:.6g}",
            f"{found.control_bits[d, w]:.6g}", int(found.told_rank[d, w]),
            int(found.control_rank[d, w]),
        )
        for d, w in np.ndindex(right.shape)
    ]  # fmt: skip
    return header, rows


def findings(language: str, found: Probe) -> str:
    """Say how far the fact lasts, and how well the answers are told apart."""
    kept = kept_tokens(found)
    if kept is None:
        said = speak(language, "experiment.probe_never")
    else:
        at = int(np.flatnonzero(found.distances == kept)[0])
        times = 2 ** float(gained_bits(found)[at])
        said = speak(
            language, "experiment.probe_kept", tokens=f"{kept:,}",
            times=f"{times:,.0f}" if times >= 10 else f"{times:.1f}",
        )  # fmt: skip
        if at + 1 == len(found.distances):
            said += " " + speak(language, "experiment.probe_all")
        else:
            gone = f"{int(found.distances[at + 1]):,}"
            said += " " + speak(language, "experiment.probe_lost", tokens=gone)
    count = found.told_bits.shape[-1]
    if count > 1:
        choices = right_choices(found)
        said += " " + speak(
            language, "experiment.probe_choice", count=count, near=f"{100 * choices[0]:.0f} %",
            far=f"{100 * choices[-1]:.0f} %", tokens=f"{int(found.distances[-1]):,}",
            chance=f"{100 / count:.0f} %",
        )  # fmt: skip
    return said


def lay_out() -> tuple[Panel, list[tuple[gr.Button, tuple[str, ...]]]]:
    """Lay the probe out; each example is a button and the values of the three boxes."""
    gr.HTML(say("experiment.probe_intro"), elem_classes="inspector-intro")
    with gr.Row(elem_classes=["chips", "study-chips"]):
        starts: list[tuple[gr.Button, tuple[str, ...]]] = [
            (gr.Button(say_title(f.title), size="sm"), (f.fact, ", ".join(f.answers), f.question))
            for f in experiments().probe
        ]
    with gr.Row(elem_classes="study-pair"):
        fact = _box("fact")
        question = _box("question")
    answers = _box("answers", lines=1)
    with gr.Row(elem_classes="study-pair"):
        filler = gr.Radio(
            [(say("experiment.alice"), ALICE), (say("experiment.own"), OWN)], value=ALICE,
            label=say("experiment.filler"), info=say("experiment.filler_info"),
            elem_classes="segmented", elem_id="probe-filler",
        )  # fmt: skip
        limit = gr.Radio(
            [(f"{limit:,}", limit) for limit in LIMITS], value=LIMITS[0],
            label=say("experiment.limit"), info=say("experiment.limit_info"),
            elem_classes="segmented", elem_id="probe-limit",
        )  # fmt: skip
    own = gr.Textbox(
        label=say("experiment.own_filler"), info=say("experiment.own_filler_info"), lines=4,
        max_lines=8, visible=False, elem_classes="study-text", elem_id="probe-own",
    )  # fmt: skip
    with gr.Row(elem_classes="actions"):
        go = gr.Button(say("experiment.run_probe"), variant="primary", elem_id="probe-go")
        stop = gr.Button(say("study.stop"), variant="stop", visible=False, elem_id="probe-stop")
    status = gr.HTML(status_line(), elem_id="probe-status")
    empty = gr.HTML(say("experiment.probe_empty"), elem_classes="study-empty")
    with gr.Column(elem_classes="inspector-results", elem_id="probe-results"):
        found = gr.HTML(elem_classes="findings")
        recall, choice = lay_out_card("recall"), lay_out_card("choice")
    controls = Controls(go, stop, status)
    return Panel(
        fact, answers, question, filler, own, limit, controls, empty, found, recall, choice
    ), starts  # fmt: skip


def _box(name: str, lines: int = 3) -> gr.Textbox:
    return gr.Textbox(
        label=say(f"experiment.{name}"), info=say(f"experiment.{name}_info"), lines=lines,
        max_lines=6, elem_classes="study-text", elem_id=f"probe-{name}",
    )  # fmt: skip
