"""Rows of tokens from several sources, each a pure function of its number.

A prepared corpus is a folder: `<source>.npz` with `tokens` (uint16, documents one after
the other, each beginning with the end-of-text id) and `starts` (int64, where they begin).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwkv_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Source:
    """Documents of one kind."""

    name: str
    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    _kept: dict[tuple[int, int], NDArray[np.uint16]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> Source:
        """Read one source of a prepared corpus.

        Raises:
            InputError: the corpus does not hold it.
        """
        there = sorted(path.stem for path in folder.glob("*.npz"))
        if name not in there:
            raise InputError(
                f"{folder} holds no source {name!r}; it has {', '.join(there) or 'none'}"
            )
        with np.load(folder / f"{name}.npz") as file:
            return cls(name, file["tokens"], file["starts"])

    def shuffled(self, seed: int, epoch: int) -> NDArray[np.uint16]:
        """All documents in this epoch's order, as one array; the last one asked for is kept."""
        kept = self._kept.get((seed, epoch))
        if kept is not None:
            return kept
        rng = np.random.default_rng([seed, epoch, len(self.starts)])
        pieces = np.split(self.tokens, self.starts[1:])
        whole = np.concatenate([pieces[i] for i in rng.permutation(len(pieces))])
        self._kept.clear()
        self._kept[seed, epoch] = whole
        return whole

    def row(self, number: int, length: int, seed: int) -> NDArray[np.int64]:
        """Return the number-th row of this source: length + 1 tokens, epoch after epoch."""
        per_epoch = max(1, (len(self.tokens) - 1) // length)
        epoch, place = divmod(number, per_epoch)
        row = self.shuffled(seed, epoch)[place * length : place * length + length + 1]
        return np.resize(row, length + 1).astype(np.int64)


class Batches:
    """Batches of a weighted mix of sources; batch i is the same however one gets to it."""

    def __init__(
        self,
        sources: list[Source],
        weights: list[float],
        *,
        batch: int,
        length: int,
        steps: int,
        seed: int,
        is_pinned: bool = False,
    ) -> None:
        """Plan which source each row of each step comes from.

        Args:
            sources: where rows come from.
            weights: share of the rows of each source, any scale.
            batch: rows per step, B.
            length: tokens per row, T.
            steps: how many batches there are.
            seed: of the plan and of every epoch's order.
            is_pinned: put batches where a GPU fetches them while the CPU goes on.
        """
        shares = np.array(weights) / np.sum(weights)
        rng = np.random.default_rng(seed)
        self._plan = rng.choice(len(sources), size=(steps, batch), p=shares)
        # How many rows of the same source came before each row.
        self._count = np.zeros_like(self._plan)
        for index in range(len(sources)):
            mine = self._plan == index
            self._count[mine] = np.arange(mine.sum())
        self._sources, self._length, self._seed = sources, length, seed
        self._is_pinned = is_pinned
        self.first_step = 0

    def __len__(self) -> int:
        """Count the steps that are left."""
        return len(self._plan) - self.first_step

    def __getitem__(self, step: int) -> Tensor:
        """Make the batch of one step, (B, T + 1) int64."""
        rows = [
            self._sources[source].row(int(number), self._length, self._seed)
            for source, number in zip(self._plan[step], self._count[step], strict=True)
        ]
        batch = torch.from_numpy(np.stack(rows))
        return batch.pin_memory() if self._is_pinned else batch

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """Yield (step, batch) from first_step on."""
        for step in range(self.first_step, len(self._plan)):
            yield step, self[step]

    def epochs(self) -> dict[str, float]:
        """How often the whole plan passes over each source."""
        return {
            source.name: float((self._plan == i).sum() * self._length / len(source.tokens))
            for i, source in enumerate(self._sources)
        }
