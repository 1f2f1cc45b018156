"""Definitions of the operators in plain torch. Slow, differentiable, and what the kernels mean."""

import torch
from torch import Tensor


def wkv7(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the RWKV-7 recurrence over T tokens.

    For each token: S = S · diag(exp(log_decay)) - (S kk)(kk ∘ a)ᵀ + v kᵀ;  y = S r.

    Args:
        r: (B, T, H, K) receptance.
        log_decay: (B, T, H, K), <= 0, nats per token.
        k: (B, T, H, K) key.
        v: (B, T, H, V) value.
        kk: (B, T, H, K) removal key, unit length per head.
        a: (B, T, H, K) in-context learning rate, 0 to 1.
        state: (B, H, V, K) float32, S before the first token; not changed.

    Returns:
        y (B, T, H, V) float32, and S after the last token, (B, H, V, K) float32.

    Source:
        RWKV-7 "Goose", arXiv 2503.14456; checked against a float64 reference in the tests.
    """
    y, state, _ = wkv7_measured(r, log_decay, k, v, kk, a, state)
    return y, state


def wkv7_measured(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run wkv7 and also measure the state after every token.

    Args and first two results as in wkv7.

    Returns:
        y, the last state, and measures (B, T, H, 2) float32: the squared Frobenius norm of
        each head's state after the token, and of the change that the token made to it.
    """
    r, log_decay, k, v, kk, a = (x.float() for x in (r, log_decay, k, v, kk, a))
    decay, b = log_decay.exp(), kk * a
    outputs, measures = [], []
    for t in range(r.shape[1]):
        sa = state @ kk[:, t, :, :, None]  # (B, H, V, 1)
        added = v[:, t, :, :, None] * k[:, t, :, None, :] - sa * b[:, t, :, None, :]
        before, state = state, state * decay[:, t, :, None, :] + added
        outputs.append((state @ r[:, t, :, :, None]).squeeze(-1))
        norms = [x.detach().square().sum((-2, -1)) for x in (state, state - before)]
        measures.append(torch.stack(norms, dim=-1))
    if not outputs:
        return torch.zeros_like(v), state, v.new_zeros(*v.shape[:-1], 2)
    return torch.stack(outputs, 1), state, torch.stack(measures, 1)
