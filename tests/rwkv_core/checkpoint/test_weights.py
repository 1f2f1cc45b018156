import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rwkv_core.checkpoint import StoredTensor, Weights, fingerprint
from rwkv_core.errors import CheckpointError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.placing import build_network
from rwkv_core.quantization import QuantizedMatrix, quantize_int4, quantize_int8
from rwkv_core.strategy import parse_strategy
from tests.checkpoints import random_weights, write_pth


class Watched:
    """A tensor on loan: notes the most numbers that were read at once."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.largest = tensor, 0
        self.stored = StoredTensor(tuple(tensor.shape), tensor.dtype, self.read)

    def read(self, rows: slice) -> Tensor:
        self.largest = max(self.largest, self.tensor[rows].numel())
        return self.tensor[rows]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 3), (4, 3, 2), (0, 3)])
@pytest.mark.parametrize("elements", [1, 4, 1000])
def test_blocks_make_up_the_tensor(shape: tuple[int, ...], elements: int) -> None:
    tensor = torch.randn(shape)
    read = [block for _, block in StoredTensor.of(tensor).blocks(elements)]
    assert math.prod(shape) == sum(block.numel() for block in read)
    if shape and read:
        assert torch.equal(torch.cat(read), tensor)
        row = tensor[0].numel()
        assert all(block.numel() <= max(row, elements) for block in read)


def test_turned_tensors_say_their_shape_before_they_are_read() -> None:
    tensor = torch.randn(2, 3, 4)
    stored = StoredTensor.of(tensor)
    for turned, expected in (
        (stored.transposed(), tensor.mT),
        (stored.reshaped(6, 4), tensor.reshape(6, 4)),
        (stored.part(1, (1, 12)), tensor[1].reshape(1, 12)),
        (stored.reshaped(5, 5), tensor),
        (StoredTensor.of(tensor[0, 0]).transposed(), tensor[0, 0]),
    ):
        assert turned.shape == tuple(expected.shape)
        assert torch.equal(turned[:], expected)
        assert torch.equal(turned[1:2], expected[1:2])


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_large_matrix_is_rounded_by_rows_as_it_would_be_at_once(kind: str) -> None:
    watched = Watched(torch.randn(3000, 200))
    matrix = QuantizedMatrix(watched.stored, kind, torch.float32)
    at_once = quantize_int8 if kind == "int8" else quantize_int4
    values, scale = at_once(watched.tensor)
    assert torch.equal(matrix.values, values)
    assert torch.equal(matrix.scale, scale)
    assert watched.largest < watched.tensor.numel() / 2


def test_a_fingerprint_never_reads_a_large_tensor_whole() -> None:
    watched = Watched(torch.randn(3000, 1000))
    weights = {"x": watched.tensor}
    expected = [fingerprint(weights), fingerprint(weights, full_hash_bytes=0)]
    lazy = Weights({"x": watched.stored}, "m")
    assert [fingerprint(lazy), fingerprint(lazy, full_hash_bytes=0)] == expected
    assert watched.largest < watched.tensor.numel() / 2


def test_nan_is_named_where_a_tensor_is_read_in_pieces(tmp_path: Path) -> None:
    weights = random_weights(n_layer=2)
    weights["head.weight"][-1, -1] = torch.nan
    checkpoint = open_checkpoint(write_pth(tmp_path / "m.pth", weights))
    for strategy in ("cpu fp32", "cpu bf16", "cpu int8"):
        with pytest.raises(CheckpointError, match=r"head\.weight holds NaN"):
            build_network(checkpoint, parse_strategy(strategy))
