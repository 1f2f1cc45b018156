"""What a closer look at the memory, and at a layer and a head of it, shows, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwkv_core.errors import Sentence
from rwkv_core.inspection import PAGE_TOKENS, SENTENCE_TOKENS, Floats
from ui.readings.wording import Words, counted, percent, tokens_text


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
            Sentence(
                "At the end {used:.0f} of {size} directions are in use, as a mean over all heads "
                "(effective rank).",
                used=float(last.mean()),
                size=size,
            ),
            Sentence(
                "Layer {most} uses the most ({most_used:.0f}), layer {least} the fewest "
                "({least_used:.0f}).",
                most=most + 1,
                most_used=float(last[most]),
                least=least + 1,
                least_used=float(last[least]),
            ),
            Sentence(
                "Counted by weight (stable rank), it is {stable:.1f}: a few strong directions "
                "hold most.",
                stable=float(stable[-1].mean()),
            ),
        ),
        Sentence(
            "Strange would be a line near {size} while the model forgets what it was told, or one "
            "that stays near 1.",
            size=size,
        ),
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
            Sentence(
                "{share} of the channels outlast a sentence (20 tokens).",
                share=percent(float((half_life > SENTENCE_TOKENS).mean())),
            ),
            Sentence(
                "A page (400 tokens) is outlasted by {share}.",
                share=percent(float((half_life > PAGE_TOKENS).mean())),
            ),
            Sentence(
                "The slowest tenth keeps half for {tokens} or more.",
                tokens=tokens_text(float(np.quantile(half_life, 0.9))),
            ),
        ),
        "Strange would be a cliff: all channels made for one and the same length.",
    )


def gates_words(by_layer: Mapping[str, Floats]) -> Words:
    """Say in which layer each gate is the most open.

    Args:
        by_layer: (L,) each, mean over the text, by the name shown.
    """
    facts = [
        Sentence(
            "{gate}: largest in layer {most} ({largest:.2f}), smallest in layer {least} "
            "({smallest:.2f}).",
            gate=f"{name[0].upper()}{name[1:]}",
            most=int(values.argmax()) + 1,
            largest=float(values.max()),
            least=int(values.argmin()) + 1,
            smallest=float(values.min()),
        )
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
            Sentence(
                "On average {share} of the units answer.", share=percent(float(active.mean()))
            ),
            Sentence(
                "Layer {most} is the busiest ({most_share}), layer {least} the quietest "
                "({least_share}).",
                most=most + 1,
                most_share=percent(float(means[most])),
                least=least + 1,
                least_share=percent(float(means[least])),
            ),
            Sentence(
                "A word wakes between {fewest} and {most} of all units.",
                fewest=percent(float(active.mean(0).min())),
                most=percent(float(active.mean(0).max())),
            ),
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
            Sentence(
                "Head {head} of layer {layer} holds {share} of what its layer holds (share of the "
                "squared norm).",
                head=head + 1,
                layer=layer + 1,
                share=percent(norm_share),
            ),
            Sentence(
                "Its strongest entry is {entry:.3g}, at answer {answer} of question {question}.",
                entry=float(matrix[row, column]),
                answer=int(row) + 1,
                question=int(column) + 1,
            ),
            Sentence(
                "A tenth of its entries hold {share} of it.",
                share=percent(float(top) / total if total else 0.0),
            ),
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
            Sentence(
                "Layer {layer} has {channels}.",
                layer=layer + 1,
                channels=counted(len(content), "channel"),
            ),
            Sentence(
                "Channel {channel} holds the most: {content:.3g}.",
                channel=top + 1,
                content=float(content[top]),
            ),
            Sentence(
                "Half of the channels have a weight above e^{power:.1f} behind them.",
                power=float(np.median(log_mass)),
            ),
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
            Sentence(
                "{used:.1f} of {size} directions are in use (effective rank).",
                used=effective,
                size=len(values),
            ),
            Sentence("{directions} hold 90 % of it.", directions=counted(most, "direction")),
            Sentence("Counted by weight it is {stable:.1f} (stable rank).", stable=stable),
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
        Sentence(
            "The two directions show {share} of all movement of layer {layer}; the rest is out of "
            "sight.",
            share=percent(float(explained.sum())),
            layer=layer + 1,
        )
    ]
    if straight > 0:
        facts.append(
            Sentence(
                "The way is {times:.1f} times as long as the straight line from start to end.",
                times=way / straight,
            )
        )
    return Words(
        "Each dot is the memory of this layer after a word, seen from where it moves the most; "
        "near dots are alike.",
        tuple(facts),
        "Strange would be one far jump: a word after which everything is different.",
    )
