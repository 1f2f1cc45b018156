"""Packed weights: every format means what its definition in torch says, to the last bit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.prefill_memory import PROC_STATUS, anonymous_bytes
from kernels.build import BuildError, default_cache
from kernels.packed import (
    FORMATS,
    PackedFormat,
    PackedLibrary,
    PackedMatrix,
    WeightMemory,
    packed_library,
)
from kernels.packed import thread_pool as pool_of
from kernels.plan_parts import StoredMatrix
from rwkv_core.models.packed import pack
from rwkv_core.quantization import (
    dequantize_int4,
    dequantize_int8,
    quantize_int4,
    quantize_int8,
)

# Panels have 64 rows, groups 32 columns, sums 64 columns, blocks 256, tiles 6 or 12 tokens.
SHAPES = [(1, 1), (3, 40), (63, 31), (64, 32), (65, 33), (130, 257), (70, 600)]
TOKENS = [1, 2, 5, 6, 7, 13, 300]


@pytest.fixture(scope="module", autouse=True)
def library() -> PackedLibrary:
    try:
        return packed_library(default_cache())[0]
    except BuildError as error:
        pytest.skip(str(error))


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
}
every_format = pytest.mark.parametrize("format", DEFINITIONS)


def rounded_to_bytes(x: Tensor) -> Tensor:
    """Inputs of 8 bits in groups of 32, each group's largest being 127."""
    groups = F.pad(x, (0, -x.shape[1] % 32)).view(len(x), -1, 32).double()
    end = groups.abs().amax(-1, keepdim=True).clamp_min(1e-30)
    rounded = ((groups * 127 / end).round() * end / 127).flatten(1)
    return rounded[:, : x.shape[1]]


def inputs_of(weight: StoredMatrix, x: Tensor) -> Tensor:
    """What a product multiplies, but for inputs of 16 bits: see rounding_of_pairs."""
    if weight.format == "int4_columns" and len(x) <= 3:
        return x.double()
    if weight.inputs == "int8 by 32":
        return rounded_to_bytes(x)
    return x.bfloat16().double() if weight.inputs == "bf16" else x.double()


def rounding_of_pairs(x: Tensor, weight: Tensor) -> Tensor:
    """How far 16-bit integers may move a product: half a unit of each block of 256, all one way."""
    blocks = F.pad(x, (0, -x.shape[1] % 256)).view(len(x), -1, 256)
    unit = (blocks.abs().amax(-1, keepdim=True) / 32767).expand_as(blocks).flatten(1)
    return unit[:, : x.shape[1]] / 2 @ weight.abs().T


def test_every_format_has_a_definition() -> None:
    assert DEFINITIONS.keys() == FORMATS.keys()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_sums_close(
    actual: Tensor, expected: Tensor, magnitude: Tensor, rounding: Tensor | float = 0.0
) -> None:
    """Compare sums of products, each against the sum of its products' sizes."""
    assert actual.shape == expected.shape
    assert torch.isfinite(actual).all()
    off = ((actual - expected).abs() - rounding) / magnitude.clamp_min(1e-30)
    assert float(off.max()) < 2e-6


@every_format
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_products_are_those_of_the_definition(
    format: PackedFormat, rows: int, columns: int, tokens: int
) -> None:
    weight, x = draw(rows, columns), draw(tokens, columns, seed=1)
    expected = DEFINITIONS[format](weight).double()
    packed = pack(weight, format, threads=2)
    actual, inputs = packed(x), inputs_of(packed.weight, x)
    magnitude = inputs.abs() @ expected.abs().T
    if format == "int4_columns":
        # Nibbles 0 to 15 are multiplied before 8 is taken off.
        magnitude = magnitude * 4
    is_in_pairs = packed.weight.inputs == "int16 by 256"
    rounding = rounding_of_pairs(x.double(), expected) if is_in_pairs else 0.0
    assert_sums_close(actual, (inputs @ expected.T).float(), magnitude, rounding)


@every_format
@pytest.mark.parametrize(("rows", "columns"), [(65, 33), (130, 257)])
@pytest.mark.parametrize("tokens", [1, 7])
def test_weights_are_kept_bit_by_bit(
    format: PackedFormat, rows: int, columns: int, tokens: int
) -> None:
    weight = draw(rows, columns)
    packed = pack(weight, format, threads=1)
    # An input of one 1 reads out one column of weights.
    parts = torch.split(torch.eye(columns), tokens)
    kept = torch.cat([packed(part) for part in parts]).T
    if format in ("int4", "int8") or (format == "int4_columns" and tokens > 3):
        # The inputs' scale is multiplied too, which rounds in another place.
        torch.testing.assert_close(kept, DEFINITIONS[format](weight), rtol=3e-7, atol=0)
    else:
        assert torch.equal(kept, DEFINITIONS[format](weight))


@pytest.mark.parametrize("format", ["fp16", "bf16", "fp32"])
def test_subnormal_and_largest_weights_are_kept(format: PackedFormat) -> None:
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[format]
    info = torch.finfo(dtype)
    numbers = [0.0, -0.0, 1.0, info.max, -info.max, info.tiny, info.smallest_normal / 4]
    weight = torch.tensor(numbers).to(dtype)[:, None]
    packed = PackedMatrix(len(weight), 1, format, threads=1)
    packed.write(0, weight)
    assert torch.equal(packed.multiply(torch.ones(1, 1))[0], weight[:, 0].float())


@pytest.mark.parametrize("format", ["fp32", "bf16"])
def test_a_transposed_weight_is_packed_without_a_copy(format: PackedFormat) -> None:
    weight, x = draw(70, 45), draw(3, 70)
    turned = pack(weight.mT, format, threads=1)
    assert torch.equal(turned(x), pack(weight.mT.contiguous(), format, threads=1)(x))


@pytest.mark.parametrize("format", ["int8", "int4", "int4_columns"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_of_any_type_are_rounded_as_in_torch(
    format: PackedFormat, dtype: torch.dtype
) -> None:
    # From subnormal numbers of fp16 to its largest, each row of a size of its own.
    sizes = torch.logspace(-7, 3, 70)[:, None]
    weight, x = (draw(70, 45) * sizes).to(dtype), draw(1, 45)
    for values in (weight, weight.mT.contiguous().mT):
        packed = pack(values, format, threads=2)
        inputs, expected = inputs_of(packed.weight, x), DEFINITIONS[format](weight).double()
        magnitude = 4 * (inputs.abs() @ expected.abs().T)
        is_in_pairs = packed.weight.inputs == "int16 by 256"
        rounding = rounding_of_pairs(x.double(), expected) if is_in_pairs else 0.0
        assert_sums_close(packed(x), (inputs @ expected.T).float(), magnitude, rounding)


def test_a_weight_larger_than_one_block_is_packed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_core.models.packed.BLOCK_BYTES", 1)
    weight, x = draw(200, 33), draw(2, 33)
    for format in FORMATS:
        in_blocks = pack(weight, format, threads=1)(x)
        monkeypatch.setattr("rwkv_core.models.packed.BLOCK_BYTES", 2**20)
        assert torch.equal(pack(weight, format, threads=1)(x), in_blocks)
        monkeypatch.setattr("rwkv_core.models.packed.BLOCK_BYTES", 1)


@every_format
@pytest.mark.parametrize("tokens", [1, 3])
def test_only_the_result_is_written(
    format: PackedFormat, tokens: int, library: PackedLibrary
) -> None:
    rows, columns, guard = 65, 33, 32
    weight = pack(draw(rows, columns), format, threads=2).weight
    x = draw(tokens, columns)
    buffer = torch.full((tokens * rows + 2 * guard,), torch.nan)
    bytes_before = weight.data.clone()
    library.product(
        pool_of(2),
        FORMATS[format],
        weight.data.data_ptr(),
        rows,
        columns,
        x.data_ptr(),
        buffer[guard:].data_ptr(),
        tokens,
    )
    assert torch.isfinite(buffer[guard:-guard]).all()
    assert torch.isnan(buffer[:guard]).all()
    assert torch.isnan(buffer[-guard:]).all()
    assert torch.equal(weight.data, bytes_before)


@every_format
def test_packing_writes_its_own_panels_only(format: PackedFormat) -> None:
    whole = pack(draw(192, 40), format, threads=1).weight
    middle = PackedMatrix(192, 40, format, threads=1)
    middle.data.fill_(255)
    part = pack(draw(192, 40)[64:128], format, threads=1).weight
    size = len(part.data)
    middle.data[size : 2 * size] = part.data
    assert torch.equal(middle.data[size : 2 * size], whole.data[size : 2 * size])
    assert len(whole.data) == 3 * size


@pytest.mark.parametrize("tokens", [1, 9])
def test_the_number_of_threads_changes_no_bit(tokens: int) -> None:
    weight, x = draw(1000, 96), draw(tokens, 96)
    one, two, five = (pack(weight, "bf16", threads=threads)(x) for threads in (1, 2, 5))
    assert torch.equal(one, two)
    assert torch.equal(one, five)


def test_callers_from_several_threads_take_turns() -> None:
    weight = pack(draw(700, 64), "fp32", threads=2)
    inputs = [draw(1, 64, seed=seed) for seed in range(200)]
    expected = [weight(x) for x in inputs]
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(weight, inputs))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@every_format
@pytest.mark.parametrize("tokens", [1, 5])
def test_what_is_not_finite_comes_out(format: PackedFormat, tokens: int) -> None:
    weight = pack(draw(70, 40), format, threads=1)
    for number in (torch.nan, torch.inf, -torch.inf):
        x = draw(tokens, 40)
        x[-1, 33] = number
        y = weight(x)
        assert not torch.isfinite(y[-1]).any()
        assert torch.isfinite(y[:-1]).all()


@pytest.mark.skipif(not PROC_STATUS.exists(), reason="only Linux tells whose memory it is")
def test_weights_count_as_memory_of_this_process() -> None:
    size, before = 64 * 2**20, anonymous_bytes()
    data = WeightMemory().take(size)
    data.fill_(1)
    assert size <= anonymous_bytes() - before < 1.2 * size
