"""Packed weights and their products: the compiled library of kernels/cpu/plan.cpp on tensors."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from kernels.build import build_library, default_cache
from kernels.pages import take_pages
from kernels.plan_memory import Room

# How weights are kept; the numbers are those of Format in kernels/cpu/product.h.
PackedFormat = Literal[
    "fp32",
    "fp16",
    "bf16",
    "int8",
    "int4",
    "int4_columns",
    "bf16_rounded",
    "bf12",
    "bf12_rounded",
]
FORMATS: dict[PackedFormat, int] = {
    "fp32": 0,
    "fp16": 1,
    "bf16": 2,
    "int8": 3,
    "int4": 4,
    "int4_columns": 5,
    "bf16_rounded": 6,
    "bf12": 7,
    "bf12_rounded": 8,
}
# Types of weights; formats of few bits are rounded from any of them.
TYPES: dict[torch.dtype, PackedFormat] = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}
# Formats that hold the numbers of a type as they are.
EXACT: dict[PackedFormat, tuple[PackedFormat, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "bf16": ("bf16", "bf16_rounded", "bf12", "bf12_rounded"),
}
# What inputs are rounded to before a product; the order is that of Rounding in product.h.
INPUTS = ("fp32", "int8 by 32", "int8 by 64 in pairs", "bf16", "int8 by 32 for int4")
PANEL_ROWS = 64
# The library's numbers of a thread's room, as kernels.plan_memory.Room has them.
ROOM = ("plan_room_floats", "plan_rows_of_chunk", "plan_rows_of_block")
# Memory asked of the system at a time.
AREA_BYTES = 64 * 2**20


class PackedLibrary:
    """The library's functions, with their arguments declared.

    Attributes:
        vectors: which of the processor's instructions it uses.
        room: that a thread has for a plan's values.
    """

    def __init__(self, path: Path) -> None:
        """Load the library."""
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        library = ctypes.CDLL(str(path))
        library.processor_vectors.restype = ctypes.c_char_p
        self.vectors: str = library.processor_vectors().decode()
        floats, rows, blocks = (ctypes.c_int64.in_dll(library, name).value for name in ROOM)
        self.room = Room(floats, {"rows": rows, "blocks": blocks})
        self.pool_create = library.pool_create
        self.pool_create.argtypes, self.pool_create.restype = [ctypes.c_int], pointer
        self.bytes = library.packed_bytes
        self.bytes.argtypes, self.bytes.restype = [size] * 3, size
        self.panel_bytes = library.packed_panel_bytes
        self.panel_bytes.argtypes, self.panel_bytes.restype = [size] * 3, size
        self.rounding = library.packed_rounding
        self.rounding.argtypes, self.rounding.restype = [size], size
        self.most_nonzero = library.packed_most_nonzero
        self.most_nonzero.argtypes, self.most_nonzero.restype = [size], size
        self.rounded_floats = library.packed_rounded_floats
        self.rounded_floats.argtypes, self.rounded_floats.restype = [size] * 2, size
        self.pack = library.packed_pack
        self.pack.argtypes = [pointer, size, pointer, size, size, pointer, *[size] * 5]
        self.pack.restype = ctypes.c_bool
        self.product = library.packed_product
        self.product.argtypes = [pointer, size, pointer, size, size, pointer, pointer, size]
        self.block_bytes, self.block_numbers = library.blocks_bytes, library.blocks_numbers
        for function in (self.block_bytes, self.block_numbers):
            function.argtypes, function.restype = [size], size
        self.unpack = library.blocks_unpack
        self.unpack.argtypes = [pointer, size, pointer, size, pointer]
        self.read = library.memory_read
        self.read.argtypes = [pointer, pointer, size]
        self.multiply = library.registers_multiply
        self.multiply.argtypes, self.multiply.restype = [pointer, size], size
        self.run = library.plan_run
        self.run.argtypes = [pointer] * 3


@lru_cache
def packed_library(cache: Path) -> tuple[PackedLibrary, str]:
    """Compile (or find) and load the library once per process.

    Returns:
        The library and the sentence that says how it was made.

    Raises:
        BuildError: it cannot be compiled here.
    """
    path, how = build_library("plan.cpp", cache)
    return PackedLibrary(path), how


@lru_cache
def thread_pool(threads: int) -> int:
    """Make the threads that plans and products share; they sleep while there is nothing to do.

    Args:
        threads: how many work on a job, the caller among them; at least 1.

    Returns:
        A handle that lives as long as the process.
    """
    library, _ = packed_library(default_cache())
    handle: int = library.pool_create(max(1, threads))
    return handle


class WeightMemory:
    """Memory for many matrices, one after the other."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rest = self._before = torch.empty(0, dtype=torch.uint8)

    def take(self, size: int) -> Tensor:
        """Get some bytes, on a 64-byte boundary."""
        size = -(-size // 64) * 64
        if size > len(self._rest):
            self._rest = torch.frombuffer(take_pages(max(size, AREA_BYTES)), dtype=torch.uint8)
        self._before = self._rest
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def give_back(self) -> None:
        """Take back the bytes that were taken last, and only those."""
        self._rest = self._before


def read_memory(data: Tensor, *, threads: int) -> None:
    """Read every byte and make nothing of it: how fast memory can be, to compare products with.

    Args:
        data: contiguous uint8, the last few KiB of which are left out.
        threads: that read.
    """
    library, _ = packed_library(default_cache())
    library.read(thread_pool(threads), data.data_ptr(), data.numel())


def multiply_registers(format: PackedFormat, *, threads: int) -> int:
    """Multiply without memory: how fast products of many tokens can be, to compare them with.

    Args:
        format: of a matrix, whose products' instruction is used.
        threads: that multiply.

    Returns:
        How many multiplications that were.
    """
    library, _ = packed_library(default_cache())
    return int(library.multiply(thread_pool(threads), FORMATS[format]))


class PackedMatrix:
    """A (rows, columns) weight in panels of 64 rows; see kernels/cpu/panels.h.

    Attributes:
        data: the panels' bytes.
        rows: outputs.
        columns: inputs.
        format: how numbers are kept; int8 and int4 as in rwkv_core.quantization. int4_columns
            holds the same weights as int4 for products that may leave out columns, whose inputs
            are not rounded then; bf12 those of bf16, to the bit, in 12; bf16_rounded and
            bf12_rounded are the same, but may round inputs.
        inputs: one of INPUTS, what products round theirs to.
        skipped_from: share of zeros in one token's inputs from which on their weights are not read.
        threads: that multiply.
        rounded_floats: room that one token's rounded inputs take; 0 where none are rounded.
        panel_bytes: of data, what one token's product reads; bf12's lists of unusual numbers, of
            which there are few, have room behind it.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        format: PackedFormat,
        *,
        threads: int,
        memory: WeightMemory | None = None,
    ) -> None:
        """Reserve memory; write fills it.

        Args:
            rows: outputs.
            columns: inputs.
            format: how numbers are kept.
            threads: that multiply.
            memory: where, for a matrix among many.

        Raises:
            BuildError: the library cannot be compiled here.
        """
        self.rows, self.columns, self.format, self.threads = rows, columns, format, threads
        self._library, _ = packed_library(default_cache())
        self.inputs = INPUTS[self._library.rounding(FORMATS[format])]
        self.skipped_from = 1 - self._library.most_nonzero(FORMATS[format]) / 100
        self.rounded_floats = int(self._library.rounded_floats(FORMATS[format], columns))
        self.panel_bytes: int = self._library.panel_bytes(FORMATS[format], rows, columns)
        size = self._library.bytes(FORMATS[format], rows, columns)
        self.data = (memory or WeightMemory()).take(size)

    @property
    def code(self) -> int:
        """The format's number in C++."""
        return FORMATS[self.format]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Where the panels lie."""
        return (self.data,)

    def write(self, first: int, values: Tensor) -> bool:
        """Pack some rows.

        Args:
            first: number of the first row, a multiple of 64.
            values: rows `first` on, (n, columns) floats, strided or not: of the format's type,
                or of any, to be rounded to int8 or int4 as in rwkv_core.quantization.

        Returns:
            Whether the format holds them; bf12 does if few numbers are of unusual size.
        """
        type = TYPES[values.dtype]
        assert first % PANEL_ROWS == 0
        assert self.format in (*EXACT[type], "int8", "int4", "int4_columns")
        fits: bool = self._library.pack(
            thread_pool(self.threads),
            FORMATS[self.format],
            self.data.data_ptr(),
            self.rows,
            first,
            values.data_ptr(),
            FORMATS[type],
            len(values),
            self.columns,
            values.stride(0),
            values.stride(-1),
        )
        return fits

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply x (..., columns); the result (..., rows) is float32."""
        flat = x.float().contiguous().view(-1, self.columns)
        y = torch.empty(len(flat), self.rows, dtype=torch.float32)
        self._library.product(
            thread_pool(self.threads),
            FORMATS[self.format],
            self.data.data_ptr(),
            self.rows,
            self.columns,
            flat.data_ptr(),
            y.data_ptr(),
            len(flat),
        )
        return y.view(*x.shape[:-1], self.rows)
