"""Definitions of the operators in plain torch. Slow, differentiable, and what the kernels mean."""

import torch
from torch import Tensor

# Squared norms that a measured recurrence takes per token: of the state, of the change made to
# it, and of that change's three parts (fade, erase, write).
MEASURES = 5


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
        y, the last state, and measures (B, T, H, 5) float32, squared Frobenius norms for each
        head: of the state after the token, of the change that the token made to it, and of
        the three parts of that change = write - fade - erase: S (1 - diag(exp(log_decay))),
        (S kk)(kk ∘ a)ᵀ, and v kᵀ.
    """
    r, log_decay, k, v, kk, a = (x.float() for x in (r, log_decay, k, v, kk, a))
    decay, b = log_decay.exp(), kk * a
    outputs, measures = [], []
    for t in range(r.shape[1]):
        sa = state @ kk[:, t, :, :, None]  # (B, H, V, 1)
        written = v[:, t, :, :, None] * k[:, t, :, None, :]
        erased = sa * b[:, t, :, None, :]
        before, state = state, state * decay[:, t, :, None, :] + written - erased
        outputs.append((state @ r[:, t, :, :, None]).squeeze(-1))
        faded = before - before * decay[:, t, :, None, :]
        parts = (state, state - before, faded, erased, written)
        norms = [x.detach().square().sum((-2, -1)) for x in parts]
        measures.append(torch.stack(norms, dim=-1))
    if not outputs:
        return torch.zeros_like(v), state, v.new_zeros(*v.shape[:-1], MEASURES)
    return torch.stack(outputs, 1), state, torch.stack(measures, 1)


def wkv6(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of RWKV-6, and of RWKV-5, over T tokens.

    For each token: y = S r + (r · (u ∘ k)) v;  S = S · diag(exp(log_decay)) + v kᵀ.

    Args:
        r: (B, T, H, K) receptance.
        log_decay: (B, T, H, K), or (H, K) where it is the same for every token; <= 0, nats.
        k: (B, T, H, K) key.
        v: (B, T, H, V) value.
        u: (H, K) bonus of the current token.
        state: (B, H, V, K) float32, S before the first token; not changed.

    Returns:
        y (B, T, H, V) float32, and S after the last token, (B, H, V, K) float32.

    Source:
        RWKV-5 and 6 "Eagle and Finch", arXiv 2404.05892, with S transposed.
    """
    y, state, _ = wkv6_measured(r, log_decay, k, v, u, state)
    return y, state


def wkv6_measured(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run wkv6 and also measure the state after every token; as wkv7_measured, nothing erased."""
    r, log_decay, k, v, u = (x.float() for x in (r, log_decay, k, v, u))
    decay = log_decay.exp().expand(r.shape)
    bonus = (r * u * k).sum(-1, keepdim=True) * v
    state = state.float()
    outputs, measures = [], []
    for t in range(r.shape[1]):
        outputs.append((state @ r[:, t, :, :, None]).squeeze(-1) + bonus[:, t])
        before = state
        written = v[:, t, :, :, None] * k[:, t, :, None, :]
        state = state * decay[:, t, :, None, :] + written
        faded = before - before * decay[:, t, :, None, :]
        parts = (state, state - before, faded, torch.zeros_like(faded), written)
        norms = [x.square().sum((-2, -1)) for x in parts]
        measures.append(torch.stack(norms, dim=-1))
    if not outputs:
        return torch.zeros_like(v), state, v.new_zeros(*v.shape[:-1], MEASURES)
    return torch.stack(outputs, 1), state, torch.stack(measures, 1)


def wkv4(
    log_decay: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of RWKV-4 over T tokens.

    y is the mean of all values up to the token, each weighted by exp(its key + log_decay ·
    its age), the current one by exp(its key + u). Numerator and denominator are kept divided
    by exp(their largest exponent), so that nothing overflows.

    Args:
        log_decay: (C,), <= 0, nats per token.
        u: (C,), bonus of the current token.
        k: (B, T, C) key.
        v: (B, T, C) value.
        state: (B, 3, C) float32: numerator, denominator, largest exponent; not changed.

    Returns:
        y (B, T, C) float32, and the state after the last token, (B, 3, C) float32.

    Source:
        RWKV-4, arXiv 2305.13048, appendix on numerical stability.
    """
    y, state, _ = wkv4_measured(log_decay, u, k, v, state)
    return y, state


def wkv4_measured(
    log_decay: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run wkv4 and also measure the state after every token.

    Returns:
        y, the last state, and measures (B, T, 1, 5) as in wkv7_measured, of the remembered
        mean (numerator over denominator, which does not depend on the common exponent; 0
        before any token). The mean moves by the share that the newest value has in it: what
        that value brings is written, what the old mean gives up for it has faded.
    """
    log_decay, u, k, v = (x.float() for x in (log_decay, u, k, v))
    numerator, denominator, exponent = state.float().unbind(1)
    outputs, measures = [], []
    mean = _mean(numerator, denominator)
    for t in range(k.shape[1]):
        kt, vt = k[:, t], v[:, t]
        top = torch.maximum(exponent, u + kt)
        old, new = (exponent - top).exp(), (u + kt - top).exp()
        outputs.append((old * numerator + new * vt) / (old * denominator + new))
        top = torch.maximum(exponent + log_decay, kt)
        old, new = (exponent + log_decay - top).exp(), (kt - top).exp()
        numerator, denominator, exponent = old * numerator + new * vt, old * denominator + new, top
        before, mean = mean, _mean(numerator, denominator)
        share = new / denominator
        parts = (mean, mean - before, share * before, torch.zeros_like(mean), share * vt)
        measures.append(torch.stack([x.square().sum(-1) for x in parts], -1))
    after = torch.stack([numerator, denominator, exponent], 1)
    if not outputs:
        return torch.zeros_like(v), after, v.new_zeros(*v.shape[:-1], 1, MEASURES)
    return torch.stack(outputs, 1), after, torch.stack(measures, 1)[:, :, None]


def _mean(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1e-38), 0.0)
