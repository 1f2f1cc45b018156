"""Facts that stand for the figures of the experiments where these cannot be seen.

Each function takes what was measured and says two or three sentences that are true of it;
layers, heads and tokens are counted from 1.
"""

from __future__ import annotations

import numpy as np

from presets.words import speak
from rwkv_core.inspection import SENTENCE_TOKENS, Floats
from rwkv_core.inspection.comparison import Likeness
from rwkv_core.inspection.equality import Equality
from rwkv_core.inspection.lesion import Lesions, strongest
from rwkv_core.inspection.lesson import Lesson
from rwkv_core.inspection.probe import Probe, right_bits, right_choices
from ui.components import percent
from ui.study_parts import kl_text

# A layer that lies nearer than this, in mean lengths, counts as unchanged.
UNCHANGED = 0.01
# A part whose loss moves the next word by this many bits counts as felt.
FELT_BITS = 0.1

Facts = tuple[str, ...]


def likeness_facts(language: str, found: Likeness) -> Facts:
    """Say where two memories, and their traces of the last token, are most and least alike."""
    ranges = {
        "compare.fact_memory": found.memory_cosine,
        "compare.fact_trace": found.shift_cosine,
        "compare.fact_apart": found.memory_distance,
    }
    return tuple(
        _range(language, speak(language, key), values)
        for key, values in ranges.items()
        if np.isfinite(values).any()
    )


def changed_facts(language: str, found: Likeness) -> Facts:
    """Say how many layers a change reached, which the most, and how far on average."""
    apart = found.memory_distance
    return (
        _range(language, speak(language, "change.fact_apart"), apart),
        speak(
            language, "change.fact_reached", count=int((apart >= UNCHANGED).sum()),
            layers=len(apart), least=UNCHANGED,
        ),
        speak(language, "change.fact_mean", mean=f"{apart.mean():.2f}"),
    )  # fmt: skip


def recall_facts(language: str, found: Probe) -> Facts:
    """Say where both lines of the recall begin, end, and meet."""
    told = np.exp2(right_bits(found)).mean(axis=1)
    control = np.exp2(found.control_bits).mean(axis=1)

    def at(key: str, index: int) -> str:
        return speak(
            language, f"experiment.{key}", tokens=f"{int(found.distances[index]):,}",
            told=percent(float(told[index])), control=percent(float(control[index])),
        )  # fmt: skip

    facts = [at("fact_recall", 0)]
    if len(told) > 1:
        facts.append(at("fact_recall", len(told) - 1))
    below = np.flatnonzero(told <= control)
    facts.append(
        at("fact_met", int(below[0])) if len(below) else speak(language, "experiment.fact_apart")
    )
    return tuple(facts)


def choice_facts(language: str, found: Probe) -> Facts:
    """Say how often the right answer is chosen at both ends, and where it falls to chance."""
    shares, count = right_choices(found), found.told_bits.shape[-1]
    ends = sorted({0, len(shares) - 1})
    facts = [
        speak(
            language, "experiment.fact_choice", tokens=f"{int(found.distances[index]):,}",
            share=f"{100 * shares[index]:.0f} %",
        )
        for index in ends
    ]  # fmt: skip
    chance = 1 / count
    lost = np.flatnonzero(shares <= chance + 1e-9)
    key = "fact_guessing" if len(lost) else "fact_chosen"
    tokens = f"{int(found.distances[lost[0]]):,}" if len(lost) else ""
    said = speak(language, f"experiment.{key}", chance=f"{100 * chance:.0f} %", tokens=tokens)
    return (*facts, said)


def agreement_facts(language: str, found: Equality) -> Facts:
    """Say where the two ways of reading differ most, how much they mostly do, and if it grows."""
    apart = found.difference
    if not apart.any():
        return (speak(language, "experiment.fact_no_difference", count=f"{len(apart):,}"),)
    facts = [
        speak(
            language, "experiment.fact_largest", difference=f"{apart.max():.2g}",
            token=f"{int(apart.argmax()) + 1:,}", count=f"{len(apart):,}",
        ),
        speak(language, "experiment.fact_median", median=f"{np.median(apart):.2g}"),
    ]  # fmt: skip
    if half := len(apart) // 2:
        first, second = (f"{part.mean():.2g}" for part in (apart[:half], apart[half:]))
        facts.append(speak(language, "experiment.fact_halves", first=first, second=second))
    return tuple(facts)


def lesion_facts(language: str, found: Lesions) -> Facts:
    """Say which part's loss does the most and the least, and how many are felt."""
    table = found.kl_bits
    known = table[np.isfinite(table)]
    flat = int(np.nanargmin(table))
    weakest = tuple(int(i) for i in np.unravel_index(flat, table.shape))

    def named(key: str, place: tuple[int, ...]) -> str:
        kind = "part_layer" if len(place) == 1 else "part_head"
        part = speak(language, f"experiment.{kind}", layer=place[0] + 1, head=place[-1] + 1)
        bits = kl_text(float(table[place]))
        return speak(language, f"experiment.{key}", part=part, bits=bits)

    facts = [named("fact_most", strongest(found))]
    if len(known) > 1:
        facts.append(named("fact_least", weakest))
    felt = int((known >= FELT_BITS).sum())
    said = speak(
        language, "experiment.fact_felt", count=felt, parts=len(known), least=FELT_BITS
    )  # fmt: skip
    return (*facts, said)


def sum_facts(language: str, found: Lesson) -> Facts:
    """Say where the plain sum overflows, and how large what is kept gets."""
    total, count = found.total, found.first + len(found.stretched)
    endless = np.flatnonzero(np.isinf(total.plain))
    which = "how.fact_endless" if len(endless) else "how.fact_finite"
    at = found.first + int(endless[0]) + 1 if len(endless) else count
    return (
        speak(
            language, "how.fact_key", largest=f"{found.stretched.max():.1f}",
            token=found.first + int(found.stretched.argmax()) + 1, count=count,
        ),
        speak(language, which, token=at, count=count),
        speak(
            language, "how.fact_kept", most=f"{total.kept.max():.3g}",
            exponent=f"{total.exponent.max():.1f}",
        ),
    )  # fmt: skip


def decay_facts(language: str, decay: Floats) -> Facts:
    """Say how much the channels let fade at one token, and how many outlast a sentence.

    Args:
        language: of the visitor.
        decay: of each channel, 0 to 1.
    """
    lost = [f"{100 * (1 - float(w)):.3g}" for w in (decay.min(), np.median(decay), decay.max())]
    lasting = int((decay.astype(np.float64) > 0.5 ** (1 / SENTENCE_TOKENS)).sum())
    return (
        speak(language, "how.fact_fades", fastest=lost[0], slowest=lost[2]),
        speak(language, "how.fact_middle", middle=lost[1]),
        speak(
            language, "how.fact_lasting", lasting=lasting, count=len(decay),
            tokens=SENTENCE_TOKENS,
        ),
    )  # fmt: skip


def _range(language: str, what: str, values: Floats) -> str:
    """Say in which layer something is least and in which most; NaN counts for nothing."""
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    least, most = f"{values[low]:.2f}", f"{values[high]:.2f}"
    if least == most and np.isfinite(values).all():
        return speak(language, "study.fact_flat", what=what, value=most)
    return speak(
        language, "study.fact_range", what=what, least=least, low=low + 1, most=most, high=high + 1
    )
