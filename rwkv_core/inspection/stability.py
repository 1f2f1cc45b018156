"""How numbers are kept from overflowing: two tricks, shown at work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwkv_core.inspection.arrays import Floats

# exp of more than this is infinite in float32.
FLOAT32_LIMIT = float(np.log(np.finfo(np.float32).max))


@dataclass(frozen=True, eq=False)
class LogSumExp:
    """RWKV-4's sum of exp(key), plainly and divided by exp of the largest exponent so far.

    Attributes:
        plain: (T,) the sum in float32; infinite after an overflow.
        kept: (T,) what is stored instead, float32, never above the number of tokens.
        exponent: (T,) the largest exponent that it is divided by.
        exact: (T,) log of the true sum, float64.
    """

    plain: Floats
    kept: Floats
    exponent: Floats
    exact: Floats


def log_sum_exp(keys: Floats, log_decay: float) -> LogSumExp:
    """Run the denominator of RWKV-4's mean both ways, in float32.

    Args:
        keys: (T,) keys of one channel.
        log_decay: of the channel, nats per token, <= 0.
    """
    plain, kept, top, exact = np.float32(0), np.float32(0), np.float32(-np.inf), -np.inf
    rows = []
    for key in keys.astype(np.float32):
        with np.errstate(over="ignore"):
            plain = np.float32(plain * np.exp(np.float32(log_decay)) + np.exp(key))
        new_top = np.maximum(top + np.float32(log_decay), key)
        old = np.exp(top + np.float32(log_decay) - new_top) if np.isfinite(top) else np.float32(0)
        kept = np.float32(old * kept + np.exp(key - new_top))
        top = new_top
        exact = float(np.logaddexp(exact + log_decay, float(key)))
        rows.append((float(plain), float(kept), float(top), exact))
    columns = np.array(rows).T
    return LogSumExp(*columns)


def bounded_decay(raw: Floats) -> Floats:
    """RWKV-7's decay: exp(-exp(-1/2) sigmoid(raw)), between 0.545 and 1 for any input."""
    wide = raw.astype(np.float64)
    decay: Floats = np.exp(-np.exp(-0.5) / (1 + np.exp(-wide)))
    return decay


def unbounded_decay(raw: Floats) -> Floats:
    """The decay of RWKV-5 and 6: exp(-exp(raw)), which falls to 0 for large inputs."""
    with np.errstate(over="ignore"):
        decay: Floats = np.exp(-np.exp(raw.astype(np.float64)))
    return decay


def raw_of_bounded(decay: Floats) -> Floats:
    """Find the input that gives an RWKV-7 decay."""
    share = np.clip(-np.log(decay.astype(np.float64)) * np.exp(0.5), 1e-9, 1 - 1e-9)
    raw: Floats = np.log(share / (1 - share))
    return raw
