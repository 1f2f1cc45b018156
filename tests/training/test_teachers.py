"""Teachers: finished models, read exactly and refused by a sentence."""

from pathlib import Path

import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.models import load_model
from rwkv_core.training.teachers import open_teachers
from tests.checkpoints import random_weights, write_safetensors
from tests.tolerances import assert_close

CPU = torch.device("cpu")


def test_a_teacher_says_what_the_runtime_says_of_the_same_file(tmp_path: Path) -> None:
    weights = random_weights(dtype=torch.bfloat16, n_layer=2, n_embd=64)
    path = write_safetensors(tmp_path / "a.safetensors", weights)
    (teacher,) = open_teachers([path], 50, CPU)
    tokens = torch.tensor([[0, 4, 9, 7, 3]])
    said = teacher.logits(tokens)
    assert not said.requires_grad
    expected, _ = load_model(path, "cpu fp32").forward(tokens[0].tolist())
    assert_close(said[0, -1], expected[-1], torch.float32)
    assert torch.equal(teacher.stream(tokens) @ teacher.head.T, said)


def test_a_teacher_of_another_vocabulary_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", random_weights())
    with pytest.raises(CheckpointError, match=r"a\.safetensors knows 50 tokens instead of 60; "):
        open_teachers([path], 60, CPU)
