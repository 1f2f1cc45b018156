"""One reading of a text as views: each a figure, sentences that are true of it, its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rwkv_core import inspection
from rwkv_core.config import ModelConfig
from rwkv_core.errors import Sentence
from rwkv_core.recording import Recording
from ui import plots, readings
from ui.inspector_numbers import by_index, by_token_and_layer, cells, csv_text
from ui.plots import Figure
from ui.readings import Words, paragraph
from ui.word_strip import visible

MAX_COLUMNS = 512
# The order on the page; the first takes the whole width.
VIEW_NAMES = ("filling", "change", "surprise", "forgetting", "size")


@dataclass(frozen=True, eq=False)
class View:
    """What one card of the inspector shows.

    Attributes:
        figure: the drawing; None where there is nothing to draw, and the words say why.
        words: how to read it, and what is to be seen.
        numbers: the figure's numbers as CSV, units in the header; "" without a figure.
        title: the question, where no figure asks it.
    """

    figure: Figure | None
    words: Words
    numbers: str = ""
    title: str = ""

    @property
    def reading(self) -> str:
        """All that is said beside the figure."""
        return self.words.text


def views(recording: Recording, texts: Sequence[str], config: ModelConfig) -> dict[str, View]:
    """Make the views of a first look at one reading, by name.

    Args:
        recording: what was measured over T tokens.
        texts: the T tokens' texts, whitespace included.
        config: sizes of the model that read.
    """
    labels = [visible(text) for text in texts]
    made = (
        _filling_view(recording, labels),
        _change_view(recording, texts, labels, config),
        _surprise_view(recording, texts, labels),
        _forgetting_view(recording, texts, config),
        _size_view(config, len(texts)),
    )
    return dict(zip(VIEW_NAMES, made, strict=True))


def figure_labels(labels: Sequence[str]) -> list[str]:
    """Write tokens so that a figure shows them as they are: Plotly knows a little HTML."""
    return [label.replace("&", "&amp;").replace("<", "&lt;") for label in labels]


def _filling_view(recording: Recording, labels: Sequence[str]) -> View:
    norms = recording.state_norm
    columns, stride = inspection.strided_columns(norms.shape[1], MAX_COLUMNS)
    return View(
        plots.filling_figure(norms, figure_labels(labels), columns),
        readings.filling_words(recording, stride),
        by_token_and_layer(norms, labels, "size of memory (Frobenius norm)"),
    )


def _surprise_view(recording: Recording, texts: Sequence[str], labels: Sequence[str]) -> View:
    bits = recording.surprise_bits
    columns, stride = inspection.peak_columns(bits, MAX_COLUMNS)
    words = _thinned(readings.surprise_words(recording, texts), stride)
    if not len(columns):
        return View(None, words, title="What surprised the model?")
    rows = zip(range(1, len(bits) + 1), labels, cells(bits), strict=True)
    return View(
        plots.surprise_figure(bits, figure_labels(labels), columns, stride),
        words,
        csv_text(("position (token)", "token", "surprise (bits)"), rows),
    )


def _change_view(
    recording: Recording, texts: Sequence[str], labels: Sequence[str], config: ModelConfig
) -> View:
    change = inspection.change_per_token(recording)
    columns, stride = inspection.peak_columns(change, MAX_COLUMNS)
    is_mean = config.has_exponents
    words = readings.change_words(recording, texts, is_mean=is_mean)
    if not len(columns):
        return View(None, words, title="Which words changed the memory?")
    parts = inspection.relative_parts(recording)
    names = {"write": "new word", "fade": "given up", "erase": "erased"} if is_mean else None
    figure = plots.change_figure(
        parts,
        change,
        figure_labels(labels),
        columns,
        stride,
        filling=inspection.filling_tokens(recording),
        names=names,
    )
    relative = inspection.relative_change(recording)
    share = "(share of the memory before)"
    header = (
        "position (token)", "token", *(f"{name}, mean over layers {share}" for name in parts),
        *(f"layer {i + 1}: change {share}" for i in range(len(relative))),
    )  # fmt: skip
    rows = (
        (t + 1, label, *cells(np.array([part[t] for part in parts.values()])), *cells(relative[:, t]))
        for t, label in enumerate(labels)
    )  # fmt: skip
    return View(figure, _thinned(words, stride), csv_text(header, rows))


def _forgetting_view(recording: Recording, texts: Sequence[str], config: ModelConfig) -> View:
    half_life = inspection.half_life_tokens(recording.log_decay)
    flat = half_life.reshape(len(half_life), -1)
    aged = words_of_age(np.median(flat, axis=1), texts)
    return View(
        plots.forgetting_figure(flat, figure_labels(aged)),
        readings.forgetting_words(recording.log_decay, is_erasing=config.is_erasing, aged=aged),
        by_index(half_life, ("layer", "head", "channel"), "half-life (tokens)"),
    )


def words_of_age(ages_tokens: inspection.Floats, texts: Sequence[str]) -> list[str]:
    """Name the words that were read so many tokens before the end; "" where none was."""
    last = len(texts) - 1
    return [
        readings.word_at(texts, last - round(age)) if np.isfinite(age) and round(age) < last else ""
        for age in map(float, ages_tokens)
    ]


def _size_view(config: ModelConfig, tokens: int) -> View:
    sizes = (config.state_bytes, config.n_layer, config.n_embd)
    read = range(1, tokens + 1)
    rows = (
        (t, sizes[0], inspection.kv_cache_bytes(config.n_layer, config.n_embd, t)) for t in read
    )
    header = ("text read (tokens)", "this memory (bytes)", "transformer, calculated (bytes)")
    return View(
        plots.size_figure(*sizes, tokens),
        readings.size_words(*sizes, tokens),
        csv_text(header, rows),
    )


def _thinned(words: Words, stride: int) -> Words:
    if stride == 1:
        return words
    thinned = Sentence("Each bar is the tallest of {stride} tokens.", stride=stride)
    return words._replace(caption=paragraph(words.caption, thinned))
