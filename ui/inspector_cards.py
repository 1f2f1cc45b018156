"""Cards of the inspector: a figure, what it says, and its numbers to take away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from presets.words import translated
from ui import plots
from ui.inspector_views import View
from ui.plots.spoken import spoken
from ui.readings import Words
from ui.words import say

Updates = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class Card:
    """Where one view is shown."""

    plot: gr.Plot
    words: gr.HTML
    numbers: gr.DownloadButton
    figure: gr.DownloadButton


def parts_of(cards: Iterable[Card]) -> list[Any]:
    """Every component of some cards."""
    return [part for card in cards for part in vars(card).values()]


def lay_out_cards(names: Sequence[str], *, wide: Iterable[str] = ()) -> dict[str, Card]:
    """Lay out cards in pairs, those that need the room alone in a row.

    Args:
        names: of the views, in order.
        wide: names of those alone in a row, which scroll inside their frame on a phone.
    """
    cards: dict[str, Card] = {}
    waiting: list[str] = []
    for name in names:
        if name in wide:
            cards |= _row(waiting)
            waiting = []
            cards[name] = _card(name, is_wide=True)
        elif waiting:
            cards |= _row([*waiting, name])
            waiting = []
        else:
            waiting = [name]
    cards |= _row(waiting)
    return {name: cards[name] for name in names}


def show_view(card: Card, view: View, folder: Path, name: str, language: str) -> Updates:
    """Fill one card.

    Args:
        card: where it is shown.
        view: what to show.
        folder: where to write its numbers and its figure.
        name: of the files.
        language: the visitor's; the numbers keep their English header, as programs read them.
    """
    has_figure = view.figure is not None
    shown: Updates = {card.words: words_html(view.words, view.title, language)}
    if view.figure is not None:
        drawn = spoken(view.figure, language)
        csv, figure = folder / f"{name}.csv", folder / f"{name}.json"
        csv.write_text(view.numbers, encoding="utf-8")
        figure.write_text(drawn.to_json(), encoding="utf-8")
        shown[card.plot] = gr.update(value=plot_data(drawn), visible=True)
        shown[card.numbers] = gr.update(value=str(csv), visible=True)
        shown[card.figure] = gr.update(value=str(figure), visible=True)
    else:
        hidden = gr.update(visible=has_figure)
        shown |= dict.fromkeys((card.plot, card.numbers, card.figure), hidden)
    return shown


def words_html(words: Words, title: str, language: str) -> str:
    """Say what a figure shows, for those who see it and for those who do not."""

    def said(text: str) -> str:
        return escape(translated(language, text))

    facts = "".join(f"<li>{said(fact)}</li>" for fact in words.facts)
    strange = f'<p class="strange">{said(words.strange)}</p>' if words.strange else ""
    return (
        (f"<h3>{said(title)}</h3>" if title else "")
        + f"<p>{said(words.caption)}</p>"
        + (f'<ul class="facts">{facts}</ul>' if facts else "")
        + strange
    )


def plot_data(figure: plots.Figure) -> PlotData:
    """Hand a figure to the page without Plotly's row of buttons, which gr.Plot cannot say."""
    return PlotData(
        type="plotly", plot=json.dumps({**json.loads(figure.to_json()), "config": plots.CONFIG})
    )


def _row(names: Sequence[str]) -> dict[str, Card]:
    if not names:
        return {}
    with gr.Row(equal_height=True):
        return {name: _card(name) for name in names}


def _card(name: str, *, is_wide: bool = False) -> Card:
    classes = ["figure-card", "is-wide"] if is_wide else ["figure-card"]
    with gr.Column(elem_classes=classes, min_width=320):
        plot = gr.Plot(show_label=False, container=False, elem_id=f"inspector-{name}")
        words = gr.HTML()
        with gr.Row(elem_classes="take-away"):
            csv = _download("csv")
            figure = _download("json")
    return Card(plot, words, csv, figure)


def _download(form: str) -> gr.DownloadButton:
    label: Any = say(f"inspector.{form}")  # as any other label, though its type says str
    return gr.DownloadButton(label, size="sm", elem_classes=f"take-{form}")
