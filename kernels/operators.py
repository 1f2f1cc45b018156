"""The operators: one meaning, chosen backend; wkv7 is differentiable and compilable."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import reference
from kernels.build import BuildError, default_cache
from kernels.cpu_library import HEAD_SIZES, cpu_library, wkv4_library, wkv6_library
from kernels.sentences import Sentence

Run = Callable[..., tuple[Tensor, Tensor]]
MeasuredRun = Callable[..., tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Operator:
    """A recurrence on a chosen backend. Tensors on another device than the CPU run in torch.

    Attributes:
        name: "C++" or "torch".
        reason: why this backend, one sentence.
        run: see wkv7, wkv6 or wkv4 in kernels.reference.
        run_measured: see wkv7_measured, wkv6_measured or wkv4_measured there.
    """

    name: str
    reason: str
    run: Run
    run_measured: MeasuredRun


def torch_wkv7(reason: str) -> Operator:
    """The definition itself as the backend; slow, runs everywhere torch does."""
    return Operator("torch", reason, reference.wkv7, reference.wkv7_measured)


def torch_wkv6(reason: str) -> Operator:
    """The definition itself as the backend; slow, runs everywhere torch does."""
    return Operator("torch", reason, reference.wkv6, reference.wkv6_measured)


def torch_wkv4(reason: str) -> Operator:
    """The definition itself as the backend; slow, runs everywhere torch does."""
    return Operator("torch", reason, reference.wkv4, reference.wkv4_measured)


def select_wkv7(head_size: int) -> Operator:
    """Choose the fastest backend that works here, and say why.

    Args:
        head_size: keys per head, K.
    """
    if head_size not in HEAD_SIZES:
        return torch_wkv7(_no_code(head_size))
    try:
        _, how = cpu_library(default_cache())
    except BuildError as error:
        return torch_wkv7(_no_build(error))
    return Operator("C++", how, _cpp_wkv7, _cpp_wkv7_measured)


def select_wkv6(head_size: int) -> Operator:
    """Choose who runs RWKV-5's and 6's recurrence; as select_wkv7."""
    if head_size not in HEAD_SIZES:
        return torch_wkv6(_no_code(head_size))
    try:
        _, how = wkv6_library(default_cache())
    except BuildError as error:
        return torch_wkv6(_no_build(error))
    return Operator("C++", how, _cpp_wkv6, _cpp_wkv6_measured)


def select_wkv4() -> Operator:
    """Choose who runs RWKV-4's recurrence; as select_wkv7."""
    try:
        _, how = wkv4_library(default_cache())
    except BuildError as error:
        return torch_wkv4(_no_build(error))
    return Operator("C++", how, _cpp_wkv4, _cpp_wkv4_measured)


def _no_code(head_size: int) -> str:
    sizes = ", ".join(map(str, HEAD_SIZES))
    text = "head size {size} has no C++ code (only {sizes}); slower"
    return Sentence(text, size=head_size, sizes=sizes)


def _no_build(error: BuildError) -> str:
    return Sentence("plain torch, much slower on long texts: {why}", why=error.args[0])


def _cpp_wkv6(*arguments: Tensor) -> tuple[Tensor, Tensor]:
    if arguments[0].device.type != "cpu":
        return reference.wkv6(*arguments)
    *inputs, state = arguments
    library, _ = wkv6_library(default_cache())
    y, after, _ = library.forward(tuple(inputs), state, measure=False)
    return y, after


def _cpp_wkv6_measured(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if arguments[0].device.type != "cpu":
        return reference.wkv6_measured(*arguments)
    *inputs, state = arguments
    library, _ = wkv6_library(default_cache())
    return library.forward(tuple(inputs), state, measure=True)


def _cpp_wkv4(*arguments: Tensor) -> tuple[Tensor, Tensor]:
    if arguments[0].device.type != "cpu":
        return reference.wkv4(*arguments)
    *inputs, state = arguments
    library, _ = wkv4_library(default_cache())
    y, after, _ = library.forward(tuple(inputs), state, measure=False)
    return y, after


def _cpp_wkv4_measured(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if arguments[0].device.type != "cpu":
        return reference.wkv4_measured(*arguments)
    *inputs, state = arguments
    library, _ = wkv4_library(default_cache())
    return library.forward(tuple(inputs), state, measure=True)


def _cpp_wkv7(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    if r.device.type != "cpu":
        return reference.wkv7(r, log_decay, k, v, kk, a, state)
    inputs = (r, log_decay, k, v, kk, a)
    # The registered operator costs tens of microseconds a call, so decoding goes past it.
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        y, after, _, _ = _wkv7_keeping(*inputs, state)
        return y, after
    library, _ = cpu_library(default_cache())
    y, after, *_ = library.forward(inputs, state, keep=False, measure=False)
    return y, after


def _cpp_wkv7_measured(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    if r.device.type != "cpu":
        return reference.wkv7_measured(r, log_decay, k, v, kk, a, state)
    library, _ = cpu_library(default_cache())
    inputs = (r, log_decay, k, v, kk, a)
    y, after, _, _, measures = library.forward(inputs, state, keep=False, measure=True)
    return y, after, measures


@torch.library.custom_op("rwkv_kernels::wkv7", mutates_args=())
def _wkv7_keeping(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    library, _ = cpu_library(default_cache())
    inputs = (r, log_decay, k, v, kk, a)
    y, after, kept, sa, _ = library.forward(inputs, state, keep=True, measure=False)
    return y, after, kept, sa


@_wkv7_keeping.register_fake
def _(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    B, T, H, N = r.shape
    span = cpu_library(default_cache())[0].span
    kept = torch.empty(B, H, -(-T // span), N, N)
    return torch.empty(B, T, H, N), torch.empty(B, H, N, N), kept, torch.empty(B, T, H, N)


@torch.library.custom_op("rwkv_kernels::wkv7_backward", mutates_args=())
def _wkv7_backward(
    r: Tensor,
    log_decay: Tensor,
    k: Tensor,
    v: Tensor,
    kk: Tensor,
    a: Tensor,
    kept: Tensor,
    sa: Tensor,
    grad_y: Tensor,
    grad_state: Tensor,
) -> list[Tensor]:
    library, _ = cpu_library(default_cache())
    return list(library.backward((r, log_decay, k, v, kk, a), kept, sa, grad_y, grad_state))


@_wkv7_backward.register_fake
def _(
    r: Tensor,
    log_decay: Tensor,
    k: Tensor,
    v: Tensor,
    kk: Tensor,
    a: Tensor,
    kept: Tensor,
    sa: Tensor,
    grad_y: Tensor,
    grad_state: Tensor,
) -> list[Tensor]:
    return [*(torch.empty(r.shape) for _ in range(6)), torch.empty(grad_state.shape)]


def _save_for_backward(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, ...],
    output: tuple[Tensor, ...],
) -> None:
    ctx.save_for_backward(*inputs[:6], *output[2:])


def _differentiate(
    ctx: torch.autograd.function.FunctionCtx, grad_y: Tensor, grad_state: Tensor, *_: Tensor
) -> tuple[Tensor, ...]:
    saved = ctx.saved_tensors  # type: ignore[attr-defined]  # set by save_for_backward
    return tuple(_wkv7_backward(*saved, grad_y, grad_state))


_wkv7_keeping.register_autograd(_differentiate, setup_context=_save_for_backward)
