"""Changes to a memory. Each makes a new State; the given ones stay as they are.

RWKV-4 keeps a numerator and a denominator, both divided by exp of the largest exponent among
them, which is a matter of storage. Every change here acts on what they stand for, so that it
does not depend on that exponent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rwkv_core.errors import SettingsError
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.forgetting import half_life_tokens
from rwkv_core.state import EMPTY_EXPONENT, State

MAX_GAIN, MAX_NOISE = 4.0, 2.0


@dataclass(frozen=True)
class ZeroLayer:
    """Empty the memory of one layer, counted from 0."""

    layer: int


@dataclass(frozen=True)
class ZeroHead:
    """Empty the memory of one head, counted from 0."""

    layer: int
    head: int


@dataclass(frozen=True)
class KeepSlow:
    """Empty every channel that forgets half of what it holds within fewer tokens than this."""

    half_life_tokens: float


@dataclass(frozen=True)
class Gain:
    """Let all that is held weigh this many times as much against what comes next."""

    factor: float


@dataclass(frozen=True)
class Noise:
    """Add normal noise to each head.

    Attributes:
        strength: its standard deviation, over the root mean square of what the head holds.
        seed: the same seed gives the same noise.
    """

    strength: float
    seed: int


Edit = ZeroLayer | ZeroHead | KeepSlow | Gain | Noise


def apply_edit(state: State, edit: Edit, log_decay: Floats | None = None) -> State:
    """Make the memory that one change gives.

    Args:
        state: B = 1.
        edit: what to change.
        log_decay: (L, H, K) mean log decay, nats per token; KeepSlow needs it.

    Raises:
        SettingsError: there is no such layer or head, or a value is out of range.
    """
    match edit:
        case ZeroLayer(layer):
            _check_index("layer", layer, len(state.wkv))
            return _masked(state, _places(state, layer))
        case ZeroHead(layer, head):
            if _has_exponents(state):
                raise SettingsError("RWKV-4 has no heads; empty a whole layer instead")
            _check_index("layer", layer, len(state.wkv))
            _check_index("head", head, state.wkv.shape[2])
            return _masked(state, _places(state, layer, head))
        case KeepSlow(limit):
            assert log_decay is not None
            fast = torch.from_numpy(half_life_tokens(log_decay) < limit)
            return _masked(state, fast[:, None, :, None, :].to(state.wkv.device))
        case Gain(factor):
            _check_range("gain", factor, MAX_GAIN)
            return _scaled(state, factor)
        case Noise(strength, seed):
            _check_range("noise", strength, MAX_NOISE)
            return _noisy(state, strength, seed)


def blend(states: Sequence[State], weights: Sequence[float]) -> State:
    """Add memories up, each with its share; a share of 1 gives that memory exactly.

    All three parts are blended. Of RWKV-4 the sums themselves are, numerator and denominator
    times exp of their exponent: a text that weighs more in them weighs more here.

    Args:
        states: of one model, B = 1 each.
        weights: as many, at least one above 0; their shares of the sum are used.

    Raises:
        SettingsError: a weight is negative or no number, or all are 0.
    """
    total = math.fsum(weights)
    if not all(0 <= weight < math.inf for weight in weights) or not total > 0:
        raise SettingsError(
            "the shares are {shares}; give each 0 or more, and at least one above 0",
            shares=", ".join(f"{weight:g}" for weight in weights),
        )
    # Those without a share are left out, so that nothing of them is seen, not even an exponent.
    kept = [(s, w / total) for s, w in zip(states, weights, strict=True) if w > 0]
    if len(kept) == 1:
        return kept[0][0]
    times = [
        sum(share * vars(state)[part] for state, share in kept)
        for part in ("time_mix_shift", "channel_mix_shift")
    ]
    if _has_exponents(states[0]):
        wkv = _blend_exponents([s.wkv for s, _ in kept], [share for _, share in kept])
    else:
        wkv = torch.stack([share * state.wkv for state, share in kept]).sum(0)
    return State(torch.as_tensor(times[0]), wkv, torch.as_tensor(times[1]))


def _blend_exponents(parts: list[Tensor], shares: list[float]) -> Tensor:
    """Add (L, B, 3, C) sums up in the exponent that is largest in each channel."""
    top = torch.stack([part[:, :, 2] for part in parts]).amax(0)
    scales = [
        share * (part[:, :, 2] - top).exp() for part, share in zip(parts, shares, strict=True)
    ]
    numerator = torch.stack([s * p[:, :, 0] for s, p in zip(scales, parts, strict=True)]).sum(0)
    denominator = torch.stack([s * p[:, :, 1] for s, p in zip(scales, parts, strict=True)]).sum(0)
    return torch.stack([numerator, denominator, top], dim=2)


def _places(state: State, layer: int, head: int | None = None) -> Tensor:
    """Mark one layer, or one head of it; (L, 1, H, 1, 1)."""
    marks = torch.zeros(len(state.wkv), 1, state.memory.shape[2], 1, 1, dtype=torch.bool)
    marks[layer, 0, slice(None) if head is None else head] = True
    return marks.to(state.wkv.device)


def _masked(state: State, marks: Tensor) -> State:
    """Empty what is marked; marks broadcast to State.memory, (L, B, H, V, K)."""
    if not _has_exponents(state):
        return replace(state, wkv=state.wkv.masked_fill(marks, 0))
    marks = marks.expand(state.memory.shape)[:, :, 0, 0]  # (L, B, C)
    wkv = state.wkv
    empty = torch.tensor([0.0, 0.0, EMPTY_EXPONENT], dtype=wkv.dtype, device=wkv.device)
    return replace(state, wkv=torch.where(marks[:, :, None], empty[:, None], state.wkv))


def _scaled(state: State, factor: float) -> State:
    if not _has_exponents(state):
        return replace(state, wkv=factor * state.wkv)
    if factor == 0:
        return _masked(state, torch.ones(1, 1, 1, 1, 1, dtype=torch.bool, device=state.wkv.device))
    # Numerator and denominator alike: their mean stays, its weight beside new words changes.
    wkv = state.wkv.clone()
    wkv[:, :, :2] *= factor
    return replace(state, wkv=wkv)


def _noisy(state: State, strength: float, seed: int) -> State:
    memory = state.memory
    draw = np.random.Generator(np.random.PCG64(seed))
    noise = torch.from_numpy(draw.standard_normal(tuple(memory.shape), dtype=np.float32))
    size = memory.square().mean(dim=(-2, -1), keepdim=True).sqrt()
    added = strength * size * noise.to(memory.device)
    if not _has_exponents(state):
        return replace(state, wkv=state.wkv + added)
    # The remembered mean moves by what is added; its weight stays.
    numerator, denominator, exponent = state.wkv.unbind(2)
    numerator = numerator + denominator * added[:, :, 0, 0]
    return replace(state, wkv=torch.stack([numerator, denominator, exponent], dim=2))


def _has_exponents(state: State) -> bool:
    return state.wkv.dim() == 4


def _check_index(what: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise SettingsError(
            "there is no {what} {number}; choose 1 to {count}",
            what=what,
            number=index + 1,
            count=count,
        )


def _check_range(what: str, value: float, limit: float) -> None:
    # NaN fails both comparisons, so it is refused too.
    if not 0 <= value <= limit:
        raise SettingsError(
            "the {what} is {value}, but must be 0 to {limit:g}; move the slider",
            what=what,
            value=value,
            limit=limit,
        )
