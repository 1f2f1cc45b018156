"""Cross entropy over a vocabulary, with text and teachers, without ever holding all logits."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Rows whose logits exist at one time: 1,024 x 4,096 in bf16 are 8 MiB.
CHUNK_ROWS = 1024
# A GPU has the memory, and fewer launches of more work are what it likes.
CHUNK_ROWS_CUDA = 8192
# Pulls the largest logit of each position towards zero, as the official trainer does.
L2_WRAP = 1e-4

# A teacher's normed stream (N, C) and its head (V, C); its width is its own.
Lesson = tuple[Tensor, Tensor]


def _loss_and_gradient(
    logits: Tensor, targets: Tensor, taught: list[Tensor], share: float, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross entropy of rows of logits with the wanted distribution, and its gradient times scale.

    Args:
        logits: (N, V).
        targets: (N,) true tokens.
        taught: each teacher's logits, (N, V).
        share: of the teachers in the wanted distribution; the true token has the rest.
        scale: of the gradient.

    Returns:
        The loss, summed; the cross entropy with the true tokens alone, summed; the gradient
        in the logits' dtype.
    """
    logits32 = logits.float()
    top, winner = logits32.max(-1, keepdim=True)
    exp = (logits32 - top).exp()
    total = exp.sum(-1, keepdim=True)
    log_total = top + total.log()
    text_loss = (log_total - logits32.gather(1, targets[:, None])).sum()
    column = torch.arange(logits.shape[1], device=logits.device)
    wanted = (column == targets[:, None]).float()
    loss = text_loss
    if taught:
        mean = torch.zeros_like(logits32)
        for teacher in taught:
            mean += teacher.float().softmax(-1) / len(taught)
        loss = (1 - share) * text_loss + share * (log_total - (mean * logits32).sum(-1, True)).sum()
        wanted = (1 - share) * wanted + share * mean
    gradient = exp / total - wanted
    gradient = gradient + (column == winner).float() * top * L2_WRAP
    return loss, text_loss, (gradient * scale).to(logits.dtype)


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        lessons: list[Lesson],
        share: float,
        dtype: torch.dtype,
        is_compiled: bool,
    ) -> tuple[Tensor, Tensor]:
        chunk_loss = torch.compile(_loss_and_gradient) if is_compiled else _loss_and_gradient
        rows, low_weight = x.to(dtype), weight.to(dtype)
        lessons = [(stream.to(dtype), head.to(dtype)) for stream, head in lessons]
        grad_x, grad_weight = torch.empty_like(rows), torch.zeros_like(weight)
        loss, text_loss = x.new_zeros(()), x.new_zeros(())
        size = CHUNK_ROWS_CUDA if x.is_cuda else CHUNK_ROWS
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            logits = rows[part] @ low_weight.T
            taught = [stream[part] @ head.T for stream, head in lessons]
            chunk, text_chunk, grad_logits = chunk_loss(
                logits, targets[part], taught, share, 1 / len(rows)
            )
            loss += chunk
            text_loss += text_chunk
            torch.mm(grad_logits, low_weight, out=grad_x[part])
            grad_weight += grad_logits.T @ rows[part]
        ctx.save_for_backward(grad_x, grad_weight)
        text_loss = text_loss / len(rows)
        ctx.mark_non_differentiable(text_loss)
        return loss / len(rows), text_loss

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None, None, None]:
        grad_x, grad_weight = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_x.float() * grad, grad_weight * grad, None, None, None, None, None


def head_loss(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    dtype: torch.dtype,
    lessons: Sequence[Lesson] = (),
    share: float = 0.0,
    is_compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of softmax(x @ weight.T), with the gradients made on the way.

    The wanted distribution is (1 - share) on the true token and share on the mean of the
    teachers' probabilities; without teachers, the true token.

    Args:
        x: (N, C) float32, the normed residual stream.
        weight: (V, C) float32, the head.
        targets: (N,) int64.
        dtype: of the matrix products.
        lessons: what the teachers made of the same tokens.
        share: of the teachers, 0 to 1.
        is_compiled: fuse the softmax with torch.compile.

    Returns:
        Two float32 scalars in nats per token: the loss, whose gradient includes L2Wrap (its
        value does not), and the cross entropy with the true tokens alone, without a gradient.
    """
    losses: tuple[Tensor, Tensor] = _HeadLoss.apply(  # type: ignore[no-untyped-call]  # no hints
        x, weight, targets, list(lessons), share, dtype, is_compiled
    )
    return losses
