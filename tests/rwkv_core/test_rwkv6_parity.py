"""RWKV-6 agrees with a float64 reference and with the PyPI package."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from tests.checkpoints import write_pth
from tests.checkpoints_v6 import random_weights
from tests.generations import (
    as_numpy,
    as_reference,
    assert_states_close,
    random_state,
    random_tokens,
)
from tests.references.pypi_rwkv import run_package
from tests.references.rwkv6_float64 import Reference
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("two_threads")

# n_embd, head_size: tiny heads, which torch runs, and the head size of every released model.
SIZES = [(32, 8), (128, 64)]


@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 17), (3, 1), (3, 33)])
def test_logits_and_state_agree_with_float64(
    tmp_path: Path, n_embd: int, head_size: int, batch: int, length: int
) -> None:
    weights = random_weights(n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    tokens = random_tokens(batch, length)
    logits, state = model.forward(tokens, all_logits=True)
    expected, expected_state = Reference(as_numpy(weights)).forward(tokens.numpy())
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
def test_forward_from_a_given_state_agrees_with_float64(
    tmp_path: Path, n_embd: int, head_size: int
) -> None:
    weights = random_weights(seed=3, n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    start, tokens = random_state(model, 2), random_tokens(2, 9)
    logits, state = model.forward(tokens, start, all_logits=True)
    expected, expected_state = Reference(as_numpy(weights)).forward(
        tokens.numpy(), as_reference(start)
    )
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


def test_bf16_weights_stay_within_tolerance_of_float64(tmp_path: Path) -> None:
    weights = random_weights(n_embd=128, head_size=64, dtype=torch.bfloat16)
    path = write_pth(tmp_path / "tiny.pth", weights)
    model, tokens = load_model(path, "cpu bf16", kernel="torch"), random_tokens(2, 33)
    logits, state = model.forward(tokens, all_logits=True)
    assert logits.dtype == state.wkv.dtype == torch.float32
    expected, _ = Reference(as_numpy(weights)).forward(tokens.numpy())
    assert_close(logits, expected, torch.bfloat16)
    exact, _ = load_model(path, "cpu fp32").forward(tokens, all_logits=True)
    assert_close(exact, expected, torch.float32)
    assert not torch.equal(exact, logits)


def test_matrices_take_the_strategys_dtype_and_decays_stay_float32(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "tiny.pth", random_weights(dtype=torch.bfloat16))
    dtypes = {n: p.dtype for n, p in load_model(path, "cpu bf16").network.named_parameters()}
    for name in ("maa_w1", "maa_w2", "decay_w1", "decay_w2"):
        assert dtypes[f"blocks.1.att.time_{name}"] == torch.bfloat16
    assert dtypes["blocks.1.ffn.receptance.weight"] == torch.bfloat16
    for name in ("time_decay", "time_faaaa", "time_maa_x", "ln_x.weight"):
        assert dtypes[f"blocks.1.att.{name}"] == torch.float32


def test_mixes_that_are_not_five_equal_parts_are_refused(tmp_path: Path) -> None:
    weights = random_weights()
    weights["blocks.0.att.time_maa_w1"] = weights["blocks.0.att.time_maa_w1"][:, :-1].clone()
    with pytest.raises(CheckpointError, match="14 columns, which are not five equal parts"):
        open_checkpoint(write_pth(tmp_path / "odd.pth", weights))


def assert_agrees_with_the_package(path: Path, tmp_path: Path, vocab_size: int) -> None:
    """Compare a prompt at once, further tokens one by one, and the state after them."""
    ids = random_tokens(1, 23, vocab_size=vocab_size)[0].tolist()
    parts = [ids[:20], ids[20:21], ids[21:22], ids[22:]]
    expected = run_package(path, parts, tmp_path / "result.npz")
    model, state, rows = load_model(path, "cpu fp32"), None, []
    for part in parts:
        logits, state = model.forward(part, state)
        rows.append(logits)
    assert state is not None
    assert_close(torch.cat(rows), expected["logits"], torch.float32)
    for name, value in vars(state).items():
        difference = value[:, 0].numpy() - expected[name]
        assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected[name])


def test_logits_and_state_agree_with_the_pypi_package(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "tiny.pth", random_weights())
    assert_agrees_with_the_package(path, tmp_path, vocab_size=50)


@pytest.fixture
def released_shape(tmp_path: Path) -> Generator[Path]:
    """Random weights, 12 layers of 768 channels with the low ranks of 1B6; removed afterwards."""
    weights = random_weights(
        n_layer=12, n_embd=768, head_size=64, vocab_size=1000, mix_rank=32, decay_rank=64
    )
    path = write_pth(tmp_path / "rwkv6-0.1b.pth", weights)
    del weights
    yield path
    path.unlink()


def test_logits_and_state_agree_with_the_pypi_package_at_a_released_width(
    released_shape: Path, tmp_path: Path
) -> None:
    assert_agrees_with_the_package(released_shape, tmp_path, vocab_size=1000)
