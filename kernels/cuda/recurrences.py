"""A plan's recurrences over several tokens, by the kernels made for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kernels.cuda import wkv
from kernels.cuda.device import Device
from kernels.cuda.starts import StateParts
from kernels.plan_parts import KINDS, Step


def run_recurrence(
    device: Device,
    step: Step,
    view: Callable[..., Tensor],
    constants: Sequence[Tensor],
    heads: tuple[int, int],
    B: int,
    T: int,
    state: StateParts,
    after: StateParts,
) -> None:
    """Run a step over T tokens of each of B conversations.

    Args:
        device: where.
        step: "wkv7", "wkv6" or "wkv4".
        view: looks at a value by its number, (rows, C).
        constants: of the step, with an element for each channel.
        heads: how many, H, and their size, N.
        B: conversations.
        T: tokens.
        state: before, by parts; the second is (L, B, ...) of the recurrences.
        after: where the state after goes.
    """
    layer, kind = step.number[0], KINDS[step.kind]
    shape = (B, T, -1) if kind == "wkv4" else (B, T, *heads)
    inputs = [view(value, rows=B * T).reshape(shape) for value in step.inputs if value >= 0]
    y, before, last = view(step.out, rows=B * T), state[1][layer], after[1][layer]
    flat = [tensor[: y.shape[1]] for tensor in constants]
    whole = y if y.is_contiguous() else torch.empty_like(y)
    into = whole.view(inputs[0].shape), last
    if kind == "wkv7":
        wkv.wkv7_forward(device, tuple(inputs), before, keep=False, measure=False, into=into)
    elif kind == "wkv6":
        u, *decay = (tensor.view(heads) for tensor in flat)
        inputs[1:1] = decay
        wkv.wkv6_forward(device, (*inputs, u), before, measure=False, into=into)
    else:
        wkv.wkv4_forward(device, (*flat, *inputs), before, measure=False, into=into)
    if whole is not y:
        y.copy_(whole)
