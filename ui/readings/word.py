"""What a closer look at one word shows, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwkv_core.errors import Sentence
from rwkv_core.inspection import Floats
from ui.readings.wording import Verbatim, Words, counted, percent


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
        Sentence(
            "Half of its trace in layer {layer} is gone after {tokens}.",
            layer=layer + 1,
            tokens=counted(int(below[0]), "token"),
        )
        if below.size
        else Sentence(
            "At the end of the text more than half of its trace in layer {layer} is left.",
            layer=layer + 1,
        )
    )
    facts = [
        halved,
        Sentence(
            "After the last word {share} of it is left.", share=percent(float(layer_left[-1]))
        ),
    ]
    if 1 < len(heads) <= 64:
        best = int(heads[:, -1].argmax())
        facts.append(
            Sentence(
                "Head {head} keeps it best: {share} at the end.",
                head=best + 1,
                share=percent(float(heads[best, -1])),
            )
        )
    return Words(
        Sentence(
            "How much of what {word} wrote is still there, word by word: the thick line is the "
            "layer, thin ones its heads.",
            word=word,
        ),
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
    named = [texts[i] for i in order if sizes[i] > 0]
    own = float(sizes[-1]) / total if total else 0.0
    who = (
        Sentence("Layer {layer}", layer=layer + 1)
        if head < 0
        else Sentence("Head {head} of layer {layer}", head=head + 1, layer=layer + 1)
    )
    facts = [
        Sentence("{who} draws most from {words}.", who=who, words=_row(named))
        if named
        else Sentence("{who} reads nothing here.", who=who),
        Sentence("{share} of all weight is on the word itself.", share=percent(own)),
    ]
    if before > 0:
        facts.append(
            Sentence(
                "What came before these tokens adds {share} of the size of what is read.",
                share=percent(before),
            )
        )
    return Words(
        Sentence(
            "At {word}, the memory answers with earlier words; the taller a bar, the more of that "
            "word comes back, and below zero it is subtracted.",
            word=word,
        ),
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
            Sentence(
                "The last layer has {right} of {words} right, layer 1 has {first}.",
                right=right[-1],
                words=counted(len(known), "word"),
                first=right[0],
            )
        )
        means = probability[:, known].mean(1)
        grown = int(np.diff(means, prepend=0).argmax())
        facts.append(Sentence("The right word gains the most in layer {layer}.", layer=grown + 1))
    said = guesses[-1][-1].replace("·", " ").strip()
    facts.append(
        Sentence(
            "Asked after token {token}, the last layer says “{word}”.",
            token=first + count,
            word=Verbatim(said) if said else "a space",
        )
    )
    return Words(
        "Every layer is asked what comes next, as if it were the last; the text in a cell is its "
        "guess, bright means that it gives the right word a good chance. Early layers are not "
        "made for this question, so take them as rough.",
        tuple(facts),
        "Strange would be a right guess in an early layer that later layers lose again.",
    )


def _row(words: Sequence[str]) -> str:
    """Name words with commas between them."""
    row = words[0]
    for word in words[1:]:
        row = Sentence("{first}, {second}", first=row, second=word)
    return row
