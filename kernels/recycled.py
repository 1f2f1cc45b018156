"""Memory of results that come and go with every token, kept for the next ones.

A new tensor of some MiB is new memory to the system, which clears it page by page and takes it
back afterwards: a tenth of a token's time with int4 weights.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import weakref

import torch
from torch import Tensor

# Smaller ones the allocator keeps by itself.
LEAST_BYTES = 256 * 1024
# A state before and one after a step, their logits, and one more of each.
KEPT = 6


class Recycled:
    """Makes tensors, and uses their memory again once nobody holds it any more."""

    def __init__(self) -> None:
        """Begin without any."""
        self._free: list[mmap.mmap] = []

    def empty(self, *shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Make float32 tensors of these shapes, side by side, with anything in them."""
        sizes = [math.prod(shape) for shape in shapes]
        whole = self._floats(sum(sizes))
        parts = torch.split(whole, sizes)
        return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))

    def _floats(self, count: int) -> Tensor:
        size = 4 * count
        if size < LEAST_BYTES:
            return torch.empty(count)
        # One step, so that two threads cannot find the same area.
        free, self._free = self._free, []
        area = next((area for area in free if len(area) == size), None) or mmap.mmap(-1, size)
        self._free += [kept for kept in free if kept is not area]
        # The tensor's storage holds the lease, however many views of it there are.
        lease = (ctypes.c_char * size).from_buffer(area)
        weakref.finalize(lease, self._give_back, area).atexit = False
        return torch.frombuffer(lease, dtype=torch.float32)

    def _give_back(self, area: mmap.mmap) -> None:
        self._free.append(area)
        del self._free[:-KEPT]
