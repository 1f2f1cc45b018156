"""Muon: directions are orthogonal, and a step is torch's own."""

import pytest
import torch
from torch import nn

from rwkv_core.training.muon import Muon, orthogonalise
from tests.tolerances import assert_close

SHAPES = [(8, 8), (12, 8), (8, 12), (8, 8)]


def make_matrices(seed: int = 0) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(seed)
    matrices = [nn.Parameter(torch.randn(shape, generator=draw)) for shape in SHAPES]
    for matrix in matrices:
        matrix.grad = torch.randn(matrix.shape, generator=draw)
    return matrices


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 24, 16), (2, 16, 24)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    turned = orthogonalise(
        torch.randn(shape, generator=torch.Generator().manual_seed(1)), torch.float32
    )
    assert turned.shape == shape
    # The quintic leaves them between about 0.7 and 1.2; the smallest of a square one lag behind.
    values = torch.linalg.svdvals(turned)
    assert values.max() < 1.3
    assert values.median() > 0.65


def test_three_steps_in_bf16_are_those_of_torch() -> None:
    ours, theirs = make_matrices(), make_matrices()
    mine = Muon(ours, lr=0.01, weight_decay=0.1, dtype=torch.bfloat16)
    reference = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        mine.step()
        reference.step()  # type: ignore[no-untyped-call]  # torch gives no hints
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_float32_steps_go_the_same_way_as_bf16_ones() -> None:
    exact, rounded, before = make_matrices(), make_matrices(), make_matrices()
    Muon(exact, lr=0.01).step()
    Muon(rounded, lr=0.01, dtype=torch.bfloat16).step()
    for a, b, start in zip(exact, rounded, before, strict=True):
        step = (a - start).flatten()
        assert torch.cosine_similarity(step, (b - start).flatten(), dim=0) > 0.99
        assert step.norm() > 0


def test_a_step_is_the_same_one_written_out_matrix_by_matrix() -> None:
    ours, theirs = make_matrices(), make_matrices()
    momenta = [torch.zeros_like(matrix) for matrix in theirs]
    optimizer = Muon(ours, lr=0.01, weight_decay=0.3, momentum=0.9)
    for _ in range(3):
        optimizer.step()
        for matrix, momentum in zip(theirs, momenta, strict=True):
            gradient = matrix.grad
            assert gradient is not None
            momentum.lerp_(gradient, 1 - 0.9)
            direction = torch.lerp(gradient, momentum, 0.9)
            turned = orthogonalise(direction[None], torch.float32)[0]
            matrix.data.mul_(1 - 0.01 * 0.3)
            matrix.data.sub_(0.01 * 0.2 * max(matrix.shape) ** 0.5 * turned)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.detach(), b.detach(), torch.float32)


def test_a_matrix_without_a_gradient_stays() -> None:
    matrices = make_matrices()
    matrices[1].grad = None
    kept = matrices[1].detach().clone()
    Muon(matrices, lr=0.01).step()
    assert torch.equal(matrices[1], kept)
