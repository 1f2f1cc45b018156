"""The operators: one meaning, chosen backend; wkv7 is differentiable and compilable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import reference
from kernels.build import BuildError, default_cache
from kernels.cpu_library import HEAD_SIZES, cpu_library, wkv4_library, wkv6_library
from kernels.cuda import wkv
from kernels.cuda.device import Device, open_device
from kernels.sentences import Sentence

Run = Callable[..., tuple[Tensor, Tensor]]
MeasuredRun = Callable[..., tuple[Tensor, Tensor, Tensor]]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Operator:
    """A recurrence on chosen backends. Tensors on a device that none was chosen for run in torch.

    Attributes:
        name: "C++", "CUDA" or "torch", or several, where tensors lie on several devices.
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


def select_wkv7(head_size: int, devices: Sequence[torch.device] = (CPU,)) -> Operator:
    """Choose the fastest backend that works here, and say why.

    Args:
        head_size: keys per head, K.
        devices: where tensors will lie.
    """

    def on_cpu() -> Operator:
        _, how = cpu_library(default_cache())
        return Operator("C++", how, _cpp_wkv7, _cpp_wkv7_measured)

    def on_cuda(device: Device) -> Operator:
        # Compiled now, so that what fails does so while there is still a choice.
        for name in ("wkv7_forward", "wkv7_measured"):
            device.kernel("wkv7.cu", name, HEAD_SIZE=head_size, INPUT="float")
        return Operator("CUDA", device.how, _cuda_wkv7(device), _cuda_wkv7_measured(device))

    return _select(torch_wkv7, devices, on_cpu, on_cuda, head_size)


def select_wkv6(head_size: int, devices: Sequence[torch.device] = (CPU,)) -> Operator:
    """Choose who runs RWKV-5's and 6's recurrence; as select_wkv7."""

    def on_cpu() -> Operator:
        _, how = wkv6_library(default_cache())
        return Operator("C++", how, _cpp_wkv6, _cpp_wkv6_measured)

    def on_cuda(device: Device) -> Operator:
        for name in ("wkv6_forward", "wkv6_measured"):
            device.kernel("wkv6.cu", name, HEAD_SIZE=head_size, INPUT="float")
        return _cuda_operator(device, wkv.wkv6_forward)

    return _select(torch_wkv6, devices, on_cpu, on_cuda, head_size)


def select_wkv4(devices: Sequence[torch.device] = (CPU,)) -> Operator:
    """Choose who runs RWKV-4's recurrence; as select_wkv7."""

    def on_cpu() -> Operator:
        _, how = wkv4_library(default_cache())
        return Operator("C++", how, _cpp_wkv4, _cpp_wkv4_measured)

    def on_cuda(device: Device) -> Operator:
        for name in ("wkv4_forward", "wkv4_measured"):
            device.kernel("wkv4.cu", name, INPUT="float")
        return _cuda_operator(device, wkv.wkv4_forward)

    return _select(torch_wkv4, devices, on_cpu, on_cuda)


def _select(
    in_torch: Callable[[str], Operator],
    devices: Sequence[torch.device],
    on_cpu: Callable[[], Operator],
    on_cuda: Callable[[Device], Operator],
    head_size: int = HEAD_SIZES[0],
) -> Operator:
    """Choose for each device, and join the choices."""
    chosen: dict[torch.device, Operator] = {}
    for device in devices:
        if head_size not in HEAD_SIZES:
            chosen[device] = in_torch(_no_code(head_size))
            continue
        try:
            if device.type == "cpu":
                chosen[device] = on_cpu()
            elif device.type == "cuda":
                opened = open_device(device)
                chosen[opened.torch_device] = on_cuda(opened)
            else:
                why = Sentence("there are no kernels for {device}", device=device)
                chosen[device] = in_torch(why)
        except BuildError as error:
            chosen[device] = in_torch(_no_build(error))
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    otherwise, reasons = in_torch(""), ""
    for device, operator in chosen.items():
        why = Sentence("{device}: {how}", device=device, how=operator.reason)
        reasons = Sentence("{first}; {second}", first=reasons, second=why) if reasons else why
    return Operator(
        " and ".join(dict.fromkeys(operator.name for operator in chosen.values())),
        reasons,
        lambda *inputs: chosen.get(inputs[-1].device, otherwise).run(*inputs),
        lambda *inputs: chosen.get(inputs[-1].device, otherwise).run_measured(*inputs),
    )


def _no_code(head_size: int) -> str:
    sizes = ", ".join(map(str, HEAD_SIZES))
    text = "head size {size} has no compiled code (only {sizes}); slower"
    return Sentence(text, size=head_size, sizes=sizes)


def _no_build(error: BuildError) -> str:
    return Sentence("plain torch, much slower on long texts: {why}", why=error.args[0])


def _cuda_operator(
    device: Device, forward: Callable[..., tuple[Tensor, Tensor, Tensor]]
) -> Operator:
    """Make a recurrence's operator from its function in kernels.cuda.wkv."""

    def run(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        y, after, _ = forward(device, arguments[:-1], arguments[-1], measure=False)
        return y, after

    def run_measured(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return forward(device, arguments[:-1], arguments[-1], measure=True)

    return Operator("CUDA", device.how, run, run_measured)


def _cuda_wkv7(device: Device) -> Run:
    def run(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        *inputs, state = arguments
        if torch.compiler.is_compiling() or torch.is_grad_enabled():
            y, after, _, _ = _wkv7_keeping(*inputs, state)
            return y, after
        made = wkv.wkv7_forward(device, tuple(inputs), state, keep=False, measure=False)
        return made[0], made[1]

    return run


def _cuda_wkv7_measured(device: Device) -> MeasuredRun:
    def run(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *inputs, state = arguments
        made = wkv.wkv7_forward(device, tuple(inputs), state, keep=False, measure=True)
        return made[0], made[1], made[4]

    return run


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


@_wkv7_keeping.register_kernel("cuda")
def _(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = (r, log_decay, k, v, kk, a)
    device = open_device(r.device)
    y, after, kept, sa, _ = wkv.wkv7_forward(device, inputs, state, keep=True, measure=False)
    return y, after, kept, sa


@_wkv7_keeping.register_fake
def _(
    r: Tensor, log_decay: Tensor, k: Tensor, v: Tensor, kk: Tensor, a: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    B, T, H, N = r.shape
    shapes = ((B, T, H, N), (B, H, N, N), (B, H, -(-T // wkv.SPAN), N, N), (B, T, H, N))
    y, after, kept, sa = (r.new_empty(shape, dtype=torch.float32) for shape in shapes)
    return y, after, kept, sa


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


@_wkv7_backward.register_kernel("cuda")
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
    inputs, device = (r, log_decay, k, v, kk, a), open_device(r.device)
    return list(wkv.wkv7_backward(device, inputs, kept, sa, grad_y, grad_state))


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
    shapes = [*[r.shape] * 6, grad_state.shape]
    return [r.new_empty(shape, dtype=torch.float32) for shape in shapes]


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
