"""Quantised blocks of GGUF files against the package gguf, bit by bit."""

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from kernels.blocks import COMPILED, block_library, unpack_blocks
from kernels.packed import PackedLibrary, thread_pool
from kernels.plan import Plan
from kernels.program import Program
from rwkv_core.models.packed import pack

KINDS = [Kind.Q4_0, Kind.Q8_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]


@pytest.fixture
def library() -> PackedLibrary:
    found = block_library()
    if found is None:
        pytest.skip("no C++ compiler on this machine")
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 85), (2, 5, 100)])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_bytes_become_the_numbers_of_the_package(
    kind: Kind,
    shape: tuple[int, ...],
    threads: int,
    library: PackedLibrary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    assert (library.block_numbers(kind), library.block_bytes(kind)) == (numbers, size)
    # Random bytes hold every scale: negative, subnormal, infinite and NaN ones too.
    rows = np.random.default_rng(len(shape)).integers(
        0, 256, (*shape[:-1], shape[-1] * size), dtype=np.uint8
    )
    with np.errstate(all="ignore"):
        expected = dequantize(rows.reshape(1, -1), kind).reshape(*shape[:-1], -1)
    found = unpack_blocks(library, kind, torch.from_numpy(rows)).numpy()
    is_number = ~np.isnan(expected)
    assert np.array_equal(np.isnan(found), ~is_number)
    assert np.array_equal(found[is_number].view(np.int32), expected[is_number].view(np.int32))
    assert is_number.any()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_numbers_asked_for_are_written(kind: Kind, library: PackedLibrary) -> None:
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    count, guard = 300, 64  # more than a thread takes at a time
    whole = torch.full((count * numbers + guard,), torch.nan)
    rows = torch.zeros(count * size, dtype=torch.uint8)
    library.unpack(thread_pool(2), kind, rows.data_ptr(), count, whole.data_ptr())
    assert not whole[:-guard].any()
    assert whole[-guard:].isnan().all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_blocks_are_looked_up(kind: Kind, library: PackedLibrary) -> None:
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    columns = 256 * 3
    table = torch.randint(0, 255, (5, columns // numbers, size), dtype=torch.uint8)
    table[..., [0, 1, 2, 3, -2, -1]] = 0x2C  # what may be a scale is a number
    rows = table.view(5, -1)
    ids = torch.tensor([[3, 0, 4], [4, 1, 3]])
    p = Plan(64, 64)
    with p.rows():
        x = p.embed_blocks(rows, kind, columns)
    with p.products():
        p.logits(pack(torch.eye(columns), "fp32", threads=1).weight, x)
    state = torch.zeros(1, 2, 64), torch.zeros(1, 2, 1, 64, 64), torch.zeros(1, 2, 64)
    found, _, _ = Program(p, threads=2).run(ids, state, all_logits=True)
    assert torch.equal(found.view(2, 3, columns), unpack_blocks(library, kind, rows)[ids])


def test_the_library_knows_what_it_is_asked_for_and_nothing_else(library: PackedLibrary) -> None:
    assert set(KINDS) == COMPILED
    assert {kind for kind in range(-1, 64) if library.block_bytes(kind)} == COMPILED
