"""Run a finished plan on a GPU: one token for each conversation of a batch, no waiting between.

A phase of the plan is one launch, and phases on whole tokens that follow each other share one.
Matrix products of up to 8 conversations are the plan's own kernels, which read every weight once;
those of more are cuBLAS's.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from kernels.cuda.buckets import BUCKETS, Graphs, bucket_of
from kernels.cuda.device import Device
from kernels.cuda.matrix import BY_COLUMNS
from kernels.plan import KINDS, SPACES, Plan
from kernels.plan_parts import Phase, Slot, Step, StoredMatrix

SOURCE = "plan.cu"
# As in product.cuh, columns.cuh and plan.cu.
MAX_TOKENS = 8
PRODUCT_WARPS = 8
TILE = 64
SPLITS = 8
WARP = 32
LINE_THREADS = 4
FINISH_THREADS = 256
MAX_THREADS = 1024
# Kernels for so many conversations exist.
TOKENS = (1, MAX_TOKENS)

StateParts = tuple[Tensor, Tensor, Tensor]
Launch = Callable[[], None]


class _PlanStruct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("slots", "steps", "run", "arena")),
        *((name, ctypes.c_int64) for name in ("rows", "channels", "wkv_size")),
    ]


class CudaProgram:
    """A plan with the memory it works in. Calls from several threads take turns.

    Attributes:
        device: where it runs.
        graphs: of launches, recorded by batch size.
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        """Lay out the plan's values, and compile the kernels.

        Args:
            plan: finished, its matrices on the device.
            device: where to run.

        Raises:
            BuildError: the kernels cannot be compiled here.
        """
        self.device, self.graphs = device, Graphs(device.torch_device)
        self._slots, self._row_floats = plan.slots()
        self._steps, self._phases = plan.steps, plan.phases
        self._matrices, self._kept = plan.matrices, plan.kept
        self._channels, self._head_size = plan.channels, plan.head_size
        self._logits_size, self._wkv_size = plan.logits_size, 0
        self._kernels = load_kernels(device, plan.head_size)
        where = device.torch_device
        arrays = (Slot * len(self._slots))(*self._slots), (Step * len(self._steps))(*self._steps)
        self._on_device = [
            torch.frombuffer(bytearray(array), dtype=torch.uint8).clone().to(where)
            for array in arrays
        ]
        # See Run in plan.cuh.
        self._run = torch.zeros(9, dtype=torch.int64, device=where)
        tiles = max((-(-m.rows // TILE) for m in plan.matrices.values()), default=1)
        self._shares = torch.zeros(tiles * SPLITS * MAX_TOKENS * TILE, device=where)
        self._done = torch.zeros(tiles, dtype=torch.int32, device=where)
        self._arena = torch.empty(0, device=where)
        self._launches: dict[int, list[Launch]] = {}
        self._lock = threading.Lock()

    def run(self, ids: Tensor, state: StateParts) -> tuple[Tensor, StateParts]:
        """Read one token for each conversation.

        Args:
            ids: (B,) int64, each inside the vocabulary.
            state: time_mix_shift (L, B, C), wkv (L, B, ...), channel_mix_shift (L, B, C), all
                float32 on the device; not changed.

        Returns:
            Logits (B, V), and the state after the tokens, in new tensors.
        """
        most = BUCKETS[-1]
        if len(ids) <= most:
            return self._run_once(ids, state)
        made = [
            self._run_once(
                ids[start : start + most],
                (
                    state[0][:, start : start + most],
                    state[1][:, start : start + most],
                    state[2][:, start : start + most],
                ),
            )
            for start in range(0, len(ids), most)
        ]
        first, second, third = (torch.cat([after[i] for _, after in made], 1) for i in range(3))
        return torch.cat([logits for logits, _ in made]), (first, second, third)

    def _run_once(self, ids: Tensor, state: StateParts) -> tuple[Tensor, StateParts]:
        B, where = len(ids), self.device.torch_device
        # The driver has read such small memory when a call returns, so nobody waits.
        ids = ids.contiguous().to(where, non_blocking=True)
        state = (state[0].contiguous(), state[1].contiguous(), state[2].contiguous())
        after = (torch.empty_like(state[0]), torch.empty_like(state[1]), torch.empty_like(state[2]))
        logits = torch.empty(B, self._logits_size, device=where)
        tensors = (ids, state[0], state[2], state[1], after[0], after[2], after[1], logits)
        with self._lock:
            self._wkv_size = state[1][0, 0].numel()
            bucket = bucket_of(B)
            self._make_room(bucket)
            words = torch.tensor([B, *(x.data_ptr() for x in tensors)])
            self._run.copy_(words, non_blocking=True)
            self.graphs.run(bucket, partial(self._launch, bucket))
        return logits, after

    def _make_room(self, bucket: int) -> None:
        floats = self._row_floats * bucket
        if self._arena.numel() < floats:
            self._arena = torch.zeros(floats, device=self.device.torch_device)
            self.graphs.clear()
            self._launches.clear()

    def _launch(self, bucket: int) -> None:
        if bucket not in self._launches:
            self._launches[bucket] = list(self._prepare(bucket))
        for launch in self._launches[bucket]:
            launch()

    def _prepare(self, bucket: int) -> Iterator[Launch]:
        """Make the launches of all phases, in order."""
        slots, steps = self._on_device
        plan = _PlanStruct(
            slots.data_ptr(),
            steps.data_ptr(),
            self._run.data_ptr(),
            self._arena.data_ptr(),
            bucket,
            self._channels,
            self._wkv_size,
        )
        nonzero = KINDS.index("nonzero")
        for space, first, count in merged(self._phases):
            steps_of_phase = self._steps[first : first + count]
            if all(step.kind == nonzero for step in steps_of_phase):
                continue  # products by columns look themselves
            if space == "rows":
                yield self._rows(plan, bucket, first, count)
            elif bucket <= MAX_TOKENS:
                if space == "products":
                    yield self._products(plan, bucket, first, count)
                else:
                    yield self._blocks(plan, bucket, first, count, has_products=True)
            else:
                for step in range(first, first + count):
                    if step in self._matrices:
                        yield self._multiplied(plan, bucket, step)
                if space == "blocks":
                    yield self._blocks(plan, bucket, first, count, has_products=False)

    def _rows(self, plan: _PlanStruct, bucket: int, first: int, count: int) -> Launch:
        threads = min(MAX_THREADS, -(-self._channels // WARP) * WARP)
        kernel = self._kernels["plan_rows"]
        return partial(self.device.launch, kernel, (bucket, 1), threads, plan, first, count)

    def _blocks(
        self, plan: _PlanStruct, bucket: int, first: int, count: int, *, has_products: bool
    ) -> Launch:
        grid = (-(-self._channels // self._head_size), bucket)
        threads, kernel = LINE_THREADS * self._head_size, self._kernels["plan_blocks"]
        launch = self.device.launch
        return partial(launch, kernel, grid, threads, plan, first, count, has_products)

    def _products(self, plan: _PlanStruct, bucket: int, first: int, count: int) -> Launch:
        tokens = next(size for size in TOKENS if size >= bucket)
        matrices = [self._matrices[step] for step in range(first, first + count)]
        # They would share the memory for their parts.
        assert sum(bool(matrix.code & BY_COLUMNS) for matrix in matrices) <= 1
        grid, threads = (sum(map(blocks_of, matrices)), 1), PRODUCT_WARPS * WARP
        kernel, scratch = self._kernels[f"plan_products_{tokens}"], (self._shares, self._done)
        return partial(self.device.launch, kernel, grid, threads, plan, first, count, *scratch)

    def _multiplied(self, plan: _PlanStruct, bucket: int, step: int) -> Launch:
        slot = self._slots[self._steps[step].inputs[0]]
        start = slot.offset * bucket + slot.start
        x = self._arena.as_strided((bucket, slot.size), (slot.ld, 1), start)
        kernel, matrix = self._kernels["plan_finish"], self._matrices[step]
        # Nothing here knows the program: who drops it has its memory back at once.
        return partial(_multiply, self.device, kernel, plan, step, matrix, x)


def _multiply(
    device: Device,
    kernel: ctypes.c_void_p,
    plan: _PlanStruct,
    step: int,
    matrix: StoredMatrix,
    x: Tensor,
) -> None:
    """Let the library multiply, and put the product to its place."""
    y = matrix.multiply(x)
    grid = (-(-y.shape[1] // FINISH_THREADS), len(y))
    device.launch(kernel, grid, FINISH_THREADS, plan, step, y)


def load_kernels(device: Device, head_size: int) -> dict[str, ctypes.c_void_p]:
    """Compile and load the kernels of plan.cu.

    Raises:
        BuildError: they cannot be compiled here.
    """
    names = ["plan_rows", "plan_blocks", "plan_finish"]
    names += [f"plan_products_{tokens}" for tokens in TOKENS]
    return {name: device.kernel(SOURCE, name, HEAD_SIZE=head_size) for name in names}


def merged(phases: list[Phase]) -> Iterator[tuple[str, int, int]]:
    """Join phases on whole tokens that follow each other; space, first step, and how many.

    They are apart for texts of several tokens, where a step may read the token before; empty
    ones would round inputs for other libraries.
    """
    space, first, count = "", 0, 0
    for phase in (phase for phase in phases if phase.count):
        own = SPACES[phase.space]
        if own == space == "rows":
            count += phase.count
            continue
        if count:
            yield space, first, count
        space, first, count = own, phase.first, phase.count
    if count:
        yield space, first, count


def blocks_of(matrix: StoredMatrix) -> int:
    """Count the blocks that a product is shared out to."""
    if matrix.code & BY_COLUMNS:
        return -(-matrix.rows // TILE) * SPLITS
    return -(-matrix.rows // PRODUCT_WARPS)
