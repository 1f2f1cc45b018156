"""One reading of a text as views: each a figure, a sentence that is true of it, and its numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rwkv_core import inspection
from rwkv_core.config import ModelConfig
from rwkv_core.inspection import Floats
from rwkv_core.recording import Recording
from ui import plots, readings
from ui.plots import Figure
from ui.word_strip import visible

MAX_COLUMNS = 512
# The order on the page; the first takes the whole width.
VIEW_NAMES = ("filling", "surprise", "change", "layers", "heads", "forgetting", "size")


@dataclass(frozen=True, eq=False)
class View:
    """What one card of the inspector shows.

    Attributes:
        figure: the drawing.
        reading: one or two sentences that say what is to be seen.
        numbers: the figure's numbers as CSV, units in the header.
    """

    figure: Figure
    reading: str
    numbers: str


def views(recording: Recording, texts: Sequence[str], config: ModelConfig) -> dict[str, View]:
    """Make every view of one reading, by name.

    Args:
        recording: what was measured over T tokens.
        texts: the T tokens' texts, whitespace included.
        config: sizes of the model that read.
    """
    labels = [visible(text) for text in texts]
    made = (
        _filling_view(recording, labels),
        _surprise_view(recording, texts, labels),
        _change_view(recording, texts, labels),
        _layers_view(recording),
        _heads_view(recording),
        _forgetting_view(recording, config),
        _size_view(config, len(texts)),
    )
    return dict(zip(VIEW_NAMES, made, strict=True))


def _filling_view(recording: Recording, labels: Sequence[str]) -> View:
    norms = recording.state_norm
    columns, stride = inspection.strided_columns(norms.shape[1], MAX_COLUMNS)
    return View(
        plots.filling_figure(norms, labels, columns),
        readings.filling_reading(recording, stride),
        _by_token_and_layer(norms, labels, "size of memory (Frobenius norm)"),
    )


def _surprise_view(recording: Recording, texts: Sequence[str], labels: Sequence[str]) -> View:
    bits = recording.surprise_bits
    columns, stride = inspection.peak_columns(bits, MAX_COLUMNS)
    rows = zip(_positions(bits), labels, _cells(bits), strict=True)
    return View(
        plots.surprise_figure(bits, labels, columns, stride),
        readings.surprise_reading(recording, texts) + _thinned(stride),
        _csv(("position (token)", "token", "surprise (bits)"), rows),
    )


def _change_view(recording: Recording, texts: Sequence[str], labels: Sequence[str]) -> View:
    change = inspection.change_per_token(recording)
    filling = inspection.filling_tokens(recording)
    columns, stride = inspection.peak_columns(change, MAX_COLUMNS)
    relative = inspection.relative_change(recording)
    return View(
        plots.change_figure(change, labels, columns, stride, filling=filling),
        readings.change_reading(recording, texts) + _thinned(stride),
        _by_token_and_layer(relative, labels, "change (share of the memory before)"),
    )


def _layers_view(recording: Recording) -> View:
    norms = inspection.layer_norms(recording.head_norm)
    return View(
        plots.layers_figure(norms),
        readings.layers_reading(recording.head_norm),
        _csv(("layer", "size of memory (Frobenius norm)"), enumerate(_cells(norms), start=1)),
    )


def _heads_view(recording: Recording) -> View:
    norms = recording.head_norm
    rows = (
        (layer + 1, head + 1, _cell(float(norms[layer, head])))
        for layer, head in np.ndindex(norms.shape)
    )
    return View(
        plots.heads_figure(norms),
        readings.heads_reading(norms),
        _csv(("layer", "head", "size of memory (Frobenius norm)"), rows),
    )


def _forgetting_view(recording: Recording, config: ModelConfig) -> View:
    half_life = inspection.half_life_tokens(recording.log_decay)
    rows = (
        (layer + 1, head + 1, channel + 1, _cell(float(half_life[layer, head, channel])))
        for layer, head, channel in np.ndindex(half_life.shape)
    )
    return View(
        plots.forgetting_figure(half_life.reshape(len(half_life), -1)),
        readings.forgetting_reading(recording.log_decay, is_erasing=config.is_erasing),
        _csv(("layer", "head", "channel", "half-life (tokens)"), rows),
    )


def _size_view(config: ModelConfig, tokens: int) -> View:
    sizes = (config.state_bytes, config.n_layer, config.n_embd)
    read = range(1, tokens + 1)
    rows = (
        (t, sizes[0], inspection.kv_cache_bytes(config.n_layer, config.n_embd, t)) for t in read
    )
    header = ("text read (tokens)", "this memory (bytes)", "transformer, calculated (bytes)")
    return View(
        plots.size_figure(*sizes, tokens),
        readings.size_reading(*sizes, tokens),
        _csv(header, rows),
    )


def _thinned(stride: int) -> str:
    return f" Each bar is the tallest of {stride} tokens." if stride > 1 else ""


def _by_token_and_layer(values: Floats, labels: Sequence[str], quantity: str) -> str:
    header = ("position (token)", "token", *(f"layer {i + 1}: {quantity}" for i in range(len(values))))  # fmt: skip
    rows = ((t + 1, label, *_cells(values[:, t])) for t, label in enumerate(labels))
    return _csv(header, rows)


def _csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue()


def _harmless(cell: object) -> object:
    """Keep a spreadsheet from running a token such as "=" as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@" and cell else cell


def _positions(values: Floats) -> range:
    return range(1, len(values) + 1)


def _cells(values: Floats) -> list[float | None]:
    return [_cell(value) for value in values]


def _cell(value: float) -> float | None:
    """Round to six digits, more than float32 holds honestly; nothing where nothing was measured."""
    return None if np.isnan(value) else float(f"{value:.6g}")
