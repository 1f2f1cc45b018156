"""Weights by official name, each read, converted and checked only when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from rwkv_core.config import Choice
from rwkv_core.errors import CheckpointError

FETCH_AGAIN = "fetch the file again"
# Elements converted at a time: with a handful of float32 temporaries still a few megabytes.
BLOCK_ELEMENTS = 2**20
# Elements that torch looks at on one thread: several would spin between two looks, in the way of
# the threads that pack what was looked at.
CHECKED_TOGETHER = 2**15 - 1


def in_file(file_name: str, error: CheckpointError) -> CheckpointError:
    """Say in which file an error is, on one line: names in damaged files may hold anything."""
    text = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(error)
    )
    return type(error)(f"{file_name}: {text}")


@dataclass(frozen=True)
class QuantizedRows:
    """Rows as a file holds them, in blocks of fewer bits than torch's types.

    Attributes:
        kind: GGUF's number of their type.
        blocks: (rows, bytes of a row) uint8, mapped.
        unpack: makes float32 (..., columns) of some of them.
    """

    kind: int
    blocks: Tensor
    unpack: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file that is read, and converted if need be, when asked for.

    Attributes:
        shape: after conversion to the official format.
        dtype: in which it is given out.
        read: makes rows of it, that is a slice along the first axis; memory-mapped where
            nothing had to be converted. A tensor without axes is given out whole.
        quantized: the same numbers as they lie in the file, where that is shorter and rows of
            them can be looked up there.
        bits: that a number takes in a file whose type torch does not have, on average.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[slice], Tensor]
    quantized: QuantizedRows | None = None
    bits: float | None = None

    @classmethod
    def of(cls, tensor: Tensor) -> StoredTensor:
        """Wrap a tensor that is at hand."""
        whole = tensor.dim() == 0
        return cls(
            tuple(tensor.shape), tensor.dtype, lambda rows: tensor if whole else tensor[rows]
        )

    def __getitem__(self, rows: slice) -> Tensor:
        """Read some rows."""
        return self.read(rows)

    def blocks(self, elements: int = BLOCK_ELEMENTS) -> Iterator[tuple[slice, Tensor]]:
        """Read it piece by piece: (which rows, these rows), about so many elements each."""
        if not self.shape:
            yield slice(None), self.read(slice(None))
            return
        count = self.shape[0]
        step = max(1, elements * count // max(1, self.numel))
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            yield rows, self.read(rows)

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return torch.Size(self.shape).numel()

    @property
    def nbytes(self) -> int:
        """Bytes it takes when read."""
        return self.numel * self.dtype.itemsize

    def each_row(self, change: Callable[[Tensor], Tensor]) -> StoredTensor:
        """Change its values, row by row; shape and dtype stay."""
        return replace(self, read=lambda rows: change(self.read(rows)), quantized=None)

    def reshaped(self, *shape: int) -> StoredTensor:
        """Give it another shape; left as it is where the sizes do not fit, for a later check."""
        if torch.Size(shape).numel() != self.numel:
            return self
        return self._turned(shape, lambda whole: whole.reshape(shape))

    def transposed(self) -> StoredTensor:
        """Swap its last two axes; left as it is where there are none, for a later check."""
        if len(self.shape) < 2:
            return self
        *before, rows, columns = self.shape
        # Contiguous, for products to round as those of an official file.
        return self._turned((*before, columns, rows), lambda whole: whole.mT.contiguous())

    def part(self, index: int, shape: tuple[int, ...]) -> StoredTensor:
        """Take the index-th entry of the first axis, in another shape of equal size."""
        return self._turned(shape, lambda whole: whole[index].reshape(shape))

    def _turned(self, shape: tuple[int, ...], turn: Callable[[Tensor], Tensor]) -> StoredTensor:
        # Reads the whole; what must be turned is small in every format.
        read = lambda rows: turn(self.read(slice(None)))[rows]  # noqa: E731
        return replace(self, shape=shape, read=read, quantized=None)


class Weights(Mapping[str, Tensor]):
    """A file's weights by official name; each is checked for NaN and infinity when read."""

    def __init__(
        self, tensors: Mapping[str, StoredTensor], file_name: str, *, is_checked: bool = True
    ) -> None:
        """Wrap tensors; file_name is for error messages."""
        self._tensors = dict(tensors)
        self._file_name = file_name
        self._is_checked = is_checked

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by name, without reading."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Dtype by name, without reading."""
        return {name: tensor.dtype for name, tensor in self._tensors.items()}

    @property
    def quantized_bytes(self) -> dict[str, int]:
        """Bytes in the file by name, of those whose rows can be looked up in quantised blocks."""
        return {
            name: tensor.quantized.blocks.nbytes
            for name, tensor in self._tensors.items()
            if tensor.quantized
        }

    @property
    def bits(self) -> float:
        """Bits that a number takes in the file, on average."""
        tensors = self._tensors.values()
        total = sum(x.numel * (x.bits or 8 * x.dtype.itemsize) for x in tensors)
        return total / max(1, sum(x.numel for x in tensors))

    def without(self, names: Collection[str]) -> Weights:
        """Leave tensors out."""
        kept = {name: tensor for name, tensor in self._tensors.items() if name not in names}
        return Weights(kept, self._file_name, is_checked=self._is_checked)

    def unchecked(self) -> Weights:
        """Give the same tensors out without a look at their values."""
        return Weights(self._tensors, self._file_name, is_checked=False)

    def stored(self, name: str) -> StoredTensor:
        """Return one tensor to be read in pieces, each checked as `weights[name]` is."""
        tensor = self._tensors[name]
        if not self._is_checked:
            return tensor
        return replace(tensor, read=lambda rows: self._check(name, tensor.read(rows)))

    def __getitem__(self, name: str) -> Tensor:
        """Return one tensor, or raise CheckpointError where it holds NaN or infinity."""
        return self.stored(name)[:]

    def _check(self, name: str, values: Tensor) -> Tensor:
        for piece in torch.split(values.flatten(), CHECKED_TOGETHER) if values.numel() else ():
            # NaN reaches both ends of the range; one pass, no copy.
            low, high = torch.aminmax(piece)
            if not (math.isfinite(low) and math.isfinite(high)):
                raise CheckpointError(
                    f"{self._file_name}: tensor {name} holds NaN or infinity; {FETCH_AGAIN}"
                )
        return values

    def __iter__(self) -> Iterator[str]:
        """Iterate over names."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Count tensors."""
        return len(self._tensors)


@dataclass(frozen=True)
class Contents:
    """What a reader of one format hands on.

    Attributes:
        tensors: name -> tensor; whether the names are official is the next step's question.
        format: in which format it came, and how that was told.
        ln_x_eps: epsilon of the group norm where the format states one.
        files: the files that hold the tensors.
    """

    tensors: dict[str, StoredTensor]
    format: Choice
    ln_x_eps: float | None = None
    files: tuple[Path, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """A readable weights file; nothing is known yet of the model in it.

    Attributes:
        name: file name without its suffix, or the folder's where the file's says nothing.
        path: the file, or the index of its shards.
        file_bytes: size on disk, of all shards together.
        format: in which format it came, and how that was told.
        tensors: official name -> weight, in the file's dtype.
        ln_x_eps: epsilon of the group norm where the file states one.
    """

    name: str
    path: Path
    file_bytes: int
    format: Choice
    tensors: Weights
    ln_x_eps: float | None = None
