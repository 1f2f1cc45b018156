"""What Change shows: sentences that are true of a trial, texts, words, and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.inspection.editing import Edit, Gain, KeepSlow, Noise, ZeroHead, ZeroLayer
from rwkv_core.inspection.trial import Trial
from ui.components import percent, status_line
from ui.inspector_change_layout import Panel
from ui.plots.comparison import changed_figure
from ui.readings import Words
from ui.studies import Updates
from ui.study_cards import fill_card
from ui.study_facts import changed_facts
from ui.study_parts import kl_level, kl_text, movers_html, section, texts_html, word_of

# Two divergences closer than this, in bits, count as equal.
AS_NEAR_BITS = 0.05


def edits_line(language: str, edits: Sequence[Edit]) -> str:
    """Say which changes there are."""
    if not edits:
        return status_line(speak(language, "change.no_edits"))
    said = ", ".join(edit_text(language, edit) for edit in edits)
    return status_line(speak(language, "change.edits", edits=said))


def edit_text(language: str, edit: Edit) -> str:
    """Say what one change does; layers and heads counted from 1."""
    match edit:
        case ZeroLayer(layer):
            return speak(language, "change.edit_layer", layer=layer + 1)
        case ZeroHead(layer, head):
            return speak(language, "change.edit_head", layer=layer + 1, head=head + 1)
        case KeepSlow(tokens):
            return speak(language, "change.edit_slow", tokens=f"{tokens:g}")
        case Gain(factor):
            return speak(language, "change.edit_gain", factor=f"{factor:g}")
        case Noise(strength, seed):
            return speak(language, "change.edit_noise", strength=f"{strength:g}", seed=seed)


def render(
    language: str,
    engine: Engine,
    panel: Panel,
    found: Trial,
    cue: str,
    names: Sequence[str],
    share: float | None,
    *,
    is_end: bool,
) -> Updates:
    """Show a trial; while the texts grow, only them and what is known from the start.

    Args:
        language: of the visitor.
        engine: gives the words.
        panel: where things are shown.
        found: what the change did.
        cue: what all have read last.
        names: of the sources.
        share: of B, in a plain blend of two; None for anything else.
        is_end: whether it is complete.
    """
    heads = [speak(language, "change.plain", name=name) for name in names]
    texts = texts_html(
        [*heads, speak(language, "change.changed")], cue, found.texts or [""] * (len(names) + 1),
        strong=len(names),
    )  # fmt: skip
    shown: Updates = {
        panel.empty: gr.update(visible=False),
        panel.found: f"<p>{escape(findings(language, engine, found, share))}</p>",
        panel.texts: section(language, "change.texts", "change.texts_note", texts),
    }
    if is_end:
        lists = (found.expectations.only_first, found.expectations.only_second)
        sides = [speak(language, "change.less"), speak(language, "change.more")]
        pair = [speak(language, "change.before"), speak(language, "change.after")]
        movers = movers_html(engine, sides, lists, pair)
        shown[panel.movers] = section(language, "change.movers", None, movers)
        header = ("layer", "distance from A (mean lengths)", "cosine with A")
        rows = (
            (n + 1, f"{d:.6g}", f"{c:.6g}")
            for n, (d, c) in enumerate(
                zip(found.likeness.memory_distance, found.likeness.memory_cosine, strict=True)
            )
        )
        shown |= fill_card(
            language, panel.card, "changed", changed_figure(found.likeness),
            Words(
                speak(language, "change.figure_reading"), changed_facts(language, found.likeness)
            ),
            header, rows,
        )  # fmt: skip
    return shown


def findings(language: str, engine: Engine, found: Trial, share: float | None) -> str:
    """Say in two sentences what a change did to the next word."""
    expected = found.expectations
    level = kl_level(expected.kl_bits)
    movers = [*expected.only_first[:1], *expected.only_second[:1]] if level != "none" else []
    said = " ".join(
        speak(
            language, "change.mover", word=word_of(engine, mover.id),
            before=percent(mover.before), after=percent(mover.after),
        )
        for mover in movers
    )  # fmt: skip
    if share is None:
        return speak(
            language, "change.found_edit", kl=kl_text(expected.kl_bits),
            level=speak(language, f"change.level_{level}"), movers=said,
        ).strip()  # fmt: skip
    to_a, to_b = found.kl_bits[:2]
    nearer = "both" if abs(to_a - to_b) < AS_NEAR_BITS else "a" if to_a < to_b else "b"
    return speak(
        language, "change.found_blend", share=f"{100 * share:.0f}", kl_a=kl_text(to_a),
        kl_b=kl_text(to_b), nearer=speak(language, f"change.nearer_{nearer}"), movers=said,
    ).strip()  # fmt: skip
