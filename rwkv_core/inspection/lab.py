"""A model to try things on: reading and writing in small steps, so that others get their turn.

An experiment is a generator: it yields `Progress` after each bounded piece of work and returns
its result. The engine runs many of them by turns; `finish` runs one at once, in a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch

from rwkv_core.generate import GenerationSettings, TextAssembler, make_token
from rwkv_core.inspection.arrays import Floats
from rwkv_core.models import Model
from rwkv_core.sampling import Logits, Penalties, sample, weigh
from rwkv_core.sessions import Snapshot
from rwkv_core.state import State
from rwkv_core.tokenizer import Tokenizer

T = TypeVar("T")


class Progress(NamedTuple):
    """How far an experiment has come.

    Attributes:
        done: tokens read and written so far, over all copies.
        so_far: what is known by now, of the result's type; None for nothing new.
    """

    done: int
    so_far: object | None = None


class Text(NamedTuple):
    """What a memory has read.

    Attributes:
        ids: its tokens; may be none where it has a root.
        root: the held memory that it begins from, see Engine.hold; "" for that of every text.
    """

    ids: tuple[int, ...]
    root: str = ""


Steps: TypeAlias = Generator[Progress, None, T]


def finish(steps: Steps[T]) -> T:
    """Run an experiment to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _recall_nothing(_text: Text) -> Snapshot | None:
    return None


def _keep_nothing(_text: Text, _snapshot: Snapshot) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Lab:
    """What experiments run on.

    Attributes:
        model: reads and writes.
        tokenizer: the model's.
        start: memory that every text begins from, B = 1; an empty one where None.
        chunk_tokens: tokens read at once between two steps.
        recall: finds a kept memory after a beginning of a text; at least its root, if it has one.
        keep: keeps the memory after a text.
    """

    model: Model
    tokenizer: Tokenizer
    start: State | None = None
    chunk_tokens: int = 128
    recall: Callable[[Text], Snapshot | None] = _recall_nothing
    keep: Callable[[Text, Snapshot], None] = _keep_nothing

    def read(self, text: Text, done: int = 0) -> Steps[Snapshot]:
        """Read a text from its start, or from the nearest memory kept.

        Args:
            text: at least one id, or a root.
            done: tokens of the experiment before this text.

        Returns:
            The memory; its scores are empty, (0,), where nobody knows them.
        """
        kept = self.recall(text)
        if kept is not None and kept.length == len(text.ids):
            return kept
        rest = text.ids[kept.length if kept else 0 :]
        snapshot = yield from self.read_after(kept, rest, done)
        self.keep(text, snapshot)
        return snapshot

    def read_after(
        self, before: Snapshot | None, ids: Sequence[int], done: int = 0
    ) -> Steps[Snapshot]:
        """Read on from a memory; from the start where it is None.

        Args:
            before: B = 1; not changed.
            ids: at least one.
            done: tokens of the experiment before these.
        """
        state, logits = (before.state, None) if before else (self.start, None)
        for at in range(0, len(ids), self.chunk_tokens):
            chunk = list(ids[at : at + self.chunk_tokens])
            logits, state = self.model.forward(chunk, state)
            yield Progress(done + at + len(chunk))
        assert state is not None
        assert logits is not None
        length = (before.length if before else 0) + len(ids)
        return Snapshot(length, state, logits[0].cpu().numpy())

    def read_together(
        self, state: State, ids: Sequence[int], done: int = 0
    ) -> Steps[tuple[Logits, State]]:
        """Let every memory of a batch read the same text.

        Args:
            state: B memories; not changed.
            ids: at least one.
            done: tokens of the experiment before these.

        Returns:
            Logits (B, V) after the last token, and the B memories.
        """
        copies, logits = state.batch_size, None
        step = max(1, self.chunk_tokens // copies)
        for at in range(0, len(ids), step):
            chunk = torch.tensor(ids[at : at + step], dtype=torch.int64)
            logits, state = self.model.forward(chunk.expand(copies, -1), state)
            yield Progress(done + copies * (at + len(chunk)))
        assert logits is not None
        return logits.cpu().numpy(), state

    def write_together(
        self, state: State, logits: Logits, settings: GenerationSettings, done: int = 0
    ) -> Steps[tuple[str, ...]]:
        """Let every memory of a batch go on writing, all under the same noise.

        The noise of the n-th new token depends on seed and n alone, however long the texts
        before are: the texts differ only where the memories do.

        Args:
            state: B memories; not changed.
            logits: (B, V) after what each has read.
            settings: with a seed.
            done: tokens of the experiment before these.

        Yields:
            The B texts so far, with each step.
        """
        rows = [_Writer(self.tokenizer, settings) for _ in range(state.batch_size)]
        for position in range(settings.max_tokens):
            tokens = [
                row.choose(scores, position) for row, scores in zip(rows, logits, strict=True)
            ]
            texts = tuple(row.assembler.text for row in rows)
            yield Progress(done + len(rows) * (position + 1), texts)
            if all(row.is_done for row in rows) or position + 1 == settings.max_tokens:
                break
            after, state = self.model.forward(torch.tensor(tokens)[:, None], state)
            logits = after.cpu().numpy()
        for row in rows:
            row.assembler.finish()
        return tuple(row.assembler.text for row in rows)


class _Writer:
    """One text of several that are written together."""

    def __init__(self, tokenizer: Tokenizer, settings: GenerationSettings) -> None:
        self.assembler = TextAssembler(tokenizer, settings.stop)
        self.is_done = False
        self._tokenizer, self._settings = tokenizer, settings
        self._penalties = Penalties(settings.sampling, tokenizer)

    def choose(self, logits: Logits, position: int) -> int:
        """Take the next token; after the end of the text, any, which is not shown."""
        sampling, scores = self._settings.sampling, weigh(logits)
        token = sample(
            scores, sampling, seed=sampling.seed or 0, position=position, penalties=self._penalties
        )
        if token in self._settings.stop_tokens:
            self.is_done = True
        if not self.is_done:
            self._penalties = self._penalties.after(token)
            self.assembler.feed(make_token(token, scores, self._tokenizer))
            self.is_done = self.assembler.is_stopped
        return token


def log2_probabilities(logits: Floats) -> Floats:
    """Turn logits (..., V) into log2 probabilities, in float64."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    bits: Floats = (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))) / np.log(2.0)
    return bits
