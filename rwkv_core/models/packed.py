"""Packed matrices as parts of a network: the same products, from memory laid out for speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kernels.cuda.matrix import CudaMatrix
from kernels.packed import EXACT, TYPES, PackedFormat, PackedMatrix, WeightMemory
from kernels.plan_parts import StoredMatrix
from rwkv_core.checkpoint import StoredTensor
from rwkv_core.config import ModelConfig
from rwkv_core.quantization import Rows, dequantize_int8, quantize_int4, quantize_int8
from rwkv_core.strategy import Place

# Rows packed at a time, a whole number of panels for each thread, as floats: what one thread has
# just made of quantised blocks should still be in its second cache.
BLOCK_BYTES = 2**19
# For a GPU, where every part is a copy to it.
GPU_BLOCK_BYTES = 2 * 2**20
_PANEL_ROWS = 64
# A model whose matrices have so few numbers stays in the processor's caches, which give 16 bits
# sooner than 12 can be unpacked. All others wait for memory.
CACHED_NUMBERS = 8 * 2**20
_DTYPES = {format: dtype for dtype, name in TYPES.items() for format in EXACT[name]}
# What keeps the numbers of a format that cannot hold some matrix.
_LONGER: dict[PackedFormat, PackedFormat] = {"bf12": "bf16", "bf12_rounded": "bf16_rounded"}


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


def is_cached(config: ModelConfig) -> bool:
    """Whether a model's matrices, but for low ranks, are few enough to stay in caches."""
    of_layer = 4 * config.n_embd**2 + 2 * config.n_embd * config.n_ffn
    numbers = config.n_layer * of_layer + config.vocab_size * config.n_embd
    return numbers <= CACHED_NUMBERS


def stored_format(
    dtype: torch.dtype,
    place: Place,
    *,
    is_cached: bool,
    is_low_rank: bool = False,
    is_sparse: bool = False,
) -> PackedFormat:
    """Say how a matrix is kept.

    Where the strategy says fp32, weights of 16 bits keep them: floats of twice the size would
    be the same numbers. Low ranks are never int4: they are few, and errors of decays last.
    bf16 takes 12 bits, without loss, where memory sets the pace. Strategies of bf16 let products
    round their inputs to bf16 too.

    Args:
        dtype: in the file.
        place: of the strategy.
        is_cached: whether the model is small, see is_cached.
        is_low_rank: whether it is half of a low-rank matrix.
        is_sparse: whether many of its inputs are zero, whose columns are then not read.
    """
    if place.format == "int4" and not is_low_rank:
        return "int4_columns" if is_sparse else "int4"
    if place.format != "float":
        return "int8"
    kept = TYPES[dtype if place.dtype == torch.float32 else place.dtype]
    if kept != "bf16":
        return kept
    is_rounded = place.dtype != torch.float32
    if is_cached:
        return "bf16_rounded" if is_rounded else "bf16"
    return "bf12_rounded" if is_rounded else "bf12"


def pack(
    tensor: Rows, format: PackedFormat, *, threads: int, memory: WeightMemory | None = None
) -> Packed:
    """Pack a (out, in) weight, a few rows at a time; bf12 that cannot hold it becomes bf16."""
    rows, columns = tensor.shape
    memory = memory or WeightMemory()
    weight = PackedMatrix(rows, columns, format, threads=threads, memory=memory)
    panel_bytes = 4 * columns * _PANEL_ROWS
    step = max(1, BLOCK_BYTES // panel_bytes // threads) * threads * _PANEL_ROWS
    for first in range(0, rows, step):
        part = tensor[first : first + step]
        if not weight.write(first, part if format not in _DTYPES else part.to(_DTYPES[format])):
            memory.give_back()
            return pack(tensor, _LONGER[format], threads=threads, memory=memory)
    return Packed(weight)


def pack_for_gpu(
    tensor: Rows, place: Place, device: torch.device, *, is_low_rank: bool, is_sparse: bool
) -> Packed:
    """Put a (out, in) weight into a GPU's memory, a few rows at a time."""
    rows, columns = tensor.shape
    format = TYPES[place.dtype] if place.format == "float" or is_low_rank else place.format
    is_rounded = is_low_rank and place.format != "float"
    weight = CudaMatrix(rows, columns, format, place.dtype, device, by_columns=is_sparse)
    step = max(1, GPU_BLOCK_BYTES // (4 * columns * _PANEL_ROWS)) * _PANEL_ROWS
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


def packer(config: ModelConfig, threads: int, device: torch.device | None) -> Packer:
    """Make what packs a model's matrices, for the CPU's plan or for a GPU's.

    Args:
        config: of the model.
        threads: of the CPU's products.
        device: the GPU; None for the CPU.
    """
    memory, is_small = WeightMemory(), is_cached(config)

    def make(
        stored: StoredTensor, rows: Rows, place: Place, is_low_rank: bool, is_sparse: bool
    ) -> Packed:
        if device is not None:
            return pack_for_gpu(rows, place, device, is_low_rank=is_low_rank, is_sparse=is_sparse)
        kept = stored_format(
            stored.dtype, place, is_cached=is_small, is_low_rank=is_low_rank, is_sparse=is_sparse
        )
        return pack(rows, kept, threads=threads, memory=memory)

    return make


def low_rank_module(stored: StoredTensor, make: Callable[[Tensor], nn.Module]) -> nn.Module:
    """Make matrices of a parameter on the right of x: (in, out), or several, (n, in, out)."""
    tensor = stored[:]
    if tensor.dim() == 2:
        return make(tensor.mT)
    return MatrixStack([make(part.mT) for part in tensor])
