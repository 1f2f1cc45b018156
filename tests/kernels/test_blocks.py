"""Quantised blocks of GGUF files against the package gguf, bit by bit."""

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from kernels.blocks import Blocks
from kernels.build import BuildError
from kernels.packed import thread_pool

COMPILED = [Kind.Q4_0, Kind.Q8_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]


def blocks_of(kind: Kind) -> Blocks:
    try:
        found = Blocks.of(kind)
    except BuildError as error:
        pytest.skip(str(error))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("shape", [(1, 1), (3, 85), (2, 5, 100)])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_bytes_become_the_numbers_of_the_package(
    kind: Kind, shape: tuple[int, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    blocks, (numbers, size) = blocks_of(kind), gguf.GGML_QUANT_SIZES[kind]
    assert (blocks.numbers, blocks.bytes) == (numbers, size)
    # Random bytes hold every scale: negative, subnormal, infinite and NaN ones too.
    rows = np.random.default_rng(len(shape)).integers(
        0, 256, (*shape[:-1], shape[-1] * size), dtype=np.uint8
    )
    with np.errstate(all="ignore"):
        expected = dequantize(rows.reshape(1, -1), kind).reshape(*shape[:-1], -1)
    found = blocks.unpack(torch.from_numpy(rows)).numpy()
    is_number = ~np.isnan(expected)
    assert np.array_equal(np.isnan(found), ~is_number)
    assert np.array_equal(found[is_number].view(np.int32), expected[is_number].view(np.int32))
    assert is_number.any()


@pytest.mark.parametrize("kind", COMPILED)
def test_only_the_numbers_asked_for_are_written(kind: Kind) -> None:
    blocks, guard = blocks_of(kind), 64
    count = 300  # more than a thread takes at a time
    whole = torch.full((count * blocks.numbers + guard,), torch.nan)
    rows = torch.zeros(count * blocks.bytes, dtype=torch.uint8)
    blocks.library.unpack(thread_pool(2), kind, rows.data_ptr(), count, whole.data_ptr())
    assert not whole[:-guard].any()
    assert whole[-guard:].isnan().all()


def test_tables_that_stay_are_unpacked_into_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of(Kind.Q8_0)
    rows = torch.randint(0, 255, (4, 3 * blocks.bytes), dtype=torch.uint8)
    rows[:, 1 :: blocks.bytes] = 0x2C  # scales that are numbers
    small = blocks.unpack(rows)
    monkeypatch.setattr("kernels.blocks.PAGES_FROM", 1)
    large = blocks.unpack(rows)
    assert large.shape == (4, 96)
    assert torch.equal(large, small)


def test_types_that_are_not_compiled_are_told() -> None:
    blocks_of(Kind.Q8_0)
    assert Blocks.of(Kind.Q5_1) is None
    assert Blocks.of(-1) is None
