"""Following words through one layer: what is read at one, and how long another lasts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rwkv_core.inspection.recurrence import Float64, decays, log_mass, mean_before, mean_shares
from rwkv_core.recording import LayerInputs


class Reading(NamedTuple):
    """What the memory gives back at one token, as a sum over the tokens that wrote it.

    The recurrence's output is the sum over s of weights[:, s] values[s], plus `before`. For
    RWKV-4 every channel is a head with one value, and the weights and the share of what came
    before add up to 1.

    Attributes:
        weights: (H, n), of the tokens up to and with the one that reads; may be negative.
        values: (n, H, V) what those tokens wrote.
        before: (H, V) what the state before the first of them gives.
    """

    weights: Float64
    values: Float64
    before: Float64


def reading(inputs: LayerInputs, token: int) -> Reading:
    """Take the output at one token apart: the implicit attention of arXiv 2405.16504, exactly.

    Args:
        inputs: of T tokens of one layer.
        token: which of them reads, from 0.
    """
    if inputs.r is None:
        return _mean_reading(inputs, token)
    decay = decays(inputs)
    r, k = inputs.r.astype(np.float64), inputs.k.astype(np.float64)
    weights = np.zeros((k.shape[1], token + 1))
    asked = r[token]
    last = token
    if inputs.kk is None:
        # RWKV-5 and 6 read before they write; the current token is read with its bonus.
        bonus = 0.0 if inputs.u is None else inputs.u
        weights[:, token] = (r[token] * bonus * k[token]).sum(-1)
        last = token - 1
    for s in range(last, -1, -1):
        weights[:, s] = (k[s] * asked).sum(-1)
        asked = _back(inputs, s, decay[s], asked)
    before = np.einsum("hvk,hk->hv", inputs.state.astype(np.float64), asked)
    return Reading(weights, inputs.v[: token + 1].astype(np.float64), before)


def remaining(inputs: LayerInputs, token: int) -> Float64:
    """Follow what one token wrote: how much of it is left after each later one.

    Args:
        inputs: of T tokens of one layer.
        token: which of them to follow, from 0.

    Returns:
        (H, T - token) from 1 at the token itself; for RWKV-4 (C, T - token). The trace that a
        token leaves, its value times its key, keeps the value; its key is what fades and is
        erased, so this is the length of that key's remains.
    """
    if inputs.r is None:
        _, masses = mean_shares(inputs)
        age = np.arange(len(masses) - token)[:, None]
        gone: Float64 = np.exp(age * inputs.log_decay - masses[token:] + masses[token])
        return gone.T
    decay = decays(inputs)
    key = inputs.k[token].astype(np.float64)
    lengths = [np.linalg.norm(key, axis=-1)]
    for t in range(token + 1, len(inputs.k)):
        held = key
        key = key * decay[t]
        if inputs.kk is not None and inputs.a is not None:
            key = key - (held * inputs.kk[t]).sum(-1, keepdims=True) * inputs.kk[t] * inputs.a[t]
        lengths.append(np.linalg.norm(key, axis=-1))
    ratio = np.stack(lengths, axis=1)
    start = ratio[:, :1]
    left: Float64 = np.divide(ratio, start, out=np.zeros_like(ratio), where=start > 0)
    return left


def remaining_in_layer(inputs: LayerInputs, token: int) -> Float64:
    """Follow what one token wrote over all heads of a layer together.

    Returns:
        (T - token,) norm of its remains, as a share of what it wrote.
    """
    heads = remaining(inputs, token)
    v, k = inputs.v[token].astype(np.float64), inputs.k[token].astype(np.float64)
    if inputs.r is None:
        # What a value brings to the mean is its share of it.
        shares, _ = mean_shares(inputs)
        written = np.abs(v * shares[token])
    else:
        written = np.linalg.norm(v, axis=-1) * np.linalg.norm(k, axis=-1)
    total = np.sqrt(np.square(written).sum())
    if total == 0:
        return np.zeros(heads.shape[1])
    left: Float64 = np.sqrt(np.square(heads * written[:, None]).sum(0)) / total
    return left


def _back(inputs: LayerInputs, s: int, decay: Float64, asked: Float64) -> Float64:
    """Ask the state before token s what the state after it was asked."""
    back: Float64 = decay * asked
    if inputs.kk is not None and inputs.a is not None:
        kk = inputs.kk[s].astype(np.float64)
        back = back - kk * (kk * inputs.a[s] * asked).sum(-1, keepdims=True)
    return back


def _mean_reading(inputs: LayerInputs, token: int) -> Reading:
    """RWKV-4: the share of every value in the mean, the newest with its bonus."""
    k, decay = inputs.k[: token + 1].astype(np.float64), inputs.log_decay.astype(np.float64)
    ages = np.arange(token - 1, -1, -1)[:, None]
    old = log_mass(inputs.state) + token * decay
    bonus = 0.0 if inputs.u is None else inputs.u
    exponents = np.concatenate([old[None], k[:-1] + ages * decay, k[-1:] + bonus])
    shares = np.exp(exponents - np.logaddexp.reduce(exponents, axis=0))
    v = inputs.v[: token + 1].astype(np.float64)[:, :, None]
    return Reading(shares[1:].T, v, (shares[0] * mean_before(inputs))[:, None])
