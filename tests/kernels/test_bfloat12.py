"""bf16 in 12 bits: every number of a matrix comes back, however unusual, or all keep 16."""

import pytest
import torch
from torch import Tensor

from kernels.build import BuildError, default_cache
from kernels.packed import PackedFormat, PackedMatrix, WeightMemory, packed_library
from kernels.plan import Plan
from kernels.program import Program
from rwkv_core.models.packed import pack
from tests.packed_products import assert_product_close, draw

FORMATS: dict[PackedFormat, PackedFormat] = {"bf12": "bf16", "bf12_rounded": "bf16_rounded"}
# Up to four tokens may meet the panel as it is; for more it is made longer first.
MOST_OF_SHORT = 4
TOKENS = (1, 2, 3, 4, 9, 300)
ROWS, COLUMNS = 130, 300


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    try:
        packed_library(default_cache())
    except BuildError as error:
        pytest.skip(str(error))


def with_strays(share: float) -> Tensor:
    """Weights of a few sizes, and some of all others that bf16 has, in no order."""
    weight = draw(ROWS, COLUMNS).bfloat16()
    generator = torch.Generator().manual_seed(3)
    is_stray = torch.rand(weight.shape, generator=generator) < share
    bits = torch.randint(-(2**15), 2**15, weight.shape, generator=generator).to(torch.int16)
    others = bits.view(torch.bfloat16)
    is_stray &= others.float().abs() < 1e30  # also leaves out what is not finite
    return torch.where(is_stray, others, weight)


def read_out(matrix: PackedMatrix, tokens: int) -> Tensor:
    """Every weight, by inputs that are 1 in one place."""
    parts = torch.split(torch.eye(matrix.columns), tokens)
    return torch.cat([matrix.multiply(part) for part in parts]).T


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.0, 1e-3])
@pytest.mark.parametrize("tokens", TOKENS)
def test_numbers_of_any_size_come_back_to_the_bit(
    format: PackedFormat, share: float, tokens: int
) -> None:
    weight = with_strays(share)
    matrix = PackedMatrix(ROWS, COLUMNS, format, threads=2)
    assert matrix.write(0, weight)
    assert torch.equal(read_out(matrix, tokens), weight.float())


@pytest.mark.parametrize("format", FORMATS)
def test_the_bytes_of_a_weight_are_a_column_of_96_for_64_rows(format: PackedFormat) -> None:
    matrix = PackedMatrix(640, 4096, format, threads=1)
    long = PackedMatrix(640, 4096, FORMATS[format], threads=1)
    assert matrix.panel_bytes == 10 * 4096 * 96
    assert matrix.panel_bytes < len(matrix.data) < 1.03 * matrix.panel_bytes
    assert long.panel_bytes == len(long.data) == 10 * 4096 * 128


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tokens", TOKENS)
def test_products_with_strays_are_those_of_16_bits(format: PackedFormat, tokens: int) -> None:
    weight, x = with_strays(1e-3), draw(tokens, COLUMNS, seed=1)
    matrix = PackedMatrix(ROWS, COLUMNS, format, threads=2)
    assert matrix.write(0, weight)
    assert_product_close(matrix.multiply(x), matrix, weight.float(), x)
    if tokens > MOST_OF_SHORT:
        long = pack(weight, FORMATS[format], threads=2)
        assert torch.equal(matrix.multiply(x), long(x))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("damage", [torch.nan, torch.inf])
@pytest.mark.parametrize("tokens", TOKENS)
def test_a_stray_that_is_no_number_damages_its_row_only(
    format: PackedFormat, damage: float, tokens: int
) -> None:
    weight = draw(ROWS, COLUMNS)
    weight[70, 123] = damage
    made = pack(weight, format, threads=1)(draw(tokens, COLUMNS, seed=1))
    is_right = torch.isfinite(made).all(0)
    assert not is_right[70]
    assert is_right.sum() == ROWS - 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_stray_whose_input_is_left_out_is_left_out_too(format: PackedFormat) -> None:
    weight, x = draw(64, COLUMNS), torch.zeros(1, COLUMNS)
    x[0, [5, 200]] = 1.0
    expected = weight.bfloat16().float()[:, [5, 200]].sum(1)
    weight[3, 123] = torch.nan
    weight[9, 200] = 2.0**-60
    expected[9] = weight[9, 5].bfloat16()
    matrix = pack(weight, format, threads=1).weight
    p = Plan(64, 32)
    with p.rows():
        value = p.embed(x)
        nonzero = p.nonzero(value, matrix)
    with p.products():
        out = p.product(matrix, value, nonzero=nonzero)
    with p.products():
        p.logits(pack(torch.eye(64), "fp32", threads=1).weight, out)
    state = torch.zeros(1, 1, 64), torch.zeros(1, 1, 2, 32, 32), torch.zeros(1, 1, 64)
    found, *_ = Program(p, threads=1).run(torch.tensor([[0]]), state, all_logits=False)
    assert torch.equal(found[0], expected)


@pytest.mark.parametrize("format", FORMATS)
def test_a_matrix_of_all_sizes_keeps_16_bits_and_takes_no_more_memory(
    format: PackedFormat,
) -> None:
    weight, x = with_strays(0.5), draw(3, COLUMNS)
    memory, alone = WeightMemory(), WeightMemory()
    begin = memory.take(64).data_ptr(), alone.take(64).data_ptr()
    kept = pack(weight, format, threads=2, memory=memory)
    long = pack(weight, FORMATS[format], threads=2, memory=alone)
    assert isinstance(kept.weight, PackedMatrix)
    assert kept.weight.format == FORMATS[format]
    assert torch.equal(kept(x), long(x))
    ends = memory.take(64).data_ptr() - begin[0], alone.take(64).data_ptr() - begin[1]
    assert ends[0] == ends[1]


def panel_with(rare: int) -> Tensor:
    """64 x 512 weights with 14 common upper bytes, and so many numbers with one of 30 others."""
    weight = 2.0 ** (2 * (torch.arange(64 * 512) % 14) + 40)
    weight[:rare] = 2.0 ** (2 * (torch.arange(rare) % 30) - 30)
    return weight.view(64, 512).bfloat16()


def strays_of(weight: Tensor) -> int:
    """How many of a panel's numbers have none of its 15 commonest upper bytes."""
    upper = weight.view(torch.int16).to(torch.int32) >> 8 & 255
    counts = torch.bincount(upper.flatten())
    return int(counts.sum() - counts.topk(15).values.sum())


def test_the_most_strays_fit_and_one_more_does_not() -> None:
    most = 15 + 512 * 64 // 256
    fitting = next(rare for rare in range(1000) if strays_of(panel_with(rare)) == most)
    matrix = PackedMatrix(64, 512, "bf12", threads=1)
    assert matrix.write(0, panel_with(fitting))
    assert torch.equal(read_out(matrix, 300), panel_with(fitting).float())
    assert strays_of(panel_with(fitting + 2)) > most
    assert not matrix.write(0, panel_with(fitting + 2))
