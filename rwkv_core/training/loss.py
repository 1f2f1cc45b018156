"""Cross entropy over a vocabulary without ever holding all logits."""

import torch
from torch import Tensor

# Rows whose logits exist at one time: 1,024 x 4,096 in bf16 are 8 MiB.
CHUNK_ROWS = 1024
# Pulls the largest logit of each position towards zero, as the official trainer does.
L2_WRAP = 1e-4


def _loss_and_gradient(logits: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Cross entropy of rows of logits, summed, and its gradient times scale, in their dtype."""
    logits32 = logits.float()
    top, winner = logits32.max(-1, keepdim=True)
    exp = (logits32 - top).exp()
    total = exp.sum(-1, keepdim=True)
    told = logits32.gather(1, targets[:, None])
    loss = (top + total.log() - told).sum()
    column = torch.arange(logits.shape[1], device=logits.device)
    gradient = exp / total - (column == targets[:, None]).float()
    gradient = gradient + (column == winner).float() * top * L2_WRAP
    return loss, (gradient * scale).to(logits.dtype)


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        is_compiled: bool,
    ) -> Tensor:
        chunk_loss = torch.compile(_loss_and_gradient) if is_compiled else _loss_and_gradient
        rows, low_weight = x.to(dtype), weight.to(dtype)
        grad_x, grad_weight = torch.empty_like(rows), torch.zeros_like(weight)
        loss = x.new_zeros(())
        for start in range(0, len(rows), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            logits = rows[part] @ low_weight.T
            chunk, grad_logits = chunk_loss(logits, targets[part], 1 / len(rows))
            loss += chunk
            torch.mm(grad_logits, low_weight, out=grad_x[part])
            grad_weight += grad_logits.T @ rows[part]
        ctx.save_for_backward(grad_x, grad_weight)
        return loss / len(rows)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        grad_x, grad_weight = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_x.float() * grad, grad_weight * grad, None, None, None


def head_loss(
    x: Tensor, weight: Tensor, targets: Tensor, *, dtype: torch.dtype, is_compiled: bool = False
) -> Tensor:
    """Mean cross entropy of softmax(x @ weight.T), with the gradients made on the way.

    Args:
        x: (N, C) float32, the normed residual stream.
        weight: (V, C) float32, the head.
        targets: (N,) int64.
        dtype: of the matrix products.
        is_compiled: fuse the softmax with torch.compile.

    Returns:
        A float32 scalar, nats per token. Its gradient includes L2Wrap (its value does not).
    """
    loss: Tensor = _HeadLoss.apply(  # type: ignore[no-untyped-call]  # torch has no hints here
        x, weight, targets, dtype, is_compiled
    )
    return loss
