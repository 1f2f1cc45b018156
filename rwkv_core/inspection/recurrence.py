"""A layer's states again, token by token, from what its recurrence was given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rwkv_core.inspection.arrays import Floats
from rwkv_core.recording import LayerInputs

Float64 = NDArray[np.float64]


def states(inputs: LayerInputs) -> Iterator[Float64]:
    """Step through the states that one layer held.

    Args:
        inputs: of T tokens.

    Yields:
        T arrays (H, V, K), S after each token; for RWKV-4 its mean of values, (1, 1, C).
    """
    if inputs.r is None:
        shares, _ = mean_shares(inputs)
        mean = mean_before(inputs)
        for share, v in zip(shares, inputs.v.astype(np.float64), strict=True):
            mean = mean + share * (v - mean)
            yield mean[None, None]
        return
    S = inputs.state.astype(np.float64)
    decay = decays(inputs)
    for t, (k, v) in enumerate(zip(inputs.k, inputs.v, strict=True)):
        added = v[:, :, None].astype(np.float64) * k[:, None, :]
        if inputs.kk is not None and inputs.a is not None:
            removed = np.einsum("hvk,hk->hv", S, inputs.kk[t])
            added -= removed[:, :, None] * (inputs.kk[t] * inputs.a[t])[:, None, :]
        S = S * decay[t][:, None, :] + added
        yield S


def decays(inputs: LayerInputs) -> Float64:
    """Give every token its decay, (T, H, K), also where it never changes.

    Not for RWKV-4.
    """
    shape = np.broadcast_shapes(inputs.log_decay.shape, inputs.k.shape)
    decay: Float64 = np.exp(np.broadcast_to(inputs.log_decay, shape).astype(np.float64))
    return decay


def log_mass(wkv: Floats) -> Floats:
    """Say how much evidence RWKV-4's mean rests on, whatever its common exponent.

    Args:
        wkv: (..., 3, C) numerator, denominator and largest exponent.

    Returns:
        (..., C) natural logarithm of the sum of all weights; -inf before any token.
    """
    denominator = wkv[..., 1, :].astype(np.float64)
    with np.errstate(divide="ignore"):
        mass: Floats = wkv[..., 2, :] + np.log(denominator)
    return mass


def mean_shares(inputs: LayerInputs) -> tuple[Float64, Float64]:
    """Weigh RWKV-4's tokens: what share each has in the mean once it is read.

    Returns:
        (T, C) shares from 0 to 1, and (T, C) logarithm of the sum of all weights after it.
    """
    mass = log_mass(inputs.state)
    shares, masses = [], []
    for k in inputs.k.astype(np.float64):
        mass = np.logaddexp(mass + inputs.log_decay, k)
        shares.append(np.exp(k - mass))
        masses.append(mass)
    return np.stack(shares), np.stack(masses)


def mean_before(inputs: LayerInputs) -> Float64:
    """Divide numerator by denominator of the state before the first token, (C,); RWKV-4."""
    numerator, denominator = inputs.state[0].astype(np.float64), inputs.state[1].astype(np.float64)
    mean: Float64 = np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
    )
    return mean
