"""Read a GGUF file of llama.cpp: metadata and a list of tensors, then their numbers.

Types, block sizes and what quantised blocks mean come from the package `gguf`; the most common
blocks are unpacked by compiled code, to the same bits. The package's GGUFReader is not used: it makes
an object of every vocabulary entry, and follows a damaged file's counts however large they are
(docs/decisions/0012).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.blocks import COMPILED, block_library, unpack_blocks
from rwkv_core.checkpoint.weights import FETCH_AGAIN, Contents, QuantizedRows, StoredTensor
from rwkv_core.config import Choice
from rwkv_core.errors import CheckpointError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# More than any vocabulary has entries, and quickly passed over.
MAX_COUNT = 2**22
MAX_AXES = 4
DEFAULT_ALIGNMENT = 32
# Elements at a time, of which the package makes several copies: these stay in the second cache.
DEQUANTIZED_TOGETHER = 2**16

# GGUF's numbers for metadata types -> struct's letter.
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
# GGUF's numbers for tensors' types that torch has.
_DTYPES = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}

Value = str | int | float | bool | None


@dataclass(frozen=True)
class GgufContents:
    """What a GGUF file holds, in its own names.

    Attributes:
        contents: its tensors, (rows, columns) as elsewhere; quantised ones give float32.
        metadata: its single values; None stands for a list.
    """

    contents: Contents
    metadata: dict[str, Value]


def is_gguf(head: bytes) -> bool:
    """Whether a file begins as GGUF does."""
    return head.startswith(MAGIC)


def read_gguf(file: Path) -> GgufContents:
    """Map the tensors of a GGUF file.

    Raises:
        CheckpointError: damaged, of an unknown version, or with a type that cannot be read.
    """
    # Copy on write: torch wants memory it could write to, and nobody does.
    data = np.memmap(file, mode="c")
    reader = _Reader(data.data)
    reader.take(len(MAGIC))
    version = reader.number("I")
    if version not in VERSIONS:
        raise CheckpointError(
            f"is GGUF of version {version}, this reads {VERSIONS[0]} and {VERSIONS[1]}; "
            "convert the model with a current llama.cpp"
        )
    tensor_count, entry_count = reader.count(), reader.count()
    metadata = {reader.string(): reader.value() for _ in range(entry_count)}
    infos = [_read_info(reader) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment % 8:
        raise CheckpointError(f"its alignment is {alignment}, no multiple of 8; {FETCH_AGAIN}")
    start = -(-reader.offset // alignment) * alignment
    tensors: dict[str, StoredTensor] = {}
    for info in infos:
        if info.name in tensors:
            raise CheckpointError(f"lists tensor {info.name[:80]} twice; {FETCH_AGAIN}")
        tensors[info.name] = _map(info, data, start)
    how = Choice("gguf", f"it begins with {MAGIC.decode()}")
    return GgufContents(Contents(tensors, how, files=(file,)), metadata)


@dataclass(frozen=True)
class _Info:
    """One tensor: name, axes (outermost first), GGUF's number of its type, where it starts."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def _read_info(reader: _Reader) -> _Info:
    name = reader.string()
    axes = reader.number("I")
    if not 1 <= axes <= MAX_AXES:
        raise CheckpointError(f"tensor {name[:80]} has {axes} axes; {FETCH_AGAIN}")
    shape = tuple(reader.number("Q") for _ in range(axes))
    return _Info(name, shape[::-1], reader.number("I"), reader.number("Q"))


def _map(info: _Info, data: NDArray[np.uint8], start: int) -> StoredTensor:
    """Check a tensor against the file's size, and map it."""
    # Imported here because it takes a fifth of a second, and most files are not GGUF.
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(info.kind)
    except ValueError as error:
        raise CheckpointError(
            f"tensor {info.name[:80]} has the unknown type {info.kind}; {FETCH_AGAIN}"
        ) from error
    block, block_bytes = GGML_QUANT_SIZES[kind]
    begin, columns = start + info.offset, info.shape[-1]
    nbytes = math.prod(info.shape) // block * block_bytes
    if columns % block or begin % 8 or nbytes <= 0 or begin + nbytes > len(data):
        raise CheckpointError(
            f"truncated or damaged (tensor {info.name[:80]} {info.shape} should end at byte "
            f"{begin + nbytes} of {len(data)}); {FETCH_AGAIN}"
        )
    raw = np.asarray(data[begin : begin + nbytes])
    rows = raw.reshape(*info.shape[:-1], columns // block * block_bytes)
    if info.kind in _DTYPES:
        tensor = torch.from_numpy(rows).view(_DTYPES[info.kind])
        return StoredTensor.of(tensor)
    _check_can_dequantize(kind, block_bytes, info.name)
    found = None
    if len(info.shape) == 2 and kind.value in COMPILED:
        blocks = torch.from_numpy(rows)
        found = QuantizedRows(kind.value, blocks, lambda some: _unpack(some.numpy(), kind))
    return StoredTensor(
        info.shape,
        torch.float32,
        lambda part: _unpack(rows[part], kind),
        quantized=found,
        bits=8 * block_bytes / block,
    )


def _check_can_dequantize(kind: GGMLQuantizationType, block_bytes: int, name: str) -> None:
    try:
        _dequantize(np.zeros((1, block_bytes), np.uint8), kind)
    except NotImplementedError as error:
        raise CheckpointError(
            f"tensor {name[:80]} is of type {kind.name}, which cannot be read here; choose a "
            "file in F16, BF16 or Q8_0"
        ) from error


def _unpack(rows: NDArray[np.uint8], kind: GGMLQuantizationType) -> Tensor:
    """Turn quantised rows into float32, by compiled code if it knows the type and there is any."""
    # Compiled when numbers are asked for: whether a file is damaged needs no compiler.
    library = block_library() if kind.value in COMPILED else None
    if library is None:
        return _dequantize(rows, kind)
    return unpack_blocks(library, kind.value, torch.from_numpy(rows))


def _dequantize(rows: NDArray[np.uint8], kind: GGMLQuantizationType) -> Tensor:
    """Turn quantised rows into float32, some at a time."""
    from gguf.quants import dequantize, quant_shape_from_byte_shape

    values = torch.empty(quant_shape_from_byte_shape(rows.shape, kind), dtype=torch.float32)
    step = max(1, DEQUANTIZED_TOGETHER // math.prod(values.shape[1:]))
    # Damaged scales may overflow; the check of every weight says so.
    with np.errstate(all="ignore"):
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            # As one long row: of many short ones the package takes sixteen at a time.
            numbers = torch.from_numpy(dequantize(some.reshape(1, -1), kind))
            values[start : start + step] = numbers.view(len(some), *values.shape[1:])
    return values


class _Reader:
    """Takes values from the front of a file, never beyond its end."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.offset = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self.offset:
            raise CheckpointError(
                f"truncated or damaged (its header asks for {count} bytes at {self.offset} of "
                f"{len(self._data)}); {FETCH_AGAIN}"
            )
        self.offset += count
        return bytes(self._data[self.offset - count : self.offset])

    def number(self, letter: str) -> int:
        return int(self._scalar(letter))

    def count(self) -> int:
        count = self.number("Q")
        if count > MAX_COUNT:
            raise CheckpointError(
                f"truncated or damaged (its header counts {count} entries); {FETCH_AGAIN}"
            )
        return count

    def string(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self) -> Value:
        """Read one metadata value; a list is passed over."""
        kind = self.number("I")
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self._scalar(self._letter(kind))
        kind, count = self.number("I"), self.count()
        if kind == _STRING:
            for _ in range(count):
                self.take(self.number("Q"))
        else:
            self.take(count * struct.calcsize(self._letter(kind)))
        return None

    def _scalar(self, letter: str) -> int | float | bool:
        value: int | float | bool
        (value,) = struct.unpack(f"<{letter}", self.take(struct.calcsize(f"<{letter}")))
        return value

    def _letter(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise CheckpointError(
                f"truncated or damaged (metadata of the unknown type {kind}); {FETCH_AGAIN}"
            )
        return _SCALARS[kind]
