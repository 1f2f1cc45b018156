from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from presets.words import LANGUAGES
from rwkv_core.inspection.comparison import Likeness
from rwkv_core.inspection.equality import Equality
from rwkv_core.inspection.lesion import Lesions
from rwkv_core.inspection.probe import Probe
from rwkv_core.inspection.stability import log_sum_exp
from ui.study_facts import (
    agreement_facts,
    changed_facts,
    choice_facts,
    decay_facts,
    lesion_facts,
    likeness_facts,
    recall_facts,
    sum_facts,
)


def alike(cosine: list[float], apart: list[float], trace: list[float]) -> Likeness:
    return Likeness(np.array(cosine), np.array(apart), np.array(trace), np.zeros(len(trace)))


def asked(told: list[list[list[float]]], control: list[list[float]]) -> Probe:
    bits = np.log2(np.array(told))
    ranks = np.ones(bits.shape[:2], int)
    distances = np.array([0, 16, 2048][: len(bits)])
    return Probe(distances, bits, np.log2(np.array(control)), ranks, ranks, 64)


def apart(*difference: float) -> Equality:
    return Equality(np.array(difference), 1.0, 0, np.zeros(1), np.zeros(1), 128, 0.5, 0.5)


def damaged(table: Any) -> Lesions:
    bits = np.array(table)
    return Lesions(bits, np.zeros(bits.shape, np.int64), np.zeros(bits.shape), 1, 0.5)


def summed(*keys: float, first: int = 0) -> Any:
    values = np.array(keys)
    return SimpleNamespace(stretched=values, total=log_sum_exp(values, -0.1), first=first)


LIKENESS = alike([0.9, -0.2, 0.95], [0.4, 1.2, 0.3], [0.5, 0.5, 0.5])
EMPTY = alike([np.nan, np.nan], [2.0, 2.0], [0.1, 0.7])
CHANGED = alike([1.0, 0.5, 0.9], [0.0, 0.9, 0.3], [1.0, 1.0, 1.0])
LOST = asked(
    [[[0.5, 0.01], [0.01, 0.7]], [[0.2, 0.3], [0.1, 0.3]], [[0.1, 0.1], [0.2, 0.1]]],
    [[0.01, 0.01], [0.1, 0.1], [0.1, 0.1]],
)
KEPT = asked([[[0.5, 0.01], [0.01, 0.7]]], [[0.01, 0.01]])
LESIONS = damaged([0.2, 1.5, np.nan, 0.004])
HEADS = damaged([[0.0, 0.0], [0.25, 0.0]])

# What is called with what, and what each of its facts has to say.
FACTS: dict[str, tuple[Callable[[str, Any], tuple[str, ...]], Any, tuple[str, ...]]] = {
    "likeness": (likeness_facts, LIKENESS, (
        "Cosine of the memories: from -0.20 in layer 2 to 0.95 in layer 3.",
        "Cosine of the traces of the last token: 0.50 in every layer.",
        "Distance of the memories, in mean lengths: from 0.30 in layer 3 to 1.20 in layer 2.",
    )),
    "an empty memory has no angle": (likeness_facts, EMPTY, (
        "traces of the last token: from 0.10 in layer 1 to 0.70 in layer 2",
        "Distance of the memories, in mean lengths: 2.00 in every layer",
    )),
    "changed": (changed_facts, CHANGED, (
        "Distance from A, in mean lengths: from 0.00 in layer 1 to 0.90 in layer 2.",
        "2 of 3 layers lie at least 0.01 mean lengths from A",
        "On average a layer lies 0.40 mean lengths from A",
    )),
    "recall, lost": (recall_facts, LOST, (
        "At 0 tokens the right answer has 60 % where the fact was told and 1.0 % where",
        "At 2,048 tokens the right answer has 10 % where the fact was told and 10 % where",
        "first meet at 2,048 tokens (told 10 %, not told 10 %)",
    )),
    "recall, kept": (recall_facts, KEPT, (
        "At 0 tokens the right answer has 60 %",
        "stays above the other at every distance",
    )),
    "choice, lost": (choice_facts, LOST, (
        "At 0 tokens 100 % of the choices are right",
        "At 2,048 tokens 50 % of the choices are right",
        "first fall to guessing (50 %) at 16 tokens",
    )),
    "choice, kept": (choice_facts, KEPT, (
        "At 0 tokens 100 % of the choices are right",
        "stay above guessing (50 %) at every distance",
    )),
    "agreement": (agreement_facts, apart(1e-5, 0.0, 4e-5, 2e-5), (
        "The largest difference is 4e-05, at token 3 of 4",
        "Half of the tokens differ by 1.5e-05 or less",
        "5e-06 in the first half of the text and 3e-05 in the second",
    )),
    "agreement of one token": (agreement_facts, apart(1e-5), ("token 1 of 1", "1e-05 or less")),
    "no difference": (agreement_facts, apart(0.0, 0.0), ("None of the 2 tokens differs",)),
    "lesions of layers": (lesion_facts, LESIONS, (
        "The loss of layer 2 has the largest effect: 1.50 bits",
        "The loss of layer 4 has the smallest: 0.004 bits",
        "The loss of 2 of 3 parts measured moves the next word by 0.1 bits or more",
    )),
    "lesions of heads": (lesion_facts, HEADS, (
        "The loss of head 1 of layer 2 has the largest effect: 0.25 bits",
        "The loss of head 1 of layer 1 has the smallest: < 0.001 bits",
        "The loss of 1 of 4 parts",
    )),
    "sums, endless": (sum_facts, summed(10.0, 100.0, 50.0), (
        "The largest stretched key is 100.0, at token 2 of 3",
        "The plain sum first is infinite at token 2 of 3",
        "never exceeds 1; the exponent kept beside it never exceeds 100.0",
    )),
    "sums of a long text's end": (sum_facts, summed(10.0, 100.0, 50.0, first=200), (
        "The largest stretched key is 100.0, at token 202 of 203",
        "The plain sum first is infinite at token 202 of 203",
        "never exceeds 1; the exponent kept beside it never exceeds 100.0",
    )),
    "sums, finite": (sum_facts, summed(10.0, 20.0), (
        "The largest stretched key is 20.0, at token 2 of 2",
        "stays finite up to the last of the 2 tokens",
        "never exceeds 20.0",
    )),
    "decays": (decay_facts, np.array([0.6, 0.9, 0.99], np.float32), (
        "the fastest channel loses 40 % of what it holds, the slowest 1 %",
        "The middle channel loses 10 %",
        "1 of 3 channels still hold half after a sentence (20 tokens)",
    )),
}  # fmt: skip


@pytest.mark.parametrize("case", FACTS)
def test_each_fact_is_true_of_the_numbers(case: str) -> None:
    facts, found, said = FACTS[case]
    shown = facts("en", found)
    assert len(shown) == len(said)
    for fact, words in zip(shown, said, strict=True):
        assert words in fact


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_facts_are_said_in_every_language(language: str) -> None:
    for facts, found, _ in FACTS.values():
        for fact, english in zip(facts(language, found), facts("en", found), strict=True):
            assert fact != english
