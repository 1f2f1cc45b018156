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
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text
from rwkv_core.state import Memory, State, tokens_of

# Enough tokens to know how fast channels forget on average.
DECAY_TOKENS = 512


@dataclass(frozen=True)
class Recipe:
    """How a changed memory is made; with the same model it gives the same memory again.

    Attributes:
        sources: the texts whose memories are blended; one for a plain change.
        weights: the share of each, as in `blend`.
        edits: changes after the blend, in order.
        cue: ids read after the change; where empty, the last token of each source is held
            back and read then, since a memory says nothing until it reads a word.
    """

    sources: tuple[Text, ...]
    weights: tuple[float, ...]
    edits: tuple[Edit, ...] = ()
    cue: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """About how many tokens it takes to make it, without what is kept."""
        slow = any(isinstance(edit, KeepSlow) for edit in self.edits)
        read = sum(len(text.ids) for text in self.sources)
        read += (len(self.sources) + 1) * max(1, len(self.cue))
        return read + (min(len(self.sources[0].ids), DECAY_TOKENS) if slow else 0)


@dataclass(frozen=True, eq=False)
class Trial:
    """What a change did.

    Attributes:
        likeness: the first source's memory beside the changed one, before the cue.
        expectations: of the next word, from the first source's to the changed memory's.
        kl_bits: for each source, KL(source || changed) of the next word, in bits.
        texts: how each source goes on, and last how the changed memory does, under one seed.
    """

    likeness: Likeness
    expectations: Expectations
    kl_bits: tuple[float, ...]
    texts: tuple[str, ...]


def try_recipe(lab: Lab, recipe: Recipe, settings: GenerationSettings) -> Steps[Trial]:
    """Make a changed memory and compare what it does with what its sources do.

    Args:
        lab: what to read with.
        recipe: what to make.
        settings: how all go on, with a seed.

    Raises:
        SettingsError: an edit or a share is out of range.
        InputError: a source has no token to hold back, or none to measure forgetting on.
    """
    states, changed, done = yield from _make(lab, recipe)
    alike = likeness(states[0], changed)
    logits, after = yield from _read_cue(lab, State.stack([*states, changed]), recipe, done)
    writing = lab.write_together(after, logits, settings, done + recipe.tokens)
    trial = Trial(
        alike,
        expectations(logits[0], logits[-1]),
        tuple(kl_bits(logits[:-1], logits[-1]).tolist()),
        (),
    )
    while True:
        try:
            step = next(writing)
        except StopIteration as end:
            return replace(trial, texts=end.value)
        if isinstance(step.so_far, tuple):
            yield Progress(step.done, replace(trial, texts=step.so_far))


def make_memory(lab: Lab, recipe: Recipe) -> Steps[Memory]:
    """Make a changed memory to go on from; it has read its first source, and no cue.

    Without a cue it has read the token held back too, so that it knows the next word; with one
    it says nothing until it has read something.

    Raises:
        As try_recipe.
    """
    states, changed, done = yield from _make(lab, recipe)
    first = recipe.sources[0]
    tokens = tokens_of(first.root) + len(first.ids)
    if recipe.cue:
        return Memory(changed.to("cpu"), tokens)
    logits, after = yield from _read_cue(lab, State.stack([*states, changed]), recipe, done)
    return Memory(after.select(len(states)).to("cpu"), tokens, logits[-1].copy())


def _make(lab: Lab, recipe: Recipe) -> Steps[tuple[list[State], State, int]]:
    """Read the sources up to the cue, blend and change; also says how many tokens that took."""
    done, states = 0, []
    for text in recipe.sources:
        snapshot = yield from lab.read(_before_cue(text, recipe.cue), done)
        done += len(text.ids)
        states.append(snapshot.state)
    changed = blend(states, recipe.weights)
    log_decay = None
    if any(isinstance(edit, KeepSlow) for edit in recipe.edits):
        log_decay = yield from mean_log_decay(lab, recipe.sources[0].ids, done)
    for edit in recipe.edits:
        changed = apply_edit(changed, edit, log_decay)
    return states, changed, done


def mean_log_decay(lab: Lab, ids: Sequence[int], done: int = 0) -> Steps[Floats]:
    """Measure how fast each channel forgets on the end of a text; (L, H, K), nats per token.

    Raises:
        InputError: there is no text.
    """
    if not ids:
        raise InputError(
            "how fast channels forget is measured on the text, and this memory came without "
            "one; choose a text"
        )
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


def _before_cue(text: Text, cue: tuple[int, ...]) -> Text:
    if cue:
        return text
    if len(text.ids) < (1 if text.root else 2):
        raise InputError(
            "the last token of a text is read after the change, and this one has only "
            "{count}; give a longer text, or something to read next",
            count=len(text.ids),
        )
    return text._replace(ids=text.ids[:-1])


def _read_cue(
    lab: Lab, state: State, recipe: Recipe, done: int
) -> Steps[tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], State]]:
    if recipe.cue:
        return (yield from lab.read_together(state, recipe.cue, done))
    last = [text.ids[-1] for text in (*recipe.sources, recipe.sources[0])]
    logits, after = lab.model.forward(torch.tensor(last)[:, None], state)
    yield Progress(done + len(last))
    return logits.cpu().numpy(), after
