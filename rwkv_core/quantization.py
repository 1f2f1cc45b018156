"""Weights in 8 and 4 bits: what the numbers mean, and products with them in plain torch.

int8: one float32 scale per row (output); weight = value * scale, values -127 to 127.
int4: groups of 32 along the row share a scale; weight = (nibble - 8) * scale, nibbles 1 to 15.
    Byte j of a group's 16 holds element j in its low half and element j + 16 in its high one.
    Rows whose width is no multiple of 32 end in zeros. A scale is a number of four binary digits
    after the first, from the power of two below the row's largest scale to fifteen ones below:
    a float16 here, a byte where it is packed (kernels/cpu/int4_scales.h).

Both round weights only; products are of floats (packed ones round inputs too, see
kernels/cpu/rounded.h). The PyPI package's i8 is another format: unsigned, with an offset and a
scale for each row and each column, so its rounding differs.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP = 32
# Rows turned back into floats at a time, so that no whole float matrix exists beside it.
BLOCK_ROWS = 4096
# Elements rounded at a time; int4 makes some ten float copies of them.
ROUNDED_ELEMENTS = 2**18
# Shares of the largest weight tried as the end of the int4 scale; the best fit is kept.
SCALE_SHARES = tuple(0.7 + 0.025 * step for step in range(15))
# Of int4's scales: what a float16 of so few digits holds, and the digits and powers of two.
LEAST_SCALE, LARGEST_SCALE = 2.0**-20, 63488.0
_DIGITS, _OCTAVES = 4, 15
_DROPPED = 23 - _DIGITS  # bits of a float32


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a (out, in) weight to 8 bits.

    Returns:
        values (out, in) int8, scale (out, 1) float32.
    """
    weight = weight.float()
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-30) / 127
    return (weight / scale).round_().to(torch.int8), scale


def dequantize_int8(values: Tensor, scale: Tensor) -> Tensor:
    """Turn 8 bits back into float32 (out, in)."""
    return values.float() * scale


def quantize_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a (out, in) weight to 4 bits, each group's scale chosen for the least squared error.

    Returns:
        nibbles (out, groups, 16) uint8, scale (out, groups) float16.
    """
    rows, columns = weight.shape
    groups = F.pad(weight.float(), (0, -columns % GROUP)).view(rows, -1, GROUP)
    largest = groups.abs().amax(-1, keepdim=True)
    least = _least_scale(largest.amax(1, keepdim=True) * (SCALE_SHARES[-1] / 7))
    best_error = torch.full_like(largest, torch.inf)
    best_scale = torch.zeros_like(largest)
    for share in SCALE_SHARES:
        # Rounded first: the error that counts is that of the scale which is stored.
        scale = _rounded(largest * (share / 7)).maximum(least).clamp_max(LARGEST_SCALE)
        rounded = (groups / scale).round_().clamp_(-7, 7)
        error = (rounded * scale - groups).square_().sum(-1, keepdim=True)
        is_better = error < best_error
        best_error = torch.where(is_better, error, best_error)
        best_scale = torch.where(is_better, scale, best_scale)
    nibbles = ((groups / best_scale).round_().clamp_(-7, 7) + 8).to(torch.uint8)
    low, high = nibbles[..., : GROUP // 2], nibbles[..., GROUP // 2 :]
    return low | (high << 4), best_scale.squeeze(-1).half()


def _rounded(scale: Tensor) -> Tensor:
    bits = scale.view(torch.int32)
    return ((bits + (1 << (_DROPPED - 1))) >> _DROPPED << _DROPPED).view(torch.float32)


def _least_scale(largest: Tensor) -> Tensor:
    """Say down to where scales of a row go."""
    power = _rounded(largest).clamp(LEAST_SCALE, LARGEST_SCALE).view(torch.int32) >> 23
    return (power - _OCTAVES << 23).view(torch.float32).clamp_min(LEAST_SCALE)


def dequantize_int4(nibbles: Tensor, scale: Tensor, columns: int) -> Tensor:
    """Turn 4 bits back into float32 (out, in), in = columns."""
    values = torch.cat([nibbles & 15, nibbles >> 4], -1).float() - 8
    return (values * scale.float()[..., None]).flatten(1)[:, :columns]


class Rows(Protocol):
    """A matrix in memory, or in a file: its shape, and some of its rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(out, in)."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Give out some rows."""


class QuantizedMatrix(nn.Module):
    """A (out, in) weight in few bits, used as models.blocks.Matrix is."""

    values: Tensor
    scale: Tensor

    def __init__(self, weight: Rows, kind: str, dtype: torch.dtype) -> None:
        """Round a weight, some rows at a time.

        Args:
            weight: (out, in), any float dtype.
            kind: "int8" or "int4".
            dtype: in which products run.
        """
        super().__init__()
        rows, self.columns = weight.shape
        self.kind, self.dtype = kind, dtype
        quantize = quantize_int8 if kind == "int8" else quantize_int4
        step = max(1, ROUNDED_ELEMENTS // self.columns)
        for start in range(0, rows, step):
            part = slice(start, start + step)
            for name, rounded in zip(("values", "scale"), quantize(weight[part]), strict=True):
                if start == 0:
                    whole = rounded.new_empty(rows, *rounded.shape[1:])
                    self.register_buffer(name, whole)
                getattr(self, name)[part] = rounded

    def rows(self, part: slice, device: torch.device | None = None) -> Tensor:
        """Turn some rows back into float32."""
        values, scale = (x[part].to(device, non_blocking=True) for x in (self.values, self.scale))
        if self.kind == "int8":
            return dequantize_int8(values, scale)
        return dequantize_int4(values, scale, self.columns)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (..., in); the result (..., out) is float32."""
        x = x.to(self.dtype)
        parts = [
            F.linear(x, self.rows(slice(start, start + BLOCK_ROWS), x.device).to(self.dtype))
            for start in range(0, len(self.values), BLOCK_ROWS)
        ]
        return torch.cat(parts, -1).float()
