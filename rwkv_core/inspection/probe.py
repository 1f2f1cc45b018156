"""How long a fact lasts: tell it, read on, and ask from the memory at growing distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rwkv_core.errors import InputError
from rwkv_core.inspection.arrays import Floats, Indices
from rwkv_core.inspection.lab import Lab, Progress, Steps, log2_probabilities
from rwkv_core.sampling import Logits
from rwkv_core.state import State

MAX_ANSWERS = 5
# A fact counts as kept while it makes the answer at least this many bits likelier.
KEPT_BITS = 1.0


@dataclass(frozen=True)
class Question:
    """A fact, told with one of several answers, and how it is asked for.

    Attributes:
        facts: ids of the fact, once for each answer.
        answers: ids of each answer, as it would be written after the question.
        ask: ids of the question.
    """

    facts: tuple[tuple[int, ...], ...]
    answers: tuple[tuple[int, ...], ...]
    ask: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Probe:
    """Recall against distance, for W answers at D distances.

    Attributes:
        distances: (D,) filler tokens between fact and question.
        told_bits: (D, W, W) log2 probability of answer j where answer i was told.
        control_bits: (D, W) log2 probability of answer j where no fact was told.
        told_rank: (D, W) how many tokens are likelier than the first of the answer told, plus 1.
        control_rank: (D, W) the same where no fact was told.
        vocab_size: tokens to choose from, V; chance is 1 / V for a token.
    """

    distances: Indices
    told_bits: Floats
    control_bits: Floats
    told_rank: Indices
    control_rank: Indices
    vocab_size: int


def right_bits(probe: Probe) -> Floats:
    """Take the log2 probability of each told answer, (D, W)."""
    bits: Floats = np.diagonal(probe.told_bits, axis1=1, axis2=2)
    return bits


def gained_bits(probe: Probe) -> Floats:
    """Say how much likelier telling makes the answer: (D,) bits, the mean over the answers."""
    gain: Floats = (right_bits(probe) - probe.control_bits).mean(axis=1)
    return gain


def right_choices(probe: Probe) -> Floats:
    """Say how often the told answer gains most of all W: (D,) shares, 1 / W by chance."""
    gain = probe.told_bits - probe.control_bits[:, None, :]
    told = np.diagonal(gain, axis1=1, axis2=2)
    shares: Floats = (told[:, :, None] >= gain).all(axis=2).mean(axis=1)
    return shares


def kept_tokens(probe: Probe) -> int | None:
    """Find the largest distance up to which telling still helps by a bit; None if never."""
    helped = gained_bits(probe) >= KEPT_BITS
    count = len(helped) if helped.all() else int(helped.argmin())
    return int(probe.distances[count - 1]) if count else None


def spaced_distances(limit: int) -> tuple[int, ...]:
    """Choose distances: 0, 16, and on by doubling, up to the limit."""
    distances, at = [0], 16
    while at < limit:
        distances.append(at)
        at *= 2
    return (*distances, limit) if limit else (0,)


def probe_tokens(question: Question, distances: Sequence[int]) -> int:
    """Count what `probe_memory` reads, over all copies."""
    copies = len(question.answers) + 1
    asking = len(question.ask) + copies * max(map(len, question.answers))
    return sum(map(len, question.facts)) + copies * (distances[-1] + len(distances) * asking)


def probe_memory(
    lab: Lab,
    opening: Sequence[int],
    question: Question,
    filler: Sequence[int],
    distances: Sequence[int],
) -> Steps[Probe]:
    """Tell a fact, read filler once, and ask from the memory kept at each distance.

    One copy of the memory is told each answer, and one none (the control); all read the same
    filler together, and asking never disturbs the reading.

    Args:
        lab: what to read with.
        opening: ids before the fact, at least one.
        question: what to tell and ask, 1 to 5 answers.
        filler: at least as many tokens as the largest distance.
        distances: rising, from 0 on.

    Raises:
        InputError: too few or too many answers, or too little filler.
    """
    _check(question, filler, distances)
    states, done = [], 0
    for fact in (*question.facts, ()):
        snapshot = yield from lab.read_after(None, [*opening, *fact], done)
        done += len(opening) + len(fact)
        states.append(snapshot.state)
    state = State.stack(states)
    found: list[tuple[Floats, Indices]] = []
    at = 0
    for index, distance in enumerate(distances):
        if distance > at:
            _, state = yield from lab.read_together(state, filler[at:distance], done)
            done += len(states) * (distance - at)
            at = distance
        logits, asked = yield from lab.read_together(state, question.ask, done)
        done += len(states) * len(question.ask)
        found.append((yield from _answers(lab, logits, asked, question.answers, done)))
        done += len(states) * sum(map(len, question.answers))
        yield Progress(done, _probe(distances[: index + 1], found, lab.model.config.vocab_size))
    return _probe(distances, found, lab.model.config.vocab_size)


def _answers(
    lab: Lab, logits: Logits, state: State, answers: Sequence[tuple[int, ...]], done: int
) -> Steps[tuple[Floats, Indices]]:
    """Score every answer from every copy: log2 probabilities and ranks, (copies, W) each."""
    first = log2_probabilities(logits)
    bits, ranks = np.zeros((len(first), len(answers))), np.zeros((len(first), len(answers)), int)
    for column, answer in enumerate(answers):
        own = first[:, answer[0]]
        bits[:, column] = own
        ranks[:, column] = (first > own[:, None]).sum(axis=1) + 1
        if len(answer) > 1:
            tokens = torch.tensor(answer[:-1]).expand(len(first), -1)
            every, _ = lab.model.forward(tokens, state, all_logits=True)
            rest = log2_probabilities(every.cpu().numpy())  # (copies, n - 1, V)
            bits[:, column] += rest[:, range(len(answer) - 1), answer[1:]].sum(axis=1)
        done += len(first) * len(answer)
        yield Progress(done)
    return bits, ranks


def _probe(
    distances: Sequence[int], found: Sequence[tuple[Floats, Indices]], vocab_size: int
) -> Probe:
    bits, ranks = np.stack([pair[0] for pair in found]), np.stack([pair[1] for pair in found])
    return Probe(
        np.array(distances, np.int64), bits[:, :-1], bits[:, -1],
        np.diagonal(ranks[:, :-1], axis1=1, axis2=2), ranks[:, -1], vocab_size,
    )  # fmt: skip


def _check(question: Question, filler: Sequence[int], distances: Sequence[int]) -> None:
    count = len(question.answers)
    if not 1 <= count <= MAX_ANSWERS or len(question.facts) != count:
        raise InputError(
            "{count} answers were given; give 1 to {limit}", count=count, limit=MAX_ANSWERS
        )
    if not question.ask or not all(question.answers):
        raise InputError("the question or an answer is empty; type both")
    if len(filler) < distances[-1]:
        raise InputError(
            "the filler has {count:,} tokens, fewer than the distance {distance:,}; choose a "
            "smaller distance or paste more",
            count=len(filler),
            distance=distances[-1],
        )
