"""Packed matrices as parts of a network: the same products, from memory laid out for speed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels import PackedFormat, PackedMatrix, WeightMemory
from kernels.packed import TYPES
from rwkv_core.quantization import Rows
from rwkv_core.strategy import Place

# Rows packed at a time, a whole number of panels: converted or rounded copies of more would be
# memory that nobody asked for.
BLOCK_BYTES = 2 * 2**20
_PANEL_ROWS = 64
_DTYPES = {name: dtype for dtype, name in TYPES.items()}


class Packed(nn.Module):
    """A (out, in) weight in packed form, used as models.blocks.Matrix is; products in float32."""

    def __init__(self, weight: PackedMatrix) -> None:
        """Wrap a weight; its bytes are a buffer."""
        super().__init__()
        self.weight = weight
        self.register_buffer("data", weight.data, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (..., in); the result (..., out) is float32."""
        return self.weight.multiply(x)


class PackedStack(nn.ModuleList):
    """Several weights of one shape, from a (n, in, out) parameter."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (n, tokens, in), each part by its own weight; (n, tokens, out) float32."""
        return torch.stack([weight(part) for weight, part in zip(self, x, strict=True)])


def stored_format(
    dtype: torch.dtype, place: Place, *, is_low_rank: bool = False, is_sparse: bool = False
) -> PackedFormat:
    """Say how a matrix is kept.

    Where the strategy says fp32, weights of 16 bits keep them: floats of twice the size would
    be the same numbers. int8 and int4 are for whole matrices; low ranks stay floats.

    Args:
        dtype: in the file.
        place: of the strategy.
        is_low_rank: whether it is half of a low-rank matrix.
        is_sparse: whether many of its inputs are zero, whose columns are then not read.
    """
    if place.format != "float" and not is_low_rank:
        return "int4_columns" if is_sparse and place.format == "int4" else place.format
    return TYPES[dtype] if place.dtype == torch.float32 else TYPES[place.dtype]


def pack(
    tensor: Rows, format: PackedFormat, *, threads: int, memory: WeightMemory | None = None
) -> Packed:
    """Pack a (out, in) weight, a few rows at a time."""
    rows, columns = tensor.shape
    weight = PackedMatrix(rows, columns, format, threads=threads, memory=memory)
    step = max(1, BLOCK_BYTES // (4 * columns * _PANEL_ROWS)) * _PANEL_ROWS
    for first in range(0, rows, step):
        part = tensor[first : first + step]
        weight.write(first, part if format not in _DTYPES else part.to(_DTYPES[format]))
    return Packed(weight)


def pack_low_rank(
    tensor: Tensor, format: PackedFormat, *, threads: int, memory: WeightMemory
) -> Packed | PackedStack:
    """Pack a parameter that stands on the right of x: (in, out), or several, (n, in, out)."""
    if tensor.dim() == 2:
        return pack(tensor.mT, format, threads=threads, memory=memory)
    return PackedStack([pack(part.mT, format, threads=threads, memory=memory) for part in tensor])
