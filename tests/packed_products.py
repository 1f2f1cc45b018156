"""What products of packed weights mean: each format's weights and inputs in torch."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.packed import PackedFormat
from kernels.plan_parts import StoredMatrix
from rwkv_core.models.packed import pack
from rwkv_core.quantization import (
    dequantize_int4,
    dequantize_int8,
    quantize_int4,
    quantize_int8,
)


def int8(weight: Tensor) -> Tensor:
    return dequantize_int8(*quantize_int8(weight))


def int4(weight: Tensor) -> Tensor:
    return dequantize_int4(*quantize_int4(weight), weight.shape[1])


DEFINITIONS: dict[PackedFormat, Callable[[Tensor], Tensor]] = {
    "fp32": lambda weight: weight,
    "fp16": lambda weight: weight.half().float(),
    "bf16": lambda weight: weight.bfloat16().float(),
    "int8": int8,
    "int4": int4,
    "int4_columns": int4,
    "bf16_rounded": lambda weight: weight.bfloat16().float(),
    "bf12": lambda weight: weight.bfloat16().float(),
    "bf12_rounded": lambda weight: weight.bfloat16().float(),
}


def rounded_to_bytes(x: Tensor) -> Tensor:
    """Inputs of 8 bits in groups of 32, whose unit is a power of two, at most 127 of them."""
    groups = F.pad(x, (0, -x.shape[1] % 32)).view(len(x), -1, 32).double()
    largest = groups.abs().amax(-1, keepdim=True)
    unit = torch.exp2(torch.ceil(torch.log2(largest / 127))).clamp_min(2.0**-100)
    # 127 units themselves count as too many: one addition to the exponent decides.
    unit = torch.where(largest == 127 * unit, 2 * unit, unit)
    return ((groups / unit).round() * unit).flatten(1)[:, : x.shape[1]]


def rounded_in_pairs(x: Tensor) -> Tensor:
    """Inputs of 8 bits in groups of 64: the largest sum of two neighbours' sizes is 127 units."""
    groups = F.pad(x.float(), (0, -x.shape[1] % 64)).view(len(x), -1, 32, 2)
    largest = groups.abs().sum(-1).amax(-1)[..., None, None]
    inverse = torch.where(largest > 1e-30, 127 / largest, 0).double()
    unit = (largest / 127).double()
    return ((groups.double() * inverse).round() * unit).flatten(1)[:, : x.shape[1]]


def inputs_of(weight: StoredMatrix, x: Tensor) -> Tensor:
    """What a product multiplies."""
    if weight.inputs == "int8 by 64 in pairs":
        return rounded_in_pairs(x)
    if weight.inputs.startswith("int8"):
        return rounded_to_bytes(x)
    return x.bfloat16().double() if weight.inputs == "bf16" else x.double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_sums_close(actual: Tensor, expected: Tensor, magnitude: Tensor) -> None:
    """Compare sums of products, each against the sum of its products' sizes."""
    assert actual.shape == expected.shape
    assert torch.isfinite(actual).all()
    off = (actual - expected).abs() / magnitude.clamp_min(1e-30)
    assert float(off.max()) < 2e-6


def check_products(format: PackedFormat, rows: int, columns: int, tokens: int) -> None:
    """Compare a product with its definition; each is that of the processor it runs on."""
    weight, x = draw(rows, columns), draw(tokens, columns, seed=1)
    packed = pack(weight, format, threads=2)
    assert_product_close(packed(x), packed.weight, weight, x)


def assert_product_close(actual: Tensor, packed: StoredMatrix, weight: Tensor, x: Tensor) -> None:
    """Compare what a packed weight made of x (tokens, columns) with its definition."""
    expected = DEFINITIONS[cast("PackedFormat", packed.format)](weight).double()
    inputs = inputs_of(packed, x)
    magnitude = inputs.abs() @ expected.abs().T
    assert_sums_close(actual, (inputs @ expected.T).float(), magnitude)
