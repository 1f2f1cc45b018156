"""What a closer look at a recording shows, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rwkv_core.inspection import PAGE_TOKENS, SENTENCE_TOKENS, Floats
from ui.components import counted
from ui.readings.wording import Words, percent, tokens_text


def rank_words(effective: Floats, stable: Floats, size: int) -> Words:
    """Say how many directions are in use, and where the most.

    Args:
        effective: (P, L) effective rank at P moments, mean over heads.
        stable: (P, L) stable rank, likewise.
        size: the most there could be.
    """
    last = effective[-1]
    most, least = int(last.argmax()), int(last.argmin())
    return Words(
        "Higher means that the memory's tables use more of their directions, like pages of a "
        "notebook; thin lines are layers.",
        (
            f"At the end {last.mean():.0f} of {size} directions are in use, as a mean over all "
            "heads (effective rank).",
            f"Layer {most + 1} uses the most ({last[most]:.0f}), layer {least + 1} the fewest "
            f"({last[least]:.0f}).",
            f"Counted by weight (stable rank), it is {stable[-1].mean():.1f}: a few strong "
            "directions hold most.",
        ),
        f"Strange would be a line near {size} while the model forgets what it was told, or one "
        "that stays near 1.",
    )


def lasting_words(half_life: Floats) -> Words:
    """Say which share of the channels outlasts a sentence, and a page.

    Args:
        half_life: (L, N) tokens.
    """
    return Words(
        "Read the height at a length: so many channels still hold half after it; thin lines "
        "are layers.",
        (
            f"{percent(float((half_life > SENTENCE_TOKENS).mean()))} of the channels outlast a "
            "sentence (20 tokens).",
            f"{percent(float((half_life > PAGE_TOKENS).mean()))} outlast a page (400 tokens).",
            f"The slowest tenth keeps half for {tokens_text(float(np.quantile(half_life, 0.9)))} "
            "or more.",
        ),
        "Strange would be a cliff: all channels made for one and the same length.",
    )


def gates_words(by_layer: Mapping[str, Floats]) -> Words:
    """Say in which layer each gate is the most open.

    Args:
        by_layer: (L,) each, mean over the text, by the name shown.
    """
    facts = [
        f"{name[0].upper()}{name[1:]}: largest in layer {int(values.argmax()) + 1} "
        f"({values.max():.2f}), smallest in layer {int(values.argmin()) + 1} "
        f"({values.min():.2f})."
        for name, values in list(by_layer.items())[:3]
    ]
    return Words(
        "Each line is one kind of gate, as a mean over the text: 0 is closed, and larger lets "
        "more through.",
        tuple(facts),
        "Strange would be a layer whose gates are all near 0: it says nothing.",
    )


def sparsity_words(active: Floats) -> Words:
    """Say how many units of the channel mix answer.

    Args:
        active: (L, T) share of units above zero.
    """
    means = active.mean(axis=1)
    most, least = int(means.argmax()), int(means.argmin())
    return Words(
        "Bright means that many units of the layer's second half (the channel mix) answer to "
        "that word; the others stay at zero.",
        (
            f"On average {percent(float(active.mean()))} of the units answer.",
            f"Layer {most + 1} is the busiest ({percent(float(means[most]))}), "
            f"layer {least + 1} the quietest ({percent(float(means[least]))}).",
            f"A word wakes between {percent(float(active.mean(0).min()))} and "
            f"{percent(float(active.mean(0).max()))} of all units.",
        ),
        "Strange would be a layer that is dark for every word: it adds nothing.",
    )


def cell_words(matrix: Floats, layer: int, head: int, norm_share: float) -> Words:
    """Say what one head's table is, and how strong it is.

    Args:
        matrix: (V, K).
        layer: from 0.
        head: from 0.
        norm_share: its share of the layer's squared norm.
    """
    row, column = np.unravel_index(int(np.abs(matrix).argmax()), matrix.shape)
    squares = np.square(matrix).ravel()
    total = float(squares.sum())
    top = np.sort(squares)[::-1][: max(1, squares.size // 10)].sum()
    return Words(
        "This is a table of associations: a question (column) calls up the answers (rows) that "
        "stand below it; green adds, rust takes away.",
        (
            f"Head {head + 1} of layer {layer + 1} holds {percent(norm_share)} of what its layer "
            "holds (share of the squared norm).",
            f"Its strongest entry is {matrix[row, column]:.3g}, at answer {row + 1} of question "
            f"{column + 1}.",
            f"A tenth of its entries hold {percent(float(top) / total if total else 0.0)} of it.",
        ),
        "Strange would be one single row or column in an otherwise empty table.",
    )


def content_words(content: Floats, log_mass: Floats, layer: int) -> Words:
    """Say what one layer of RWKV-4 holds.

    Args:
        content: (C,) remembered means.
        log_mass: (C,) log of the weight behind each.
        layer: from 0.
    """
    top = int(np.abs(content).argmax())
    return Words(
        "RWKV-4 keeps no tables: each channel (dot) holds one number, a weighted mean; further "
        "right, more of what was read stands behind it.",
        (
            f"Layer {layer + 1} has {counted(len(content), 'channel')}.",
            f"Channel {top + 1} holds the most: {content[top]:.3g}.",
            f"Half of the channels have a weight above e^{float(np.median(log_mass)):.1f} "
            "behind them.",
        ),
        "Strange would be large contents on almost no weight.",
    )


def spectrum_words(values: Floats, effective: float, stable: float) -> Words:
    """Say how many directions one head uses.

    Args:
        values: (K,) singular values, largest first.
        effective: effective rank.
        stable: stable rank.
    """
    squares = np.square(values)
    total = squares.sum()
    most = int(np.searchsorted(np.cumsum(squares), 0.9 * total) + 1) if total > 0 else 0
    return Words(
        "Each bar is the strength of one direction of this table; full bars are those that "
        "count as used.",
        (
            f"{effective:.1f} of {len(values)} directions are in use (effective rank).",
            f"{counted(most, 'direction')} hold 90 % of it.",
            f"Counted by weight it is {stable:.1f} (stable rank).",
        ),
        "Strange would be one single bar: a table that knows one answer only.",
    )


def path_words(explained: Floats, layer: int, places: Floats) -> Words:
    """Say how much of a layer's movement the drawing shows.

    Args:
        explained: (2,) shares of the two directions.
        layer: from 0.
        places: (P, 2).
    """
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    way, straight = float(steps.sum()), float(np.linalg.norm(places[-1] - places[0]))
    facts = [
        f"The two directions show {percent(float(explained.sum()))} of all movement of layer "
        f"{layer + 1}; the rest is out of sight."
    ]
    if straight > 0:
        facts.append(
            f"The way is {way / straight:.1f} times as long as the straight line from start to end."
        )
    return Words(
        "Each dot is the memory of this layer after a word, seen from where it moves the most; "
        "near dots are alike.",
        tuple(facts),
        "Strange would be one far jump: a word after which everything is different.",
    )


def life_words(layer_left: Floats, heads: Floats, word: str, layer: int) -> Words:
    """Say how long the trace of one word lasts.

    Args:
        layer_left: (n,) share left in the layer after each later token.
        heads: (H, n) the same for each head.
        word: the word, quoted.
        layer: from 0.
    """
    below = np.flatnonzero(layer_left < 0.5)
    halved = (
        f"Half of its trace in layer {layer + 1} is gone after {counted(int(below[0]), 'token')}."
        if below.size
        else f"At the end of the text more than half of its trace in layer {layer + 1} is left."
    )
    facts = [
        halved,
        f"After the last word {percent(float(layer_left[-1]))} of it is left.",
    ]
    if 1 < len(heads) <= 64:
        best = int(heads[:, -1].argmax())
        facts.append(
            f"Head {best + 1} keeps it best: {percent(float(heads[best, -1]))} at the end."
        )
    return Words(
        f"How much of what {word} wrote is still there, word by word: the thick line is the "
        "layer, thin ones its heads.",
        tuple(facts),
        "Strange would be a line that stays at 100 %: nothing of it is ever let go.",
    )


def reading_words(
    weights: Floats, texts: Sequence[str], word: str, layer: int, head: int, before: float
) -> Words:
    """Say what one head reads back at a word.

    Args:
        weights: (n,) signed, the word itself last.
        texts: the n tokens, quoted.
        word: the word that reads, quoted.
        layer: from 0.
        head: from 0; -1 for a mean over a layer without heads.
        before: share of the output that comes from before these tokens.
    """
    sizes = np.abs(weights)
    total = float(sizes.sum())
    order = np.argsort(sizes)[::-1][:3]
    named = ", ".join(texts[i] for i in order if sizes[i] > 0)
    own = float(sizes[-1]) / total if total else 0.0
    who = f"Layer {layer + 1}" if head < 0 else f"Head {head + 1} of layer {layer + 1}"
    facts = [
        f"{who} draws most from {named}." if named else f"{who} reads nothing here.",
        f"{percent(own)} of all weight is on the word itself.",
    ]
    if before > 0:
        facts.append(
            f"What came before these tokens adds {percent(before)} of the size of what is read."
        )
    return Words(
        f"At {word}, the memory answers with earlier words; the taller a bar, the more of that "
        "word comes back, and below zero it is subtracted.",
        tuple(facts),
        "Strange would be all weight on one distant word that has nothing to do with it.",
    )


def lens_words(
    probability: Floats, guesses: Sequence[Sequence[str]], truth: Sequence[str | None], first: int
) -> Words:
    """Say from which layer on the right word is the likeliest.

    Args:
        probability: (L, n) of the token that came next, or of the likeliest at the end.
        guesses: (L, n) likeliest tokens.
        truth: the n tokens that came next; None where the text ends.
        first: position of the first of the n tokens.
    """
    n_layer, count = probability.shape
    known = [i for i in range(count) if truth[i] is not None]
    facts = []
    if known:
        right = [sum(guesses[layer][i] == truth[i] for i in known) for layer in range(n_layer)]
        facts.append(
            f"The last layer has {right[-1]} of {counted(len(known), 'word')} right, "
            f"layer 1 has {right[0]}."
        )
        means = probability[:, known].mean(1)
        grown = int(np.diff(means, prepend=0).argmax())
        facts.append(f"The right word gains the most in layer {grown + 1}.")
    said = guesses[-1][-1].replace("·", " ").strip() or "a space"
    facts.append(f"Asked after token {first + count}, the last layer says “{said}”.")
    return Words(
        "Every layer is asked what comes next, as if it were the last; the text in a cell is its "
        "guess, bright means that it gives the right word a good chance. Early layers are not "
        "made for this question, so take them as rough.",
        tuple(facts),
        "Strange would be a right guess in an early layer that later layers lose again.",
    )
