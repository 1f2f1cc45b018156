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
    actual, text_loss = head_loss(x, weight, targets, dtype=torch.float32)
    assert torch.equal(actual, text_loss)
    assert_close(actual, expected, torch.float32)


def test_gradients_are_those_of_cross_entropy_plus_l2wrap() -> None:
    x, weight = torch.randn(21, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(0, 50, (21,))
    actual = torch.autograd.grad(
        head_loss(x, weight, targets, dtype=torch.float32)[0] * 3, [x, weight]
    )
    logits = x @ weight.T
    wrap = 0.5 * loss_module.L2_WRAP * logits.max(-1).values.square().mean()
    expected = torch.autograd.grad((F.cross_entropy(logits, targets) + wrap) * 3, [x, weight])
    for mine, theirs in zip(actual, expected, strict=True):
        assert_close(mine, theirs, torch.float32)


def test_bf16_products_stay_close() -> None:
    x, weight, targets = torch.randn(9, 64), torch.randn(50, 64) / 8, torch.randint(0, 50, (9,))
    expected = F.cross_entropy(x @ weight.T, targets)
    actual, _ = head_loss(x, weight, targets, dtype=torch.bfloat16)
    assert_close(actual, expected, torch.bfloat16)


def make_lessons() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Two teachers of other widths."""
    return [(torch.randn(21, width), torch.randn(50, width) / 3) for width in (8, 24)]


def test_teachers_move_the_wanted_distribution_to_their_mean() -> None:
    x, weight = torch.randn(21, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets, lessons = torch.randint(0, 50, (21,)), make_lessons()
    loss, text_loss = head_loss(x, weight, targets, dtype=torch.float32, lessons=lessons, share=0.7)
    logits = x @ weight.T
    mean = torch.stack([(s @ head.T).softmax(-1) for s, head in lessons]).mean(0)
    wanted = 0.3 * F.one_hot(targets, 50) + 0.7 * mean
    expected = F.cross_entropy(logits, wanted)
    assert_close(loss.detach(), expected.detach(), torch.float32)
    assert_close(text_loss, F.cross_entropy(logits, targets).detach(), torch.float32)
    assert not text_loss.requires_grad

    wrap = 0.5 * loss_module.L2_WRAP * logits.max(-1).values.square().mean()
    pairs = zip(
        torch.autograd.grad(loss, [x, weight]),
        torch.autograd.grad(expected + wrap, [x, weight]),
        strict=True,
    )
    for mine, theirs in pairs:
        assert_close(mine, theirs, torch.float32)


def test_teachers_without_a_share_change_nothing() -> None:
    x, weight = torch.randn(21, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(0, 50, (21,))
    alone, _ = head_loss(x, weight, targets, dtype=torch.float32)
    heard, _ = head_loss(x, weight, targets, dtype=torch.float32, lessons=make_lessons(), share=0.0)
    assert torch.equal(alone, heard)
    pairs = zip(
        torch.autograd.grad(alone, [x, weight]),
        torch.autograd.grad(heard, [x, weight]),
        strict=True,
    )
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
