"""Views of a closer look: the whole memory, one layer and head of it, one word in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rwkv_core import inspection
from rwkv_core.config import ModelConfig
from rwkv_core.errors import Sentence
from rwkv_core.recording import LayerInputs, Recording
from ui import plots, readings
from ui.inspector_numbers import by_index, by_token_and_layer, cell, cells, csv_text
from ui.inspector_views import MAX_COLUMNS, View, figure_labels
from ui.readings import Words, word_at
from ui.word_strip import visible

MEMORY_VIEWS = ("heads", "ranks", "lasting", "gates", "sparsity")
LAYER_VIEWS = ("cell", "spectrum", "path")
WORD_VIEWS = ("life", "reading", "lens")
LENS_WORDS = 16
# How gates are called on the page.
GATE_NAMES = {
    "receptance": "receptance (size)",
    "opening": "receptance (0 to 1)",
    "gate": "output gate (size)",
    "rate": "learning rate in context (0 to 1)",
    "channel gate": "channel-mix gate (0 to 1)",
}
LIFE_TITLE = "How long does this word last?"
NO_DIRECTIONS = (
    "RWKV-4 keeps no tables: each channel holds one number, a weighted mean, so there are no "
    "directions to count."
)


@dataclass(frozen=True)
class Choice:
    """What to look at, counted from 0.

    Attributes:
        layer: which layer.
        head: which head of it.
        word: position of a token in the text.
    """

    layer: int
    head: int
    word: int


def memory_views(
    recording: Recording, texts: Sequence[str], config: ModelConfig
) -> dict[str, View]:
    """Make the views of the whole memory, by name.

    Args:
        recording: of T tokens, with spectra and activity.
        texts: the T tokens' texts, whitespace included.
        config: sizes of the model that read.
    """
    labels = [visible(text) for text in texts]
    made = (
        _heads_view(recording),
        _rank_view(recording, labels, config),
        _lasting_view(recording),
        _gates_view(recording),
        _sparsity_view(recording, labels),
    )
    return dict(zip(MEMORY_VIEWS, made, strict=True))


def layer_views(
    recording: Recording, texts: Sequence[str], config: ModelConfig, choice: Choice
) -> dict[str, View]:
    """Make the views of one layer and head, by name; the layer's inputs must be there."""
    if config.has_exponents:
        cell_view = _content_view(recording, choice)
        spectrum = _why_not("How many directions does it use?", NO_DIRECTIONS)
    else:
        cell_view, spectrum = _cell_view(recording, choice), _spectrum_view(recording, choice)
    path = _path_view(recording.layers[choice.layer], texts, choice)
    return dict(zip(LAYER_VIEWS, (cell_view, spectrum, path), strict=True))


def word_views(
    recording: Recording,
    texts: Sequence[str],
    config: ModelConfig,
    *,
    name: Callable[[int], str],
    choice: Choice,
) -> dict[str, View]:
    """Make the views of one word, by name; the layer's inputs must be there.

    Args:
        recording: of T tokens, with the lens.
        texts: the T tokens' texts, whitespace included.
        config: sizes of the model that read.
        name: text of a token id.
        choice: what to look at.
    """
    inputs = recording.layers[choice.layer]
    if choice.word < inputs.first:
        late = Sentence(
            "{word} was read before the last {tokens} tokens, and only of those the inspector "
            "keeps what this needs; choose a later word.",
            word=word_at(texts, choice.word), tokens=len(inputs.k),
        )  # fmt: skip
        life, read = _why_not(LIFE_TITLE, late), _why_not("What is it reading right now?", late)
    else:
        life = _life_view(inputs, texts, choice)
        read = _reading_view(inputs, texts, config, choice)
    lens = _lens_view(recording, texts, name, choice)
    return dict(zip(WORD_VIEWS, (life, read, lens), strict=True))


def read_shares(inputs: LayerInputs, word: int, tokens: int) -> inspection.Floats:
    """Say which share of what a layer reads at a word comes from each token.

    Args:
        inputs: of one layer.
        word: position in the text.
        tokens: length of the text.

    Returns:
        (tokens,) shares of the weights' size, mean over heads; NaN for those not kept or later.
    """
    shares = np.full(tokens, np.nan)
    if word >= inputs.first:
        sizes = np.abs(inspection.reading(inputs, word - inputs.first).weights)
        totals = sizes.sum(1, keepdims=True)
        each = np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0)
        shares[inputs.first : word + 1] = each.mean(0)
    return shares


def _why_not(title: str, why: str) -> View:
    return View(None, Words(why), title=title)


def _heads_view(recording: Recording) -> View:
    norms = recording.head_norm
    numbers = by_index(norms, ("layer", "head"), "size of memory (Frobenius norm)")
    if norms.shape[1] == 1:
        layers = inspection.layer_norms(norms)
        return View(plots.layers_figure(layers), readings.layers_words(norms), numbers)
    return View(plots.heads_figure(norms), readings.heads_words(norms), numbers)


def _rank_view(recording: Recording, labels: Sequence[str], config: ModelConfig) -> View:
    spectra = recording.spectra
    if spectra is None:
        return _why_not("How much of the notebook is used?", NO_DIRECTIONS)
    effective = inspection.effective_rank(spectra.values).mean(2)
    stable = inspection.stable_rank(spectra.values).mean(2)
    names = [labels[position] for position in spectra.positions]
    header = (
        "position (token)", "token",
        *(f"layer {i + 1}: effective rank (directions)" for i in range(config.n_layer)),
        *(f"layer {i + 1}: stable rank (directions)" for i in range(config.n_layer)),
    )  # fmt: skip
    rows = (
        (int(position) + 1, name, *cells(effective[p]), *cells(stable[p]))
        for p, (position, name) in enumerate(zip(spectra.positions, names, strict=True))
    )
    figure = plots.rank_figure(
        effective, stable, spectra.positions, figure_labels(names), config.head_size
    )
    words = readings.rank_words(effective, stable, config.head_size)
    return View(figure, words, csv_text(header, rows))


def _lasting_view(recording: Recording) -> View:
    half_life = inspection.half_life_tokens(recording.log_decay)
    flat = half_life.reshape(len(half_life), -1)
    return View(
        plots.lasting_figure(flat),
        readings.lasting_words(flat),
        by_index(half_life, ("layer", "head", "channel"), "half-life (tokens)"),
    )


def _gates_view(recording: Recording) -> View:
    by_layer = {
        GATE_NAMES[name]: values.mean(axis=1)
        for name, values in recording.activity.items()
        if name in GATE_NAMES
    }
    rows = (
        (layer + 1, *(cell(float(values[layer])) for values in by_layer.values()))
        for layer in range(len(recording.state_norm))
    )
    return View(
        plots.gates_figure(by_layer),
        readings.gates_words(by_layer),
        csv_text(("layer", *(f"{name}, mean over the text" for name in by_layer)), rows),
    )


def _sparsity_view(recording: Recording, labels: Sequence[str]) -> View:
    active = recording.activity["active"]
    columns, _ = inspection.strided_columns(active.shape[1], MAX_COLUMNS)
    return View(
        plots.sparsity_figure(active, figure_labels(labels), columns),
        readings.sparsity_words(active),
        by_token_and_layer(active, labels, "units above zero (share)"),
    )


def _matrix(recording: Recording, choice: Choice) -> inspection.Floats:
    matrix: inspection.Floats = inspection.wkv_array(recording.state)[choice.layer, choice.head]
    return matrix


def _cell_view(recording: Recording, choice: Choice) -> View:
    matrix, norms = _matrix(recording, choice), np.square(recording.head_norm[choice.layer])
    share = float(norms[choice.head] / norms.sum()) if norms.sum() > 0 else 0.0
    return View(
        plots.cell_figure(matrix),
        readings.cell_words(matrix, choice.layer, choice.head, share),
        by_index(matrix, ("answer (value channel)", "question (key channel)"), "strength"),
    )


def _content_view(recording: Recording, choice: Choice) -> View:
    wkv = recording.state.wkv[choice.layer, 0].numpy()
    content = inspection.wkv_array(recording.state)[choice.layer].ravel()
    mass = inspection.log_mass(wkv)
    rows = zip(range(1, len(content) + 1), cells(content), cells(mass), strict=True)
    return View(
        plots.content_figure(content, mass),
        readings.content_words(content, mass, choice.layer),
        csv_text(("channel", "content (mean)", "log of the weight behind it"), rows),
    )


def _spectrum_view(recording: Recording, choice: Choice) -> View:
    values = inspection.singular_values(_matrix(recording, choice))
    effective = float(inspection.effective_rank(values))
    return View(
        plots.spectrum_figure(values, effective),
        readings.spectrum_words(values, effective, float(inspection.stable_rank(values))),
        by_index(values, ("direction",), "singular value"),
    )


def _path_view(inputs: LayerInputs, texts: Sequence[str], choice: Choice) -> View:
    if len(inputs.k) < 3:
        return _why_not(
            "Where does the memory wander?",
            "A way needs at least three words; read a longer text.",
        )
    way = inspection.path(inputs)
    positions = way.positions + inputs.first
    labels = [visible(texts[position]) for position in positions]
    rows = (
        (int(position) + 1, label, *cells(place))
        for position, label, place in zip(positions, labels, way.places, strict=True)
    )
    return View(
        plots.path_figure(way.places, way.explained, positions, figure_labels(labels)),
        readings.path_words(way.explained, choice.layer, way.places),
        csv_text(("position (token)", "token", "main direction", "second direction"), rows),
    )


def _life_view(inputs: LayerInputs, texts: Sequence[str], choice: Choice) -> View:
    token = choice.word - inputs.first
    heads = inspection.remaining(inputs, token)
    if heads.shape[1] < 2:
        return _why_not(
            LIFE_TITLE,
            "This is the last word: nothing was read after it that could wear its trace away; "
            "choose an earlier one.",
        )
    layer = inspection.remaining_in_layer(inputs, token)
    kind = "channel" if inputs.r is None else "head"
    labels = [visible(text) for text in texts[choice.word :]]
    header = ("tokens later", "token", "left in the layer (share)", *(f"{kind} {h + 1}: left (share)" for h in range(len(heads))))  # fmt: skip
    rows = (
        (age, label, cell(float(layer[age])), *cells(heads[:, age]))
        for age, label in enumerate(labels)
    )
    return View(
        plots.life_figure(heads, layer, choice.word),
        readings.life_words(layer, heads, word_at(texts, choice.word), choice.layer),
        csv_text(header, rows),
    )


def _reading_view(
    inputs: LayerInputs, texts: Sequence[str], config: ModelConfig, choice: Choice
) -> View:
    found = inspection.reading(inputs, choice.word - inputs.first)
    if config.has_exponents:
        # Every channel is a head of its own there; together they are shares of one mean.
        weights, given = found.weights.mean(0), found.before
        rest = np.einsum("hn,nhv->hv", found.weights, found.values)
        head = -1
    else:
        weights, given, head = found.weights[choice.head], found.before[choice.head], choice.head
        rest = weights @ found.values[:, choice.head]
    size = float(np.linalg.norm(given) + np.linalg.norm(rest))
    before = float(np.linalg.norm(given)) / size if size else 0.0
    kept = texts[inputs.first : choice.word + 1]
    labels = [visible(text) for text in kept]
    columns, _ = inspection.peak_columns(np.abs(weights), MAX_COLUMNS)
    rows = (
        (inputs.first + i + 1, label, cell(float(weights[i]))) for i, label in enumerate(labels)
    )
    quoted = [word_at(texts, inputs.first + i) for i in range(len(kept))]
    return View(
        plots.reading_figure(weights, figure_labels(labels), columns, inputs.first),
        readings.reading_words(
            weights, quoted, word_at(texts, choice.word), choice.layer, head, before
        ),
        csv_text(("position (token)", "token", "weight"), rows),
    )


def _lens_view(
    recording: Recording, texts: Sequence[str], name: Callable[[int], str], choice: Choice
) -> View:
    lens = recording.lens
    assert lens is not None
    if choice.word < lens.first:
        return _why_not(
            "When does it make up its mind?",
            Sentence(
                "Asking every layer costs much, so it is done for the last {tokens} tokens only; "
                "choose a word from token {token} on.",
                tokens=lens.top.shape[1],
                token=lens.first + 1,
            ),
        )
    last = choice.word - lens.first + 1
    start = max(0, last - LENS_WORDS)
    told, top = lens.told_probability[:, start:last], lens.top_probability[:, start:last]
    chance = np.where(np.isnan(told), top, told)
    first = lens.first + start
    guesses = [[visible(name(int(i))) for i in row] for row in lens.top[:, start:last]]
    labels = [visible(text) for text in texts[first : first + last - start]]
    after = [visible(text) for text in texts[first + 1 : first + 1 + last - start]]
    truth = [*after, None][: last - start]
    header = (
        "position (token)", "token", "token that came next",
        *(f"layer {i + 1}: {what}" for i in range(len(top)) for what in ("likeliest", "its probability", "probability of the right one")),
    )  # fmt: skip
    rows = (
        (
            first + t + 1, label, truth[t] or "",
            *(
                value
                for i in range(len(top))
                for value in (guesses[i][t], cell(float(top[i, t])), cell(float(told[i, t])))
            ),
        )
        for t, label in enumerate(labels)
    )  # fmt: skip
    figure = plots.lens_figure(
        chance, [figure_labels(row) for row in guesses], figure_labels(labels), first,
        [word is not None for word in truth],
    )  # fmt: skip
    return View(figure, readings.lens_words(chance, guesses, truth, first), csv_text(header, rows))
