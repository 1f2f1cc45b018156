"""The compiled CPU kernels as functions on tensors, called through ctypes."""

import ctypes
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from kernels.build import build_library
from kernels.reference import MEASURES

HEAD_SIZES = (16, 32, 64, 128)


class CpuLibrary:
    """Functions of one compiled wkv7 library. All tensors are float32 and contiguous."""

    def __init__(self, path: Path) -> None:
        """Load the library and declare its functions' arguments."""
        library = ctypes.CDLL(str(path))
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        self._forward = library.wkv7_forward
        self._forward.argtypes = [pointer] * 11 + [size] * 4 + [ctypes.c_int]
        self._backward = library.wkv7_backward
        self._backward.argtypes = [pointer] * 16 + [size] * 4 + [ctypes.c_int]
        self.span: int = library.wkv7_span()

    def forward(
        self, inputs: tuple[Tensor, ...], state: Tensor, *, keep: bool, measure: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Run the recurrence.

        Args:
            inputs: r, log_decay, k, v, kk, a, each (B, T, H, N).
            state: (B, H, N, N) before the first token; not changed.
            keep: also return what backward needs.
            measure: also return measures, see kernels.reference.wkv7_measured.

        Returns:
            y, last state, kept states (B, H, spans, N, N), sa (B, T, H, N), measures
            (B, T, H, 5); the last three are empty where not asked for.
        """
        inputs = tuple(x.float().contiguous() for x in inputs)
        B, T, H, N = inputs[0].shape
        state = state.float().clone(memory_format=torch.contiguous_format)
        y = torch.empty(B, T, H, N, dtype=torch.float32)
        spans = -(-T // self.span) if keep else 0
        kept = torch.empty(B, H, spans, N, N, dtype=torch.float32)
        sa = torch.empty(B, T if keep else 0, H, N, dtype=torch.float32)
        measures = torch.empty(B, T if measure else 0, H, MEASURES, dtype=torch.float32)
        pointers = [x.data_ptr() for x in (*inputs, state, y)]
        optional = [
            x.data_ptr() if wanted else None
            for x, wanted in ((kept, keep), (sa, keep), (measures, measure))
        ]
        self._forward(*pointers, *optional, B, T, H, N, torch.get_num_threads())
        return y, state, kept, sa, measures

    def backward(
        self,
        inputs: tuple[Tensor, ...],
        kept: Tensor,
        sa: Tensor,
        grad_y: Tensor,
        grad_state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Differentiate the recurrence.

        Args:
            inputs: r, log_decay, k, v, kk, a as given to forward.
            kept: states that forward kept.
            sa: (B, T, H, N) that forward kept.
            grad_y: (B, T, H, N).
            grad_state: (B, H, N, N), gradient of the last state.

        Returns:
            Gradients of the six inputs, then of the state before the first token.
        """
        inputs = tuple(x.float().contiguous() for x in inputs)
        B, T, H, N = inputs[0].shape
        grad_y = grad_y.float().contiguous()
        grad_state = grad_state.float().clone(memory_format=torch.contiguous_format)
        grads = tuple(torch.empty(B, T, H, N, dtype=torch.float32) for _ in inputs)
        tensors = (*inputs, kept, sa, grad_y, grad_state, *grads)
        self._backward(*(x.data_ptr() for x in tensors), B, T, H, N, torch.get_num_threads())
        return (*grads, grad_state)


@lru_cache
def cpu_library(cache: Path) -> tuple[CpuLibrary, str]:
    """Compile (or find) and load the kernels once per process.

    Returns:
        The library and the sentence that says how it was made.

    Raises:
        BuildError: it cannot be compiled here.
    """
    path, how = build_library("wkv7.cpp", cache)
    return CpuLibrary(path), how


class Wkv6Library:
    """The function of the compiled wkv6 library; tensors as for CpuLibrary."""

    def __init__(self, path: Path) -> None:
        """Load the library and declare its function's arguments."""
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        self._forward = ctypes.CDLL(str(path)).wkv6_forward
        self._forward.argtypes = [pointer] * 8 + [size] * 4 + [ctypes.c_int] * 2

    def forward(
        self, inputs: tuple[Tensor, ...], state: Tensor, *, measure: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the recurrence.

        Args:
            inputs: r (B, T, H, N), log_decay the same or (H, N), k, v, u (H, N).
            state: (B, H, N, N) before the first token; not changed.
            measure: also return measures, see kernels.reference.wkv7_measured.

        Returns:
            y, last state, measures (B, T, H, 5), empty where not asked for.
        """
        inputs = tuple(x.float().contiguous() for x in inputs)
        B, T, H, N = inputs[0].shape
        state = state.float().clone(memory_format=torch.contiguous_format)
        y = torch.empty(B, T, H, N, dtype=torch.float32)
        measures = torch.empty(B, T if measure else 0, H, MEASURES, dtype=torch.float32)
        pointers = [x.data_ptr() for x in (*inputs, state, y)]
        pointers.append(measures.data_ptr() if measure else 0)
        is_constant = inputs[1].dim() == 2
        self._forward(*pointers, B, T, H, N, is_constant, torch.get_num_threads())
        return y, state, measures


class Wkv4Library:
    """The function of the compiled wkv4 library; tensors as for CpuLibrary."""

    def __init__(self, path: Path) -> None:
        """Load the library and declare its function's arguments."""
        pointer, size = ctypes.c_void_p, ctypes.c_int64
        self._forward = ctypes.CDLL(str(path)).wkv4_forward
        self._forward.argtypes = [pointer] * 7 + [size] * 3 + [ctypes.c_int]

    def forward(
        self, inputs: tuple[Tensor, ...], state: Tensor, *, measure: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the recurrence.

        Args:
            inputs: log_decay (C,), u (C,), k (B, T, C), v.
            state: (B, 3, C) before the first token; not changed.
            measure: also return measures, see kernels.reference.wkv4_measured.

        Returns:
            y, last state, measures (B, T, 1, 5), empty where not asked for.
        """
        inputs = tuple(x.float().contiguous() for x in inputs)
        B, T, C = inputs[2].shape
        state = state.float().clone(memory_format=torch.contiguous_format)
        y = torch.empty(B, T, C, dtype=torch.float32)
        measures = torch.empty(B, T if measure else 0, 1, MEASURES, dtype=torch.float32)
        pointers = [x.data_ptr() for x in (*inputs, state, y)]
        pointers.append(measures.data_ptr() if measure else 0)
        self._forward(*pointers, B, T, C, torch.get_num_threads())
        return y, state, measures


@lru_cache
def wkv6_library(cache: Path) -> tuple[Wkv6Library, str]:
    """Compile (or find) and load wkv6 once per process; as cpu_library."""
    path, how = build_library("wkv6.cpp", cache)
    return Wkv6Library(path), how


@lru_cache
def wkv4_library(cache: Path) -> tuple[Wkv4Library, str]:
    """Compile (or find) and load wkv4 once per process; as cpu_library."""
    path, how = build_library("wkv4.cpp", cache)
    return Wkv4Library(path), how
