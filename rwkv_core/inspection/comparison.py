"""How alike two memories are, and what each expects that the other does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rwkv_core.errors import InputError
from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text, log2_probabilities
from rwkv_core.inspection.memory import wkv_array
from rwkv_core.sampling import Logits
from rwkv_core.sessions import Snapshot
from rwkv_core.state import State

MOVERS = 8
# Smaller changes of a probability are rounding: rows of one batch differ by as much.
SMALLEST_MOVE = 1e-6


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike two memories are, layer by layer.

    Attributes:
        memory_cosine: (L,) cosine of the angle between the two wkv states, -1 to 1; NaN where
            one is empty. Of RWKV-4 the remembered means are compared, which do not depend on
            the exponent they are stored with.
        memory_distance: (L,) ||A - B|| over the mean of ||A|| and ||B||: 0 for the same, 2 for
            opposite ones; 0 where both are empty.
        shift_cosine: (L,) the same for both token shifts, the last token's trace.
        shift_distance: (L,) likewise.
    """

    memory_cosine: Floats
    memory_distance: Floats
    shift_cosine: Floats
    shift_distance: Floats


@dataclass(frozen=True)
class Mover:
    """A token that two readers expect differently; probabilities 0 to 1."""

    id: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """By how much its probability rises from the first to the second."""
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class Expectations:
    """How two next-word distributions differ.

    Attributes:
        kl_bits: KL(first || second), the bits lost on average by expecting what the second
            does where the first is true; 0 for the same.
        reverse_kl_bits: KL(second || first).
        only_first: tokens that the first finds likelier, largest difference first.
        only_second: tokens that the second finds likelier.
    """

    kl_bits: float
    reverse_kl_bits: float
    only_first: tuple[Mover, ...]
    only_second: tuple[Mover, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two memories side by side.

    Attributes:
        likeness: layer by layer, before the cue.
        expectations: of the next word, after the cue.
        texts: how A and how B go on, under one seed.
    """

    likeness: Likeness
    expectations: Expectations
    texts: tuple[str, ...]


def likeness(a: State, b: State) -> Likeness:
    """Compare two memories of one model, B = 1 each."""
    memories = [wkv_array(state).reshape(len(state.wkv), -1) for state in (a, b)]
    shifts = [_shifts(state) for state in (a, b)]
    return Likeness(
        cosine(*memories), distance(*memories), cosine(*shifts), distance(*shifts)
    )  # fmt: skip


def cosine(a: Floats, b: Floats) -> Floats:
    """Compute the cosine of the angle between the rows of two arrays.

    Args:
        a: (L, N).
        b: (L, N).

    Returns:
        (L,) -1 to 1; NaN where a row is all zeros.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    product = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found = np.full(len(a), np.nan)
    np.divide((a * b).sum(axis=1), product, out=found, where=product > 0)
    clipped: Floats = np.clip(found, -1, 1)
    return clipped


def distance(a: Floats, b: Floats) -> Floats:
    """Measure how far the rows of two arrays are apart, in units of their mean length.

    Returns:
        (L,) 0 to 2; 0 where both rows are all zeros.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    length = (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1)) / 2
    found = np.zeros(len(a))
    np.divide(np.linalg.norm(a - b, axis=1), length, out=found, where=length > 0)
    return found


def kl_bits(first: Logits, second: Logits) -> Floats:
    """Compute KL(first || second) of the distributions that logits (..., V) stand for, in bits."""
    p, q = log2_probabilities(first), log2_probabilities(second)
    terms = np.where(np.isneginf(p), 0.0, np.exp2(p) * (p - q))
    bits: Floats = np.maximum(terms.sum(axis=-1), 0.0)
    return bits


def expectations(first: Logits, second: Logits, count: int = MOVERS) -> Expectations:
    """Say how two next-word distributions differ.

    Args:
        first: (V,) logits.
        second: (V,) logits.
        count: the most tokens to name on each side.
    """
    p, q = (np.exp2(log2_probabilities(logits)) for logits in (first, second))
    rise = q - p
    order = np.argsort(rise, kind="stable")
    fallen = [int(token) for token in order[:count] if rise[token] < -SMALLEST_MOVE]
    risen = [int(token) for token in order[::-1][:count] if rise[token] > SMALLEST_MOVE]

    def named(tokens: Sequence[int]) -> tuple[Mover, ...]:
        return tuple(Mover(token, float(p[token]), float(q[token])) for token in tokens)

    return Expectations(
        float(kl_bits(first, second)), float(kl_bits(second, first)), named(fallen), named(risen)
    )


def compare_texts(
    lab: Lab,
    first: Text,
    second: Text,
    cue: Sequence[int],
    settings: GenerationSettings,
) -> Steps[Comparison]:
    """Read two texts, compare the memories they leave, and let both go on under one seed.

    Args:
        lab: what to read with.
        first: A.
        second: B.
        cue: what both read afterwards, before they go on; may be empty.
        settings: how they go on, with a seed.

    Raises:
        InputError: no cue, and a memory that says nothing until it has read something.
    """
    a = yield from lab.read(first)
    b = yield from lab.read(second, len(first.ids))
    done = len(first.ids) + len(second.ids)
    return (yield from compare_memories(lab, a, b, cue, settings, done))


def compare_memories(
    lab: Lab,
    a: Snapshot,
    b: Snapshot,
    cue: Sequence[int],
    settings: GenerationSettings,
    done: int = 0,
) -> Steps[Comparison]:
    """Compare two memories and let both go on; see compare_texts."""
    alike = likeness(a.state, b.state)
    state = State.stack([a.state, b.state])
    if cue:
        logits, state = yield from lab.read_together(state, cue, done)
        done += 2 * len(cue)
    elif len(a.logits) and len(b.logits):
        logits = np.stack([a.logits, b.logits])
    else:
        raise InputError("this memory has no next word yet; type something to read next")
    expected = expectations(logits[0], logits[1])
    writing = lab.write_together(state, logits, settings, done)
    while True:
        try:
            step = next(writing)
        except StopIteration as end:
            return Comparison(alike, expected, end.value)
        if isinstance(step.so_far, tuple):
            yield Progress(step.done, Comparison(alike, expected, step.so_far))


def _shifts(state: State) -> Floats:
    parts = torch.cat([state.time_mix_shift[:, 0], state.channel_mix_shift[:, 0]], dim=-1)
    array: Floats = parts.detach().cpu().float().numpy()
    return array
