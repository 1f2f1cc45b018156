"""Packed matrices as parts of a network: the same products, from memory laid out for speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kernels.cuda.matrix import CudaMatrix
from kernels.packed import TYPES, PackedFormat, PackedMatrix, WeightMemory
from kernels.plan_parts import StoredMatrix
from rwkv_core.checkpoint import StoredTensor
from rwkv_core.quantization import Rows, dequantize_int8, quantize_int4, quantize_int8
from rwkv_core.strategy import Place

# Rows packed at a time, a whole number of panels: converted or rounded copies of more would be
# memory that nobody asked for.
BLOCK_BYTES = 2 * 2**20
_PANEL_ROWS = 64
_DTYPES = {name: dtype for dtype, name in TYPES.items()} | {"bf16_rounded": torch.bfloat16}


class Packed(nn.Module):
    """A (out, in) weight in packed form, used as models.blocks.Matrix is; products in float32."""

    def __init__(self, weight: StoredMatrix) -> None:
        """Wrap a weight; its bytes are buffers."""
        super().__init__()
        self.weight = weight
        for index, tensor in enumerate(weight.tensors):
            self.register_buffer(f"data{index}", tensor, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (..., in); the result (..., out) is float32."""
        return self.weight.multiply(x)


class MatrixStack(nn.ModuleList):
    """Several matrices of one shape, from a (n, in, out) parameter."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (n, tokens, in), each part by its own matrix; (n, tokens, out) float32."""
        return torch.stack([matrix(part) for matrix, part in zip(self, x, strict=True)])


def stored_format(
    dtype: torch.dtype, place: Place, *, is_low_rank: bool = False, is_sparse: bool = False
) -> PackedFormat:
    """Say how a matrix is kept.

    Where the strategy says fp32, weights of 16 bits keep them: floats of twice the size would
    be the same numbers. Low ranks are never int4: they are few, and errors of decays last.
    Strategies of bf16 let products round their inputs to bf16 too.

    Args:
        dtype: in the file.
        place: of the strategy.
        is_low_rank: whether it is half of a low-rank matrix.
        is_sparse: whether many of its inputs are zero, whose columns are then not read.
    """
    if place.format == "int4" and not is_low_rank:
        return "int4_columns" if is_sparse else "int4"
    if place.format != "float":
        return "int8"
    kept = TYPES[dtype if place.dtype == torch.float32 else place.dtype]
    is_rounded = place.dtype != torch.float32
    return "bf16_rounded" if kept == "bf16" and is_rounded else kept


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


def pack_for_gpu(
    tensor: Rows, place: Place, device: torch.device, *, is_low_rank: bool, is_sparse: bool
) -> Packed:
    """Put a (out, in) weight into a GPU's memory, a few rows at a time."""
    rows, columns = tensor.shape
    format = TYPES[place.dtype] if place.format == "float" or is_low_rank else place.format
    is_rounded = is_low_rank and place.format != "float"
    weight = CudaMatrix(rows, columns, format, place.dtype, device, by_columns=is_sparse)
    step = max(1, BLOCK_BYTES // (4 * columns * _PANEL_ROWS)) * _PANEL_ROWS
    for first in range(0, rows, step):
        part = tensor[first : first + step]
        if is_rounded:
            # The numbers that other devices have; in floats, since they are few.
            weight.write(first, dequantize_int8(*quantize_int8(part)).to(place.dtype))
        elif format == "int8":
            weight.write(first, *quantize_int8(part))
        elif format == "int4":
            weight.write(first, *quantize_int4(part))
        else:
            weight.write(first, part.to(place.dtype))
    return Packed(weight)


# Packs a matrix: what is in the file (its type), a view of it with rows as outputs, its place,
# whether it is half of a low-rank one, whether many of its inputs are zero.
Packer = Callable[[StoredTensor, Rows, Place, bool, bool], Packed]


def packer(threads: int, device: torch.device | None) -> Packer:
    """Make what packs a model's matrices, for the CPU's plan or for a GPU's.

    Args:
        threads: of the CPU's products.
        device: the GPU; None for the CPU.
    """
    memory = WeightMemory()

    def make(
        stored: StoredTensor, rows: Rows, place: Place, is_low_rank: bool, is_sparse: bool
    ) -> Packed:
        if device is not None:
            return pack_for_gpu(rows, place, device, is_low_rank=is_low_rank, is_sparse=is_sparse)
        kept = stored_format(stored.dtype, place, is_low_rank=is_low_rank, is_sparse=is_sparse)
        return pack(rows, kept, threads=threads, memory=memory)

    return make


def low_rank_module(stored: StoredTensor, make: Callable[[Tensor], nn.Module]) -> nn.Module:
    """Make matrices of a parameter on the right of x: (in, out), or several, (n, in, out)."""
    tensor = stored[:]
    if tensor.dim() == 2:
        return make(tensor.mT)
    return MatrixStack([make(part.mT) for part in tensor])
