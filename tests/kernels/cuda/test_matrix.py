"""Weights on a GPU: both layouts mean the same numbers, which are those of quantization.py."""

import pytest
import torch
from torch import Tensor

from kernels.cuda.matrix import CudaMatrix
from kernels.packed import TYPES, PackedFormat
from rwkv_core.models.packed import pack_for_gpu
from rwkv_core.quantization import QuantizedMatrix
from rwkv_core.strategy import Format, Place
from tests.tolerances import assert_close

CPU = torch.device("cpu")
DTYPES = {name: dtype for dtype, name in TYPES.items()}


def pack(weight: Tensor, format: str, *, by_columns: bool = False) -> CudaMatrix:
    """Pack as a strategy's place says."""
    kinds: dict[str, Format] = {"int8": "int8", "int4": "int4"}
    place = Place(CPU, DTYPES.get(format, torch.float32), kinds.get(format, "float"))  # type: ignore[call-overload]  # any text may be asked for
    packed = pack_for_gpu(weight, place, CPU, is_low_rank=False, is_sparse=by_columns).weight
    assert isinstance(packed, CudaMatrix)
    return packed


def meaning(weight: Tensor, format: PackedFormat) -> Tensor:
    """The numbers that a format keeps."""
    if format in DTYPES:
        return weight.to(DTYPES[format]).float()
    return QuantizedMatrix(weight, format, torch.float32).rows(slice(0, len(weight)))


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("format", ["fp32", "fp16", "bf16", "int8", "int4"])
@pytest.mark.parametrize("shape", [(70, 200), (7, 33), (64, 64), (1, 1)], ids=str)
def test_a_matrix_gives_back_the_numbers_that_its_format_keeps(
    shape: tuple[int, int], format: PackedFormat, by_columns: bool
) -> None:
    weight = torch.randn(shape)
    matrix = pack(weight, format, by_columns=by_columns)
    expected = meaning(weight, format)
    assert torch.equal(matrix.rows_as_floats(slice(0, shape[0])).float(), expected)
    some = slice(shape[0] // 2 // 2 * 2, shape[0])
    assert torch.equal(matrix.rows_as_floats(some).float(), expected[some])
    x = torch.randn(2, 3, shape[1])
    rounded = x.to(matrix.dtype).float()
    assert_close(matrix.multiply(x), rounded @ expected.T, torch.float32)


@pytest.mark.parametrize("format", ["fp32", "int4"])
def test_rows_packed_in_pieces_are_the_same(
    format: PackedFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = torch.randn(200, 70)
    whole = pack(weight, format, by_columns=True)
    monkeypatch.setattr("rwkv_core.models.packed.GPU_BLOCK_BYTES", 1)
    pieces = pack(weight, format, by_columns=True)
    for mine, theirs in zip(pieces.tensors, whole.tensors, strict=True):
        assert torch.equal(mine, theirs)


def test_large_matrices_are_turned_into_floats_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, x = torch.randn(70, 40), torch.randn(5, 40)
    matrix = pack(weight, "int8")
    at_once = matrix.multiply(x)
    monkeypatch.setattr("kernels.cuda.matrix.BLOCK_ROWS", 32)
    assert_close(matrix.multiply(x), at_once, torch.float32)
