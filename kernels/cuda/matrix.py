"""Weights on a GPU: one copy, which both the plan's kernels and cuBLAS multiply with.

What 8 and 4 bits mean: rwkv_core/quantization.py, which also rounds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.packed import FORMATS, TYPES, PackedFormat

# As in product.cuh.
BY_COLUMNS = 32
GROUP = 32
# Rows turned back into floats at a time, so that no whole float matrix exists beside it.
BLOCK_ROWS = 4096


class CudaMatrix:
    """A (rows, columns) weight, row after row, or column after column.

    Attributes:
        rows: outputs.
        columns: inputs.
        format: how numbers are kept.
        by_columns: so that kernels can leave out columns whose input is zero.
        dtype: in which products of many tokens run; sums are float32.
        inputs: "fp32", and
        rounded_floats: 0: kernels round none.
        skipped_from: 0: by columns, zeros are always left out.
        data: (rows, columns), by columns (columns, rows). int4: (rows, groups, 16) as
            quantize_int4 gives them, by columns (columns, rows / 2), a byte for two rows.
        scale: (rows,) float32 of int8; (rows, groups) float16 of int4, by columns
            (groups, rows); empty for floats.
    """

    inputs = "fp32"
    rounded_floats = 0
    skipped_from = 0.0

    def __init__(
        self,
        rows: int,
        columns: int,
        format: PackedFormat,
        dtype: torch.dtype,
        device: torch.device,
        *,
        by_columns: bool = False,
    ) -> None:
        """Reserve memory; write fills it."""
        self.rows, self.columns, self.format = rows, columns, format
        self.dtype, self.by_columns = dtype, by_columns
        groups = -(-columns // GROUP)
        shape: tuple[int, ...] = (columns, rows) if by_columns else (rows, columns)
        kind, scale_kind = dtype, torch.float32
        scale: tuple[int, ...] = (0,)
        if format == "int8":
            kind, scale = torch.int8, (rows,)
        elif format == "int4":
            kind, scale_kind = torch.uint8, torch.float16
            shape = (columns, -(-rows // 2)) if by_columns else (rows, groups, GROUP // 2)
            scale = (groups, rows) if by_columns else (rows, groups)
        self.data = torch.empty(shape, dtype=kind, device=device)
        self.scale = torch.empty(scale, dtype=scale_kind, device=device)

    @property
    def code(self) -> int:
        """The format's number in CUDA."""
        return FORMATS[self.format] + BY_COLUMNS * self.by_columns

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Where the numbers and their scales lie."""
        return (self.data, self.scale) if self.scale.numel() else (self.data,)

    def write(self, first: int, values: Tensor, scale: Tensor | None = None) -> None:
        """Put some rows in.

        Args:
            first: number of the first row; even, for int4.
            values: (n, columns) floats or int8, (n, groups, 16) of int4.
            scale: (n, 1) of int8, (n, groups) of int4.
        """
        part = slice(first, first + len(values))
        if scale is not None:
            if self.format == "int8":
                self.scale[part] = scale[:, 0].to(self.scale.device)
            elif self.by_columns:
                self.scale[:, part] = scale.mT.to(self.scale.device)
            else:
                self.scale[part] = scale.to(self.scale.device)
        if not self.by_columns:
            self.data[part] = values.to(self.data.device)
        elif self.format == "int4":
            pairs = F.pad(_nibbles(values)[:, : self.columns], (0, 0, 0, len(values) % 2), value=8)
            bytes_of_two = pairs[0::2] | (pairs[1::2] << 4)
            start = first // 2
            placed = bytes_of_two.mT.to(self.data.device)
            self.data[:, start : start + placed.shape[1]] = placed
        else:
            self.data[:, part] = values.mT.to(self.data.device)

    def rows_as_floats(self, part: slice) -> Tensor:
        """Turn some rows, from an even one on, into (n, columns) of dtype."""
        if self.format == "int8":
            values = self.data[:, part].mT if self.by_columns else self.data[part]
            return (values.float() * self.scale[part, None]).to(self.dtype)
        if self.format != "int4":
            return self.data[:, part].mT if self.by_columns else self.data[part]
        if self.by_columns:
            assert part.start % 2 == 0
            pairs = self.data[:, part.start // 2 : -(-part.stop // 2)].mT
            rows = torch.stack([pairs & 15, pairs >> 4], 1).flatten(0, 1)
            nibbles, scale = rows[: part.stop - part.start], self.scale[:, part].mT
        else:
            nibbles, scale = _nibbles(self.data[part])[:, : self.columns], self.scale[part]
        spread = scale.float().repeat_interleave(GROUP, 1)[:, : self.columns]
        return ((nibbles.float() - 8) * spread).to(self.dtype)

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply x (..., columns); the result (..., rows) is float32."""
        flat = x.reshape(-1, self.columns).to(self.dtype)
        if self.format in TYPES.values():
            return _product(flat, self.rows_as_floats(slice(0, self.rows))).view(
                *x.shape[:-1], self.rows
            )
        parts = [
            _product(flat, self.rows_as_floats(slice(start, min(start + BLOCK_ROWS, self.rows))))
            for start in range(0, self.rows, BLOCK_ROWS)
        ]
        return torch.cat(parts, -1).view(*x.shape[:-1], self.rows)

    def multiply_into(self, x: Tensor, y: Tensor, *, is_added: bool) -> None:
        """Write the product with x (n, columns) into y (n, rows) float32, or add it there."""
        step = self.rows if self.format in TYPES.values() else BLOCK_ROWS
        for start in range(0, self.rows, step):
            stop = min(start + step, self.rows)
            weight, part = self.rows_as_floats(slice(start, stop)), y[:, start:stop]
            given = x.to(self.dtype)
            if not y.is_cuda or self.dtype == torch.float32:
                product = _product(given, weight)
                part.copy_(part + product if is_added else product)
            elif is_added:
                torch.addmm(part, given, weight.mT, out_dtype=torch.float32, out=part)
            else:
                torch.mm(given, weight.mT, out_dtype=torch.float32, out=part)


def _nibbles(values: Tensor) -> Tensor:
    """Turn (n, groups, 16) bytes into (n, groups 32) numbers 0 to 15."""
    return torch.cat([values & 15, values >> 4], -1).flatten(1)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply x (n, in) by a (out, in) weight of its type; the sums stay float32.

    What is added up in 16 bits overflows in RWKV-4 to 6; cuBLAS adds up in 32 and need not round.
    """
    if x.is_cuda and x.dtype != torch.float32:
        return torch.mm(x, weight.mT, out_dtype=torch.float32)
    return F.linear(x.float(), weight.float())
