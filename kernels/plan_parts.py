"""What a plan is made of, as C++ and CUDA read it: structures, values, and weights."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

# Kinds of phases, see kernels.plan.
SPACES = ("rows", "products", "blocks")
# The order is that of Kind in kernels/cpu/plan.cpp.
KINDS = [
    "embed",
    "layer_norm",
    "shift",
    "mix",
    "product",
    "affine",
    "multiply",
    "lerp",
    "normalize",
    "group_norm",
    "bonus",
    "wkv7",
    "wkv6",
    "wkv4",
    "nonzero",
    "row_product",
    "round",
]
# The kind of products; which of their inputs lists those of x that are not 0, which is x rounded, and
# which is no input at all but their result, rounded for the next products.
PRODUCT, NONZERO, ROUNDED, ROUNDED_RESULT = KINDS.index("product"), 2, 3, 4


class Slot(ctypes.Structure):
    """Where a value lies; see kernels/cpu/plan.cpp.

    offset: floats before it for each token of a run; ~floats where it lies in a thread's room.
    start: of a part. ld: floats from row to row.
    """

    _fields_ = [(name, ctypes.c_int64) for name in ("offset", "start", "ld", "size")]


class Step(ctypes.Structure):
    """One step; see kernels/cpu/plan.cpp."""

    _fields_ = [
        ("kind", ctypes.c_int64),
        ("out", ctypes.c_int64),
        ("inputs", ctypes.c_int64 * 6),
        ("data", ctypes.c_void_p * 3),
        ("number", ctypes.c_int64 * 4),
        ("value", ctypes.c_double),
        ("tail", ctypes.c_int64),
    ]


class Phase(ctypes.Structure):
    """Steps between two meetings of the threads; see kernels/cpu/plan.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("space", "first", "count", "chunks_of", "tail")]


class StoredMatrix(Protocol):
    """A (rows, columns) weight as the plan's library reads it."""

    rows: int
    columns: int

    @property
    def format(self) -> str:
        """How numbers are kept."""

    @property
    def data(self) -> Tensor:
        """Where the numbers lie."""

    @property
    def code(self) -> int:
        """The format's number."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The numbers, and their scales if those lie apart."""

    @property
    def inputs(self) -> str:
        """What products round their inputs to, one of kernels.packed.INPUTS."""

    @property
    def skipped_from(self) -> float:
        """Share of zeros in one token's inputs from which on their weights are not read."""

    @property
    def rounded_floats(self) -> int:
        """Room that one token's rounded inputs take; 0 where none are rounded."""

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply x (..., columns) outside of a plan; (..., rows) float32."""


@dataclass(frozen=True)
class Value:
    """What a step makes: so many floats per token."""

    number: int
    size: int
