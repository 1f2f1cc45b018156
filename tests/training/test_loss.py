"""The fused head loss against torch's cross entropy, value and gradients."""

import pytest
import torch
import torch.nn.functional as F

from rwkv_core.training import loss as loss_module
from rwkv_core.training.loss import head_loss
from tests.tolerances import assert_close


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_ROWS", 8)


def test_the_value_is_the_mean_cross_entropy() -> None:
    x, weight, targets = torch.randn(21, 16), torch.randn(50, 16), torch.randint(0, 50, (21,))
    expected = F.cross_entropy(x @ weight.T, targets)
    actual = head_loss(x, weight, targets, dtype=torch.float32)
    assert_close(actual, expected, torch.float32)


def test_gradients_are_those_of_cross_entropy_plus_l2wrap() -> None:
    x, weight = torch.randn(21, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(0, 50, (21,))
    actual = torch.autograd.grad(
        head_loss(x, weight, targets, dtype=torch.float32) * 3, [x, weight]
    )
    logits = x @ weight.T
    wrap = 0.5 * loss_module.L2_WRAP * logits.max(-1).values.square().mean()
    expected = torch.autograd.grad((F.cross_entropy(logits, targets) + wrap) * 3, [x, weight])
    for mine, theirs in zip(actual, expected, strict=True):
        assert_close(mine, theirs, torch.float32)


def test_bf16_products_stay_close() -> None:
    x, weight, targets = torch.randn(9, 64), torch.randn(50, 64) / 8, torch.randint(0, 50, (9,))
    expected = F.cross_entropy(x @ weight.T, targets)
    assert_close(head_loss(x, weight, targets, dtype=torch.bfloat16), expected, torch.bfloat16)
