"""Memory of results that come and go with every token, kept for the next ones.

A new tensor of some MiB is new memory to the system, which clears it page by page and takes it
back afterwards: a tenth of a token's time with int4 weights.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import weakref
from itertools import accumulate
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from kernels.pages import take_pages

# Smaller ones the allocator keeps by itself.
LEAST_BYTES = 256 * 1024
# Free memory that is kept: of the largest area, so that a batch's last state becomes its next one,
# and half as much again for single conversations that are read between its steps.
KEPT_SHARE = 1.5
# A state takes an area that was larger by at most so much: a batch loses one conversation after another.
LARGER = 2

_Lease = weakref.ref[ctypes.Array[ctypes.c_char]]


class Layout(NamedTuple):
    """Tensors side by side: their shapes, where each begins, and their size in bytes."""

    parts: tuple[tuple[tuple[int, ...], int], ...]
    size: int

    @classmethod
    def of(cls, *shapes: tuple[int, ...]) -> Self:
        """Lay out float32 tensors."""
        ends = tuple(accumulate(4 * math.prod(shape) for shape in shapes))
        return cls(tuple(zip(map(tuple, shapes), (0, *ends), strict=False)), ends[-1])


class Recycled:
    """Makes tensors, and uses their memory again once nobody holds it any more."""

    def __init__(self) -> None:
        """Begin without any."""
        self._free: list[mmap.mmap] = []
        # Areas in use, by the identity of the reference that tells when they no longer are.
        self._leases: dict[int, tuple[_Lease, mmap.mmap]] = {}

    def empty(self, layout: Layout) -> tuple[Tensor, ...]:
        """Make float32 tensors with anything in them."""
        memory = self._take(layout.size)
        # NumPy's calls take half the time of torch's where nothing of them is in the cache, since
        # weights have just gone through it.
        return tuple(
            torch.from_numpy(np.ndarray(shape, np.float32, memory, start))
            for shape, start in layout.parts
        )

    def _take(self, size: int) -> Any:
        if size < LEAST_BYTES:
            return bytearray(size)
        # One step, so that two threads cannot find the same area.
        free, self._free = self._free, []
        fitting = [area for area in free if size <= len(area) <= LARGER * size]
        area = min(fitting, key=len) if fitting else take_pages(size)
        self._free += [kept for kept in free if kept is not area]
        # The arrays hold the lease, however many views of them there are.
        lease = (ctypes.c_char * size).from_buffer(area)
        watch = weakref.ref(lease, self._give_back)
        self._leases[id(watch)] = watch, area
        return lease

    def _give_back(self, watch: _Lease) -> None:
        # Whichever list another thread may have taken meanwhile, no area comes into two.
        free = self._free
        free.append(self._leases.pop(id(watch))[1])
        sizes = [len(area) for area in free]
        while sum(sizes) > KEPT_SHARE * max(sizes):
            del sizes[0], free[:1]
