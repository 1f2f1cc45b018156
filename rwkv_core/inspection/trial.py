"""A changed memory put to the test: what it expects next, and how it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from rwkv_core.errors import InputError
from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.comparison import (
    Expectations,
    Likeness,
    expectations,
    kl_bits,
    likeness,
)
from rwkv_core.inspection.editing import Edit, KeepSlow, apply_edit, blend
from rwkv_core.inspection.lab import Lab, Progress, Steps
from rwkv_core.sessions import Snapshot
from rwkv_core.state import State

# Enough tokens to know how fast channels forget on average.
DECAY_TOKENS = 512


@dataclass(frozen=True)
class Recipe:
    """How a changed memory is made; with the same model it gives the same memory again.

    Attributes:
        sources: ids of the texts whose memories are blended; one for a plain change.
        weights: the share of each, as in `blend`.
        edits: changes after the blend, in order.
        cue: ids read after the change; where empty, the last token of each source is held
            back and read then, since a memory says nothing until it reads a word.
    """

    sources: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]
    edits: tuple[Edit, ...] = ()
    cue: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """About how many tokens it takes to make it, without what is kept."""
        slow = any(isinstance(edit, KeepSlow) for edit in self.edits)
        read = sum(map(len, self.sources)) + (len(self.sources) + 1) * len(self.cue)
        return read + (min(len(self.sources[0]), DECAY_TOKENS) if slow else 0)


@dataclass(frozen=True, eq=False)
class Trial:
    """What a change did.

    Attributes:
        likeness: the first source's memory beside the changed one, before the cue.
        expectations: of the next word, from the first source's to the changed memory's.
        kl_bits: for each source, KL(source || changed) of the next word, in bits.
        texts: how each source goes on, and last how the changed memory does, under one seed.
        memory: the changed memory, after the cue.
    """

    likeness: Likeness
    expectations: Expectations
    kl_bits: tuple[float, ...]
    texts: tuple[str, ...]
    memory: Snapshot


def try_recipe(lab: Lab, recipe: Recipe, settings: GenerationSettings) -> Steps[Trial]:
    """Make a changed memory and compare what it does with what its sources do.

    Args:
        lab: what to read with.
        recipe: what to make.
        settings: how all go on, with a seed.

    Raises:
        SettingsError: an edit or a share is out of range.
        InputError: a source has no token before the one held back.
    """
    done, states = 0, []
    for ids in recipe.sources:
        snapshot = yield from lab.read(_before_cue(ids, recipe.cue), done)
        done += len(ids)
        states.append(snapshot.state)
    changed = blend(states, recipe.weights)
    log_decay = None
    if any(isinstance(edit, KeepSlow) for edit in recipe.edits):
        log_decay = yield from mean_log_decay(lab, recipe.sources[0], done)
    for edit in recipe.edits:
        changed = apply_edit(changed, edit, log_decay)
    alike = likeness(states[0], changed)
    logits, after = yield from _read_cue(lab, State.stack([*states, changed]), recipe, done)
    writing = lab.write_together(after, logits, settings, done + recipe.tokens)
    memory = Snapshot(
        len(recipe.sources[0]) + len(recipe.cue), after.select(len(states)), logits[-1].copy()
    )
    trial = Trial(
        alike,
        expectations(logits[0], logits[-1]),
        tuple(kl_bits(logits[:-1], logits[-1]).tolist()),
        (),
        memory,
    )
    while True:
        try:
            step = next(writing)
        except StopIteration as end:
            return replace(trial, texts=end.value)
        if isinstance(step.so_far, tuple):
            yield Progress(step.done, replace(trial, texts=step.so_far))


def mean_log_decay(lab: Lab, ids: Sequence[int], done: int = 0) -> Steps[Floats]:
    """Measure how fast each channel forgets on the end of a text; (L, H, K), nats per token."""
    tail = ids[-DECAY_TOKENS:]
    state, found, lengths = lab.start, [], []
    for at in range(0, len(tail), lab.chunk_tokens):
        recording = lab.model.trace(list(tail[at : at + lab.chunk_tokens]), state)
        state = recording.state
        found.append(recording.log_decay)
        lengths.append(len(recording.tokens))
        yield Progress(done + at + lengths[-1])
    mean: Floats = np.average(found, axis=0, weights=lengths)
    return mean


def _before_cue(ids: tuple[int, ...], cue: tuple[int, ...]) -> tuple[int, ...]:
    if cue:
        return ids
    if len(ids) < 2:
        raise InputError(
            f"the text has {len(ids)} token, and its last one is read after the change; give "
            "a longer text, or something to read next"
        )
    return ids[:-1]


def _read_cue(
    lab: Lab, state: State, recipe: Recipe, done: int
) -> Steps[tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], State]]:
    if recipe.cue:
        return (yield from lab.read_together(state, recipe.cue, done))
    last = [ids[-1] for ids in (*recipe.sources, recipe.sources[0])]
    logits, after = lab.model.forward(torch.tensor(last)[:, None], state)
    yield Progress(done + len(last))
    return logits.cpu().numpy(), after
