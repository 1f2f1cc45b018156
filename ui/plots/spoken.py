"""Figures in the visitor's language: what the page wrote is put into words, what it read is not.

Texts are found by their English form in presets/words/figure.toml. In arrays, beside tokens of a
text, only what a figure made a `Sentence` is the page's own.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from presets.words import FIGURES, speak, words
from rwkv_core.errors import Sentence
from ui.plots.look import Figure

# Ends hover texts that do not name their trace.
_UNNAMED = "<extra></extra>"
_OF_TRACES = ("name", "hovertemplate", "colorbar.title.text", "marker.colorbar.title.text")


def spoken(figure: Figure, language: str) -> Figure:
    """Put a figure into words.

    Args:
        figure: as ui.plots makes it, in English; it stays as it is.
        language: the visitor's.

    Returns:
        The same figure for English, else a copy.
    """
    if language not in words() or language == "en":
        return figure
    said = Figure(figure)
    for part, path in _texts(said):
        part[path] = in_words(part[path], language)
    for trace in said.data:
        if isinstance(trace["customdata"], list | tuple):
            trace["customdata"] = _entries(trace["customdata"], language)
    return said


def in_words(text: str, language: str) -> str:
    """Say a text of a figure in a language; what no file knows stays as it is.

    Args:
        text: in English, such as a title or a hover text; blanks around it stay.
        language: the visitor's.
    """
    core = text.removesuffix(_UNNAMED).strip()
    for key, form in _forms().items():
        if found := form.fullmatch(core):
            values = {name: in_words(value, language) for name, value in found.groupdict().items()}
            return text.replace(core, speak(language, key, **values), 1)
    return text


def _texts(figure: Figure) -> Iterator[tuple[Any, str]]:
    """Every text that is the page's own: what holds it, and where."""
    layout = figure.layout
    places = [(trace, path) for trace in figure.data for path in _OF_TRACES if path in trace]
    axes = (*figure.select_xaxes(), *figure.select_yaxes())
    places += [(part, "title.text") for part in (layout, layout.legend, *axes)]
    places += [(note, "text") for note in layout.annotations]
    for part, path in places:
        if isinstance(part[path], str):
            yield part, path


def _entries(given: Any, language: str) -> Any:
    """Put an array's sentences into words; their values may be sentences too, or words read."""
    if isinstance(given, list | tuple):
        return [_entries(entry, language) for entry in given]
    if isinstance(given, Sentence) and (key := _keys().get(given.form)):
        values = {name: _entries(value, language) for name, value in given.values.items()}
        return speak(language, key, **values)
    return given


@cache
def _keys() -> Mapping[str, str]:
    """Keys of what figures say, by its English form."""
    return {text: key for key, text in words()["en"].items() if key.startswith(FIGURES)}


@cache
def _forms() -> Mapping[str, re.Pattern[str]]:
    """By key, what finds a text and the values in its places; no place holds a part of Plotly's."""
    return {
        key: re.compile(
            "".join(
                re.escape(literal) + (f"(?P<{name}>[^{{}}]+?)" if name else "")
                for literal, name, _, _ in string.Formatter().parse(text)
            )
        )
        for text, key in _keys().items()
    }
