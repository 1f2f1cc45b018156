"""The GPU's benchmark, where there is no GPU: what it says, and what it prepares."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import NO_GPU, SHAPES, in_time, matrix_bytes, repeated_weights
from rwkv_core.models import load_model
from tests.checkpoints import TINY_RANKS

ROOT = Path(__file__).parent.parent.parent


def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--all"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
    )
    assert done.returncode == 1
    assert done.stderr.strip() == NO_GPU
    assert done.stdout == ""


def test_layers_that_share_numbers_make_a_small_file_and_a_whole_model(tmp_path: Path) -> None:
    shape = replace(
        SHAPES["0.1b"], n_layer=9, n_embd=64, head_size=16, vocab_size=50, ranks=TINY_RANKS
    )
    path = tmp_path / "model.pth"
    torch.save(repeated_weights(shape), path)
    model = load_model(path, kernel="torch")
    assert model.config.n_layer == 9
    held = matrix_bytes(model)
    assert held == model.weight_bytes - model.network.get_parameter("emb.weight").nbytes
    assert path.stat().st_size < held
    logits, _ = model.forward([1, 2])
    assert torch.isfinite(logits).all()


def test_a_part_that_fails_or_has_no_time_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    results = in_time({"a": lambda: {"x": 1}, "b": fail}, limit_s=100)
    assert results["a"] == {"x": 1}
    assert results["b"].startswith("failed: ")
    assert "out of memory" in results["b"]
    assert "b: " in capsys.readouterr().out
    late = in_time({"a": lambda: 1}, limit_s=-1)
    assert late["a"].startswith("left out: ")
