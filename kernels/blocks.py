"""Quantised blocks of GGUF files as floats: kernels/cpu/blocks.h on tensors."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from kernels.build import BuildError, default_cache
from kernels.packed import PackedLibrary, packed_library, thread_pool

# GGUF's numbers of the types that the library knows: Q4_0, Q8_0, Q4_K, Q5_K, Q6_K.
COMPILED = frozenset({2, 8, 12, 13, 14})


@lru_cache
def block_library() -> PackedLibrary | None:
    """Get the library once per process, or None where it cannot be compiled.

    What runs the model says why.
    """
    try:
        return packed_library(default_cache())[0]
    except BuildError:
        return None


def unpack_blocks(library: PackedLibrary, kind: int, rows: Tensor) -> Tensor:
    """Turn blocks into numbers, the same bits as gguf.quants.dequantize's.

    Args:
        library: from block_library.
        kind: one of COMPILED.
        rows: (..., bytes) uint8, contiguous, whole blocks.

    Returns:
        (..., numbers) float32; damaged scales may make NaN or infinity.
    """
    assert kind in COMPILED
    assert rows.is_contiguous()
    *before, row_bytes = rows.shape
    blocks, left = divmod(row_bytes, library.block_bytes(kind))
    assert not left
    shape = (*before, blocks * library.block_numbers(kind))
    values = torch.empty(shape, dtype=torch.float32)
    pool, count = thread_pool(torch.get_num_threads()), math.prod(before) * blocks
    library.unpack(pool, kind, rows.data_ptr(), count, values.data_ptr())
    return values
