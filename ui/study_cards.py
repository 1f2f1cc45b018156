"""Figures of the experiments as cards: the drawing, its reading, and its numbers to take away."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from ui.inspector_cards import Card, Updates, lay_out_cards, show_view
from ui.inspector_numbers import csv_text
from ui.inspector_views import View
from ui.plots import Figure
from ui.readings import Words


def lay_out_card(name: str) -> Card:
    """Lay out one empty card, `inspector-<name>`."""
    return lay_out_cards([name])[name]


def fill_card(
    language: str,
    card: Card,
    name: str,
    figure: Figure,
    words: Words,
    header: Sequence[str],
    rows: Iterable[Iterable[object]],
) -> Updates:
    """Show a figure with its words, and write its numbers to a file nobody can guess.

    Args:
        language: the visitor's.
        card: where it is shown.
        name: of the file.
        figure: what to show.
        words: how to read it, and facts that stand for it where it cannot be seen.
        header: of the numbers, units included.
        rows: the numbers.
    """
    folder = Path(card.numbers.GRADIO_CACHE) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    view = View(figure, words, csv_text(header, rows))
    return show_view(card, view, folder, name, language)


def empty_card(language: str, card: Card, why: Words, title: str) -> Updates:
    """Show no figure, and why, in place of what a card showed before.

    Args:
        language: the visitor's.
        card: where it is shown.
        why: what stands there instead.
        title: the question that the figure would answer.
    """
    return show_view(card, View(None, why, title=title), Path(), "", language)
