"""RWKV-7a agrees with a float64 reference and with the PyPI package, and leaves its table be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.placing import build_network
from rwkv_core.strategy import parse_strategy
from tests.checkpoints import write_pth
from tests.checkpoints_v6 import random_weights_7a
from tests.generations import (
    as_numpy,
    as_reference,
    assert_states_close,
    random_state,
    random_tokens,
)
from tests.references.pypi_rwkv import run_package
from tests.references.rwkv7a_float64 import Reference
from tests.tolerances import assert_close

TABLE = "blocks.1.ffn.s_emb.weight"


@pytest.mark.parametrize(("n_embd", "head_size"), [(32, 8), (128, 64)])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 17), (3, 1), (3, 33)])
def test_logits_and_state_agree_with_float64(
    tmp_path: Path, n_embd: int, head_size: int, batch: int, length: int
) -> None:
    weights = random_weights_7a(n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    start, tokens = random_state(model, batch), random_tokens(batch, length)
    logits, state = model.forward(tokens, start, all_logits=True)
    expected, expected_state = Reference(as_numpy(weights)).forward(
        tokens.numpy(), as_reference(start)
    )
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


def test_bf16_weights_stay_within_tolerance_of_float64(tmp_path: Path) -> None:
    weights = random_weights_7a(n_embd=128, head_size=64, dtype=torch.bfloat16)
    path, tokens = write_pth(tmp_path / "tiny.pth", weights), random_tokens(2, 33)
    logits, _ = load_model(path, "cpu bf16", kernel="torch").forward(tokens, all_logits=True)
    expected, _ = Reference(as_numpy(weights)).forward(tokens.numpy())
    assert_close(logits, expected, torch.bfloat16)
    exact, _ = load_model(path, "cpu fp32").forward(tokens, all_logits=True)
    assert_close(exact, expected, torch.float32)


def test_logits_and_state_agree_with_the_pypi_package(tmp_path: Path) -> None:
    # The package knows no other rank than 32.
    weights = random_weights_7a(n_embd=64, head_size=16, rank=32)
    path, ids = write_pth(tmp_path / "tiny.pth", weights), random_tokens(1, 23)[0].tolist()
    parts = [ids[:15], ids[15:16], ids[16:17], ids[17:]]
    expected = run_package(
        path, parts, tmp_path / "result.npz", RWKV_V7_ON="1", RWKV_DE_VERSION="1"
    )
    model, state, rows = load_model(path, "cpu fp32"), None, []
    for part in parts:
        logits, state = model.forward(part, state)
        rows.append(logits)
    assert state is not None
    assert_close(torch.cat(rows), expected["logits"], torch.float32)
    for name, value in vars(state).items():
        difference = value[:, 0].numpy() - expected[name]
        assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected[name])


@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu bf16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_table_stays_in_the_file_and_in_its_dtype(
    tmp_path: Path, strategy: str, dtype: torch.dtype
) -> None:
    path = write_pth(tmp_path / "tiny.pth", random_weights_7a(dtype=dtype))
    checkpoint = open_checkpoint(path)
    network = build_network(checkpoint, parse_strategy(strategy))
    table = dict(network.named_parameters())[TABLE]
    assert table.dtype == dtype
    assert table.data_ptr() == checkpoint.tensors[TABLE].data_ptr()


def test_the_table_counts_among_the_parameters(tmp_path: Path) -> None:
    weights = random_weights_7a()
    unused = sum(weights[f"blocks.0.att.{name}"].numel() for name in ("v0", "v1", "v2"))
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    assert model.parameters == sum(value.numel() for value in weights.values()) - unused


def test_a_flat_s0_is_read_as_one_with_three_axes(tmp_path: Path) -> None:
    weights = random_weights_7a()
    flat = {n: v.flatten() if n.endswith(".s0") else v for n, v in weights.items()}
    paths = write_pth(tmp_path / "three.pth", weights), write_pth(tmp_path / "flat.pth", flat)
    three, one = (load_model(path, "cpu fp32").forward([3, 1, 4])[0] for path in paths)
    assert_close(one, three, torch.float32)


def test_a_table_without_square_matrices_is_refused(tmp_path: Path) -> None:
    weights = random_weights_7a()
    weights["blocks.0.ffn.s_emb.weight"] = weights["blocks.0.ffn.s_emb.weight"][:, :-1].clone()
    with pytest.raises(CheckpointError, match="8 columns, which are no square matrix"):
        open_checkpoint(write_pth(tmp_path / "odd.pth", weights))
