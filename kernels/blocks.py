"""Quantised blocks of GGUF files as floats: kernels/cpu/blocks.h on tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.build import default_cache
from kernels.packed import PackedLibrary, packed_library, thread_pool
from kernels.pages import take_pages

# Of tables that stay, many small pages take as long as unpacking them.
PAGES_FROM = 16 * 2**20


@dataclass(frozen=True)
class Blocks:
    """One of GGUF's types.

    Attributes:
        kind: GGUF's number of it.
        bytes: of a block.
        numbers: in a block.
        library: that unpacks them.
    """

    kind: int
    bytes: int
    numbers: int
    library: PackedLibrary

    @classmethod
    def of(cls, kind: int) -> Blocks | None:
        """Find a type; None where it is not known here.

        Raises:
            BuildError: the library cannot be compiled here.
        """
        library, _ = packed_library(default_cache())
        size = library.block_bytes(kind)
        return cls(kind, size, library.block_numbers(kind), library) if size else None

    def unpack(self, rows: Tensor) -> Tensor:
        """Turn blocks into numbers, the same bits as gguf.quants.dequantize's.

        Args:
            rows: (..., bytes) uint8, contiguous, whole blocks.

        Returns:
            (..., numbers) float32; damaged scales may make NaN or infinity.
        """
        *before, row_bytes = rows.shape
        assert rows.is_contiguous()
        assert row_bytes % self.bytes == 0
        shape = (*before, row_bytes // self.bytes * self.numbers)
        size = 4 * math.prod(shape)
        if size >= PAGES_FROM:
            values = torch.frombuffer(take_pages(size), dtype=torch.float32).view(shape)
        else:
            values = torch.empty(shape)
        pool, count = thread_pool(torch.get_num_threads()), rows.numel() // self.bytes
        self.library.unpack(pool, self.kind, rows.data_ptr(), count, values.data_ptr())
        return values
