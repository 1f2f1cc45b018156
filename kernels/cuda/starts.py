"""What a GPU's program is made of: states in parts, and starts of launches.

A start knows its launch, and is told what is read: (B, T, state before, state after).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from kernels.cuda.device import Device
from kernels.cuda.driver import Argument
from kernels.cuda.layout import SlicesStruct
from kernels.cuda.matrix import CudaMatrix

FINISH_THREADS = 256

StateParts = tuple[Tensor, Tensor, Tensor]
Start = Callable[[int, int, StateParts, StateParts], None]


def groups_of(count: int, most: int) -> list[slice]:
    """Cut so many conversations into groups."""
    return [slice(start, start + most) for start in range(0, count, most)]


def of_group(state: StateParts, part: slice) -> StateParts:
    """Take a group's part of a state."""
    return state[0][:, part], state[1][:, part], state[2][:, part]


def empty_like(state: StateParts) -> StateParts:
    """Make room for another state of these sizes."""
    return tuple(part.new_empty(part.shape) for part in state)  # type: ignore[return-value]  # three


def copy_of(state: StateParts) -> StateParts:
    """Copy a state."""
    return state[0].clone(), state[1].clone(), state[2].clone()


def joined(made: list[tuple[Tensor, StateParts]]) -> tuple[Tensor, StateParts]:
    """Put together what groups of conversations gave."""
    if len(made) == 1:
        return made[0]
    first, second, third = (torch.cat([after[i] for _, after in made], 1) for i in range(3))
    return torch.cat([logits for logits, _ in made]), (first, second, third)


def start_kernel(
    device: Device,
    kernel: ctypes.c_void_p,
    grid: tuple[int, int],
    threads: int,
    arguments: tuple[Argument, ...],
    *_: object,
) -> None:
    """Start a kernel that is told nothing."""
    device.launch(kernel, grid, threads, *arguments, overlaps=True)


def start_slices(
    device: Device,
    kernel: ctypes.c_void_p,
    blocks: int,
    rows: tuple[int, int],
    threads: int,
    arguments: tuple[Argument, ...],
    B: int,
    T: int,
    *_: object,
) -> None:
    """Start blocks for slices, and for tokens: how many one has at a time, and the most of them."""
    each, most = rows
    grid = blocks, min(-(-B * T // each), most)
    device.launch(kernel, grid, threads, *arguments, overlaps=True)


def multiply(
    device: Device,
    given: SlicesStruct,
    matrix: CudaMatrix,
    x: Callable[[int], Tensor],
    kernel: ctypes.c_void_p,
    B: int,
    T: int,
    *_: object,
) -> None:
    """Let the library multiply, and put the product to its place."""
    y = matrix.multiply(x(B * T))
    grid = (-(-y.shape[1] // FINISH_THREADS), B * T)
    device.launch(kernel, grid, FINISH_THREADS, given, y)


def multiply_into(
    matrix: CudaMatrix,
    x: Callable[[int], Tensor],
    y: Callable[[int], Tensor],
    is_added: bool,
    B: int,
    T: int,
    *_: object,
) -> None:
    """Let the library put a product to its place, or add it there."""
    matrix.multiply_into(x(B * T), y(B * T), is_added=is_added)
