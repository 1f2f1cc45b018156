"""Packed weights: every format means what its definition in torch says, to the last bit."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

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
from rwkv_core.models.packed import pack
from rwkv_core.quantization import LARGEST_SCALE
from tests.packed_products import (
    DEFINITIONS,
    assert_product_close,
    assert_sums_close,
    check_products,
    draw,
    inputs_of,
)

# Panels have 64 rows, groups 32 columns, sums 64 columns, blocks 128 or 256, tiles 3, 4 or 6 tokens.
SHAPES = [(1, 1), (3, 40), (63, 31), (64, 32), (65, 33), (130, 257), (70, 600)]
TOKENS = [1, 2, 5, 6, 7, 13, 300]


@pytest.fixture(scope="module", autouse=True)
def library() -> PackedLibrary:
    try:
        return packed_library(default_cache())[0]
    except BuildError as error:
        pytest.skip(str(error))


every_format = pytest.mark.parametrize("format", DEFINITIONS)


def test_every_format_has_a_definition() -> None:
    assert DEFINITIONS.keys() == FORMATS.keys()


@every_format
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_products_are_those_of_the_definition(
    format: PackedFormat, rows: int, columns: int, tokens: int
) -> None:
    check_products(format, rows, columns, tokens)


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
    if "int" in format:
        # The inputs' scale is multiplied too, which rounds in another place.
        torch.testing.assert_close(kept, DEFINITIONS[format](weight), rtol=3e-7, atol=0)
    else:
        assert torch.equal(kept, DEFINITIONS[format](weight))


@pytest.mark.parametrize("damage", [torch.nan, torch.inf])
def test_a_row_of_int8_with_a_damaged_weight_gives_no_numbers(damage: float) -> None:
    weight = draw(70, 40)
    weight[3, 20] = damage
    for tokens in (1, 4):
        made = pack(weight, "int8", threads=1)(draw(tokens, 40, seed=1))
        is_right = torch.isfinite(made).all(0)
        assert not is_right[3]
        assert is_right.sum() == 69


@pytest.mark.parametrize("format", ["fp16", "bf16", "bf12", "fp32"])
def test_subnormal_and_largest_weights_are_kept(format: PackedFormat) -> None:
    dtype = {"fp16": torch.float16, "fp32": torch.float32}.get(format, torch.bfloat16)
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
        assert_sums_close(packed(x), (inputs @ expected.T).float(), magnitude)


def test_weights_beyond_the_largest_int4_scale_are_cut_off_as_in_torch() -> None:
    weight, x = draw(3, 64) * 1e6, draw(1, 64)
    packed = pack(weight, "int4", threads=1)
    inputs, expected = inputs_of(packed.weight, x), DEFINITIONS["int4"](weight).double()
    assert float(expected.abs().max()) == 7 * LARGEST_SCALE
    assert_sums_close(packed(x), (inputs @ expected.T).float(), inputs.abs() @ expected.abs().T)


@pytest.mark.parametrize("format", ["int4", "int4_columns"])
def test_groups_of_a_row_may_be_of_any_size(format: PackedFormat) -> None:
    # Row i: groups from 2^-i of the largest down to a 2^-22nd of that, and past it to nothing.
    powers = torch.arange(70)[:, None] / 2 + torch.cat([torch.arange(23), torch.tensor([1000])])
    weight = draw(70, 24 * 32) * 2.0 ** (10 - powers).repeat_interleave(32, 1)
    x = draw(4, 24 * 32, seed=1) * 2.0 ** powers[:1].clamp_max(60).repeat_interleave(32, 1)
    packed = pack(weight, format, threads=2)
    for some in (x, x[:1]):
        assert_product_close(packed(some), packed.weight, weight, some)


@pytest.mark.parametrize("format", ["int8", "int4", "int4_columns"])
@pytest.mark.parametrize("tokens", [1, 4])
@pytest.mark.parametrize("size", [0.0, 1e-25, 1e-3, 127.0, 1e25])
def test_inputs_of_any_size_are_rounded(format: PackedFormat, tokens: int, size: float) -> None:
    # No two neighbours of equal size are the largest: halves of units may go either way.
    weight, x = draw(70, 128), draw(tokens, 128, seed=1).clamp(-0.9, 0.9)
    x[:, 0], x[:, 64:] = 1.0, 0.0
    packed, x = pack(weight, format, threads=1), x * size
    inputs, expected = inputs_of(packed.weight, x), DEFINITIONS[format](weight).double()
    found, magnitude = packed(x), inputs.abs() @ expected.abs().T
    assert_sums_close(found, (inputs @ expected.T).float(), magnitude)


@pytest.mark.parametrize("tokens", [1, 9])
def test_the_largest_bytes_do_not_overflow(tokens: int) -> None:
    generator = torch.Generator().manual_seed(3)
    signs = torch.randint(0, 2, (70 + tokens, 256), generator=generator) * 2.0 - 1
    weight, x = signs[:70], signs[70:]
    weight[0] = x[0] = 1.0
    packed = pack(weight, "int8", threads=1)
    assert_product_close(packed(x), packed.weight, weight, x)


@pytest.mark.parametrize("format", ["int8", "int4", "int4_columns"])
def test_inputs_beyond_powers_of_two_of_a_scale_are_not_taken_for_numbers(
    format: PackedFormat,
) -> None:
    packed, x = pack(draw(70, 128), format, threads=1), torch.ones(2, 128)
    if packed.weight.inputs == "int8 by 64 in pairs":
        pytest.skip("its scales are no powers of two")
    x[0, 100] = 2.0**108
    assert torch.isnan(packed(x)[0]).all()
    assert torch.isnan(packed(x[:1])).all()
    assert torch.isfinite(packed(x)[1]).all()


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
@pytest.mark.parametrize("tokens", [1, 4])
def test_what_lies_behind_a_matrix_does_not_matter(format: PackedFormat, tokens: int) -> None:
    memory, x = WeightMemory(), draw(tokens, 33)
    weight = pack(draw(64, 33), format, threads=1, memory=memory)
    before = weight(x)
    memory.take(4096).fill_(255)  # NaN in every type of floats
    assert torch.equal(weight(x), before)


@every_format
def test_packing_writes_its_own_panels_only(format: PackedFormat) -> None:
    weight = draw(192, 40).bfloat16() if "bf1" in format else draw(192, 40)
    weight = weight.half() if format == "fp16" else weight
    whole = pack(weight, format, threads=1).weight
    middle = PackedMatrix(192, 40, format, threads=1)
    middle.data.fill_(255)
    assert middle.write(64, weight[64:128])
    is_written = middle.data != 255
    assert torch.equal(middle.data[is_written], whole.data[is_written])
    panel = 96 * 40 if "bf12" in format else len(middle.data) // 3
    assert is_written[panel : 2 * panel].float().mean() > 0.9
    assert not is_written[:panel].any()
    assert not is_written[2 * panel : 3 * panel].any()


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
