"""The recurrences on a GPU, as functions on tensors. Definitions: kernels/reference.py."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.cuda.device import INPUTS, Device
from kernels.reference import MEASURES

# As in tile.cuh, wkv7.cuh, wkv7_back.cu and wkv4.cu.
BLOCK_LINES = 16
LINE_THREADS = 4
SPAN = 16
# For a head size: columns of a block on the way back, and its threads.
BACK_COLUMNS = {16: (16, 64), 32: (16, 128), 64: (16, 128), 128: (8, 128)}
WKV4_CHANNELS = 128
Into = tuple[Tensor, Tensor] | None
# A warp measures the rows, or RWKV-4's channels, that it has.
WARP = 32


def wkv7_forward(
    device: Device,
    inputs: tuple[Tensor, ...],
    state: Tensor,
    *,
    keep: bool,
    measure: bool,
    into: Into = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Run RWKV-7's recurrence.

    Args:
        device: where the tensors lie.
        inputs: r, log_decay, k, v, kk, a, each (B, T, H, N), of any float type.
        state: (B, H, N, N) before the first token; not changed.
        keep: also return what wkv7_backward needs.
        measure: also return measures, see kernels.reference.wkv7_measured; not with keep.
        into: float32 memory for y and the last state; new tensors without.

    Returns:
        y, last state, kept states (B, H, spans, N, N), sa (B, T, H, N), measures
        (B, T, H, 5), all float32; the last three are empty where not asked for.
    """
    inputs = _of_one_type(inputs)
    B, T, H, N = inputs[0].shape
    state = _aligned(state.float())
    y, after = into or (_floats(state, B, T, H, N), torch.empty_like(state))
    kept = _floats(state, B, H, -(-T // SPAN) if keep else 0, N, N)
    sa = _floats(state, B, T if keep else 0, H, N)
    measures = _floats(state, B, T if measure else 0, H, N * LINE_THREADS // WARP, MEASURES)
    name = "wkv7_measured" if measure else "wkv7_keeping" if keep else "wkv7_forward"
    kernel = device.kernel("wkv7.cu", name, HEAD_SIZE=N, INPUT=INPUTS[inputs[0].dtype])
    optional = (measures,) if measure else (kept, sa) if keep else ()
    grid, threads = (B * H, N // BLOCK_LINES), LINE_THREADS * BLOCK_LINES
    device.launch(kernel, grid, threads, *inputs, state, after, y, *optional, T, H)
    return y, after, kept, sa, measures.sum(3)


def wkv7_backward(
    device: Device,
    inputs: tuple[Tensor, ...],
    kept: Tensor,
    sa: Tensor,
    grad_y: Tensor,
    grad_state: Tensor,
) -> tuple[Tensor, ...]:
    """Differentiate RWKV-7's recurrence.

    Args:
        device: where the tensors lie.
        inputs: r, log_decay, k, v, kk, a as given to wkv7_forward.
        kept: states that it kept.
        sa: (B, T, H, N) that it kept.
        grad_y: (B, T, H, N).
        grad_state: (B, H, N, N), gradient of the last state.

    Returns:
        Gradients of the six inputs, then of the state before the first token, all float32.
    """
    inputs = _of_one_type(inputs)
    B, T, H, N = inputs[0].shape
    grad_y, grad_state = _aligned(grad_y.float()), _aligned(grad_state.float())
    first, grad_sa = torch.empty_like(grad_state), torch.empty_like(sa)
    grads = [_floats(sa, B, T, H, N) for _ in inputs]
    defines: dict[str, str | int] = {"HEAD_SIZE": N, "INPUT": INPUTS[inputs[0].dtype]}
    by_rows = device.kernel("wkv7_back.cu", "wkv7_back_rows", **defines)
    by_columns = device.kernel("wkv7_back.cu", "wkv7_back_columns", **defines)
    tensors = (*inputs[:3], *inputs[4:], grad_y, grad_state, first, grads[3], grad_sa)
    grid, threads = (B * H, N // BLOCK_LINES), LINE_THREADS * BLOCK_LINES
    device.launch(by_rows, grid, threads, *tensors, T, H)
    tensors = (*inputs, kept, sa, grad_y, grad_sa, grad_state, *grads[:3], *grads[4:])
    columns, threads = BACK_COLUMNS[N]
    device.launch(by_columns, (B * H, N // columns), threads, *tensors, T, H)
    return (*grads, first)


def wkv6_forward(
    device: Device,
    inputs: tuple[Tensor, ...],
    state: Tensor,
    *,
    measure: bool,
    into: Into = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run RWKV-5's and 6's recurrence.

    Args:
        device: where the tensors lie.
        inputs: r (B, T, H, N), log_decay the same or (H, N), k, v, u (H, N).
        state: (B, H, N, N) before the first token; not changed.
        measure: also return measures.
        into: float32 memory for y and the last state; new tensors without.

    Returns:
        y, last state, measures (B, T, H, 5), empty where not asked for.
    """
    *vectors, u = inputs
    r, log_decay, k, v = _of_one_type(tuple(vectors))
    B, T, H, N = r.shape
    state, u = _aligned(state.float()), _aligned(u.float())
    y, after = into or (_floats(state, B, T, H, N), torch.empty_like(state))
    measures = _floats(state, B, T if measure else 0, H, N * LINE_THREADS // WARP, MEASURES)
    name = "wkv6_measured" if measure else "wkv6_forward"
    kernel = device.kernel("wkv6.cu", name, HEAD_SIZE=N, INPUT=INPUTS[r.dtype])
    tensors = (r, log_decay, k, v, u, state, after, y, *([measures] if measure else []))
    grid, threads = (B * H, N // BLOCK_LINES), LINE_THREADS * BLOCK_LINES
    device.launch(kernel, grid, threads, *tensors, T, H, log_decay.dim() == 2)
    return y, after, measures.sum(3)


def wkv4_forward(
    device: Device,
    inputs: tuple[Tensor, ...],
    state: Tensor,
    *,
    measure: bool,
    into: Into = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run RWKV-4's recurrence.

    Args:
        device: where the tensors lie.
        inputs: log_decay (C,), u (C,), k (B, T, C), v.
        state: (B, 3, C) before the first token; not changed.
        measure: also return measures.
        into: float32 memory for y and the last state; new tensors without.

    Returns:
        y, last state, measures (B, T, 1, 5), empty where not asked for.
    """
    log_decay, u = (x.float().contiguous() for x in inputs[:2])
    k, v = _of_one_type(inputs[2:])
    B, T, C = k.shape
    blocks = -(-C // WKV4_CHANNELS)
    state = _aligned(state.float())
    y, after = into or (_floats(state, B, T, C), torch.empty_like(state))
    parts = _floats(state, B, T if measure else 0, blocks * WKV4_CHANNELS // WARP, MEASURES)
    name = "wkv4_measured" if measure else "wkv4_forward"
    kernel = device.kernel("wkv4.cu", name, INPUT=INPUTS[k.dtype])
    tensors = (log_decay, u, k, v, state, after, y, *([parts] if measure else []))
    device.launch(kernel, (B * blocks, 1), WKV4_CHANNELS, *tensors, T, C)
    return y, after, parts.sum(2, keepdim=True)


def _of_one_type(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Make tensors contiguous, and float32 unless all have one type that kernels read."""
    types = {x.dtype for x in inputs}
    is_read = len(types) == 1 and types <= INPUTS.keys()
    return tuple(_aligned(x if is_read else x.float()) for x in inputs)


def _aligned(x: Tensor) -> Tensor:
    """Make a tensor contiguous from a 16-byte boundary on: four floats are read at once."""
    x = x.contiguous()
    return x.clone() if x.data_ptr() % 16 else x


def _floats(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=like.device)
