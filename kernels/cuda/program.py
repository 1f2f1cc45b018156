"""Run a finished plan on a GPU: tokens of many conversations, no waiting between.

Matrix products of one token of up to 8 conversations are the plan's own kernels, which read every
weight once; all others are cuBLAS's.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kernels.cuda.buckets import BUCKETS, Graphs, bucket_of
from kernels.cuda.device import Device
from kernels.cuda.driver import Argument
from kernels.cuda.layout import (
    IS_ADDED,
    PRODUCT,
    RECURRENCES,
    SLICE_WIDTH,
    Launch,
    Layout,
    SlicesStruct,
    Way,
)
from kernels.cuda.matrix import BY_COLUMNS, CudaMatrix
from kernels.cuda.recurrences import run_recurrence
from kernels.cuda.starts import (
    Start,
    StateParts,
    copy_of,
    empty_like,
    groups_of,
    joined,
    multiply,
    multiply_into,
    of_group,
    start_kernel,
    start_slices,
)
from kernels.plan import Plan
from kernels.plan_parts import KINDS, Slot, Step

SOURCE = "plan.cu"
# As in product.cuh, columns.cuh and plan.cu.
MAX_TOKENS = 8
PRODUCT_WARPS = 8
# Rows that a block makes, where not 8.
ROWS = {"int8": 16, "int4": 16}
TILE, MOST_SPLITS, SPLIT_COLUMNS = 64, 32, 256
WARP = 32
VECTOR_ROWS = 4
VECTOR_TILE = 256
MOST_PRODUCTS = 8
# For one conversation and no int4: by rows, by columns.
VECTOR_KERNELS = ("plan_rows_1", "plan_columns_1")
BITS: dict[str, int] = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "int4": 4}
LINE_THREADS = 4
# Kernels for so many conversations exist.
TOKENS = (1, MAX_TOKENS)
# Tokens of all conversations that are read at once; more gain nothing, and need memory.
MAX_ROWS = 2048
RECORDED_ROWS = 128
KERNELS = (
    "plan_slices", "plan_heads", "plan_teams", "plan_recurrence", "plan_norm", "plan_finish",
)  # fmt: skip
# Blocks that keep a GPU busy: more tokens are for the same ones, which are then prepared.
MANY_BLOCKS = 1056


class _PlanStruct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("slots", "steps", "run", "arena")),
        *((name, ctypes.c_int64) for name in ("rows", "channels", "wkv_size")),
    ]


class ProductsStruct(ctypes.Structure):
    """Which products a launch makes; Products in plan.cu."""

    _fields_ = [
        ("first", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("blocks", ctypes.c_int64 * MOST_PRODUCTS),
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
        self._layouts = {way: Layout(plan, way) for way in Way}
        self._few = self._layouts[Way.FEW]
        self._kept, self._channels, self._head_size = plan.kept, plan.channels, plan.head_size
        self._logits_size, self._wkv_size = plan.logits_size, 0
        # The product that makes logits.
        self._head = next(n for n, s in enumerate(plan.steps) if s.kind == PRODUCT and s.out < 0)
        self._kernels = load_kernels(device, plan.head_size)
        where = device.torch_device
        slots, steps = self._few.slots, plan.steps
        arrays = (Slot * len(slots))(*slots), (Step * len(steps))(*steps)
        self._on_device = [self._upload(array) for array in arrays]
        # See Run in plan.cuh.
        self._run = torch.zeros(10, dtype=torch.int64, device=where)
        turned = (m for m in plan.matrices.values() if m.code & BY_COLUMNS)
        tiles = max((-(-m.rows // TILE) for m in turned), default=1)
        self._shares = torch.zeros(
            tiles * MOST_SPLITS * MAX_TOKENS * TILE, dtype=torch.float32, device=where
        )
        self._done = torch.zeros(tiles, dtype=torch.int32, device=where)
        self._arena = torch.empty(0, dtype=torch.float32, device=where)
        self._starts: dict[tuple[Way, int], list[Start]] = {}
        self._described: list[Tensor] = []
        self._places: dict[int, tuple[StateParts, StateParts]] = {}
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
        return joined(
            [
                self._run_once(ids[part, None], of_group(state, part))
                for part in groups_of(len(ids), BUCKETS[-1])
            ]
        )

    def read(
        self, ids: Tensor, state: StateParts, *, all_logits: bool
    ) -> tuple[Tensor, StateParts]:
        """Read several tokens for each conversation.

        Args:
            ids: (B, T) int64, each inside the vocabulary.
            state: as for run.
            all_logits: for every token instead of the last.

        Returns:
            Logits (B, V) or (B, T, V), and the state after the tokens, in new tensors.
        """
        return joined(
            [
                self._read_all(ids[part], of_group(state, part), all_logits=all_logits)
                for part in groups_of(len(ids), MAX_ROWS)
            ]
        )

    def _read_all(
        self, ids: Tensor, state: StateParts, *, all_logits: bool
    ) -> tuple[Tensor, StateParts]:
        piece, logits = max(1, MAX_ROWS // len(ids)), []
        T = ids.shape[1]
        for start in range(0, T, piece):
            part = ids[:, start : start + piece]
            with self._lock:
                xn, state = self._read_piece(part, state)
                if all_logits:
                    logits.append(self._few.matrix(self._head).multiply(xn).view(*part.shape, -1))
                elif start + piece >= T:
                    logits.append(
                        self._few.matrix(self._head).multiply(xn.view(*part.shape, -1)[:, -1])
                    )
        return (torch.cat(logits, 1) if all_logits else logits[0]), state

    def _read_piece(self, ids: Tensor, state: StateParts) -> tuple[Tensor, StateParts]:
        """Read tokens that there is room for; the normed stream (rows, C), and the state."""
        rows, (B, T) = ids.numel(), ids.shape
        capacity = max(16, 1 << (rows - 1).bit_length())
        self._make_room(capacity)
        # Lengths that texts are cut to are recorded; a recording needs states that stay in place,
        # and so memory for two more of them.
        is_whole = rows == capacity >= RECORDED_ROWS and B <= MAX_TOKENS
        is_recorded = is_whole and not self.graphs.why_not
        if is_recorded:
            state, after = self._still(B, state)
        else:
            after = empty_like(state)
        ids, state = self._begin(ids, state, after, None)
        launch = partial(self._launch, Way.TEXT, capacity, (B, T), state, after)
        if is_recorded:
            self.graphs.run((B, T), launch)
            after = copy_of(after)
        else:
            launch()
        xn = self._few.steps[self._head].inputs[0]
        return self._layouts[Way.TEXT].view(xn, self._arena, capacity, rows), after

    def _still(self, B: int, state: StateParts) -> tuple[StateParts, StateParts]:
        """Copy a state to where recordings for so many conversations read it, and write another."""
        if B not in self._places:
            self._places[B] = empty_like(state), empty_like(state)
        before, after = self._places[B]
        for place, part in zip(before, state, strict=True):
            place.copy_(part)
        return before, after

    def _run_once(self, ids: Tensor, state: StateParts) -> tuple[Tensor, StateParts]:
        B = len(ids)
        logits = torch.empty(
            B, self._logits_size, dtype=torch.float32, device=self.device.torch_device
        )
        with self._lock:
            bucket = bucket_of(B)
            self._make_room(bucket)
            after = empty_like(state)
            ids, state = self._begin(ids, state, after, logits)
            way = Way.FEW if bucket <= MAX_TOKENS else Way.MANY
            self.graphs.run(bucket, partial(self._launch, way, bucket, (bucket, 1), state, after))
        return logits, after

    def _begin(
        self, ids: Tensor, state: StateParts, after: StateParts, logits: Tensor | None
    ) -> tuple[Tensor, StateParts]:
        """Tell the kernels what is read; returns what must live until they have run."""
        # The driver has read such small memory when a call returns, so nobody waits.
        ids = ids.contiguous().to(self.device.torch_device, non_blocking=True)
        state = (state[0].contiguous(), state[1].contiguous(), state[2].contiguous())
        tensors = (ids, state[0], state[2], state[1], after[0], after[2], after[1])
        pointers = [tensor.data_ptr() for tensor in tensors]
        pointers.append(0 if logits is None else logits.data_ptr())
        self._wkv_size = state[1][0, 0].numel()
        self._run.copy_(torch.tensor([*ids.shape, *pointers]), non_blocking=True)
        return ids, state

    def _make_room(self, capacity: int) -> None:
        floats = self._few.row_floats * capacity
        if self._arena.numel() < floats:
            self._arena = torch.zeros(floats, dtype=torch.float32, device=self.device.torch_device)
            self.graphs.clear()
            self._starts.clear()
            self._described.clear()

    def _launch(
        self,
        way: Way,
        capacity: int,
        shape: tuple[int, int],
        state: StateParts,
        after: StateParts,
    ) -> None:
        for start in self._starts_of(way, capacity):
            start(*shape, state, after)

    def _starts_of(self, way: Way, capacity: int) -> list[Start]:
        key = (way, capacity)
        if key not in self._starts:
            self._starts[key] = list(self._prepare(self._layouts[way], capacity))
        return self._starts[key]

    def _prepare(self, layout: Layout, capacity: int) -> Iterator[Start]:
        """Make the starts of all launches, in order."""
        for launch in layout.launches:
            if launch.kernel == "products":
                yield self._products(launch, capacity)
            elif launch.kernel == "product":
                step = layout.steps[launch.steps[0]]
                if layout.way is not Way.TEXT or step.out >= 0:
                    yield self._product(layout, launch, capacity)
            elif launch.kernel == "recurrence" and layout.way is Way.TEXT:
                yield self._recurrence(layout, layout.steps[launch.steps[0]], capacity)
            else:
                yield self._slices(layout, launch, capacity)

    def _slices(self, layout: Layout, launch: Launch, capacity: int) -> Start:
        given = self._describe(layout, launch, capacity)
        size = layout.slots[layout.steps[launch.steps[0]].out].size
        kernel = self._kernels[f"plan_{launch.kernel}"]
        N = self._head_size
        arguments: list[Argument] = [given]
        width, threads, rows_each, most = SLICE_WIDTH, SLICE_WIDTH, 1, MANY_BLOCKS
        if launch.kernel == "norm":
            width, most = size, MAX_ROWS
        elif launch.kernel == "teams":
            width, rows_each = N, SLICE_WIDTH // N
        elif launch.kernel in ("heads", "recurrence"):
            width, threads, most = N, LINE_THREADS * N, MAX_ROWS * size
        if launch.kernel in ("heads", "recurrence"):
            recurrent = [KINDS.index(name) for name in RECURRENCES[:2]]
            layers = [s.number[0] for s in layout.steps_of(launch) if s.kind in recurrent]
            arguments.append(layers[0] if layers else -1)
        blocks = -(-size // width)
        rows = (rows_each, max(1, most // blocks))
        return partial(start_slices, self.device, kernel, blocks, rows, threads, tuple(arguments))

    def _describe(self, layout: Layout, launch: Launch, capacity: int) -> SlicesStruct:
        sources, tasks = layout.tasks(launch, self._arena, capacity)
        # Held here, since the struct has only their addresses.
        held = [self._upload(array) for array in (sources, tasks)]
        self._described += held
        return SlicesStruct(
            *(tensor.data_ptr() for tensor in held), self._run.data_ptr(),
            len(sources), len(tasks), self._channels, self._wkv_size, tasks[0].size,
        )  # fmt: skip

    def _recurrence(self, layout: Layout, step: Step, capacity: int) -> Start:
        view = partial(layout.view, arena=self._arena, capacity=capacity)
        by_address = {tensor.data_ptr(): tensor for tensor in self._kept}
        constants = [by_address[address] for address in step.data[:2] if address]
        heads = (self._channels // self._head_size, self._head_size)
        return partial(run_recurrence, self.device, step, view, constants, heads)

    def _products(self, launch: Launch, capacity: int) -> Start:
        slots, steps = self._on_device
        plan = _PlanStruct(
            slots.data_ptr(), steps.data_ptr(), self._run.data_ptr(), self._arena.data_ptr(),
            capacity, self._channels, self._wkv_size,
        )  # fmt: skip
        tokens = next(size for size in TOKENS if size >= capacity)
        matrices = [self._few.matrix(step) for step in launch.steps]
        # They would share the memory for their parts.
        assert sum(bool(matrix.code & BY_COLUMNS) for matrix in matrices) <= 1
        kernel, scratch = (
            self._kernels[product_kernel(matrices, tokens)],
            (self._shares, self._done),
        )
        which = ProductsStruct(launch.steps[0], len(matrices))
        which.blocks[: len(matrices)] = [blocks_of(matrix, tokens) for matrix in matrices]
        arguments = (plan, which, *scratch)
        grid, threads = (sum(which.blocks), 1), PRODUCT_WARPS * WARP
        return partial(start_kernel, self.device, kernel, grid, threads, arguments)

    def _product(self, layout: Layout, launch: Launch, capacity: int) -> Start:
        """Let the library multiply; it puts the product to its place, or plan_finish does."""
        number = launch.steps[0]
        step, matrix = layout.steps[number], layout.matrix(number)
        x = partial(layout.view, step.inputs[0], self._arena, capacity)
        is_plain = step.inputs[1] < 0 and step.number[3] == 0 and step.out >= 0
        if is_plain and layout.dtype_of(step.out) == torch.float32:
            y = partial(layout.view, step.out, self._arena, capacity)
            return partial(multiply_into, matrix, x, y, bool(step.number[2] & IS_ADDED))
        given, kernel = self._describe(layout, launch, capacity), self._kernels["plan_finish"]
        return partial(multiply, self.device, given, matrix, x, kernel)

    def _upload(self, array: ctypes.Array[Any]) -> Tensor:
        # One byte more, since torch takes no memory of none.
        on_cpu = torch.frombuffer(bytearray(array) + b"\0", dtype=torch.uint8).clone()
        return on_cpu.to(self.device.torch_device)


def load_kernels(device: Device, head_size: int) -> dict[str, ctypes.c_void_p]:
    """Compile and load the kernels of plan.cu.

    Raises:
        BuildError: they cannot be compiled here.
    """
    names = (*KERNELS, *VECTOR_KERNELS, *(f"plan_products_{tokens}" for tokens in TOKENS))
    return {name: device.kernel(SOURCE, name, HEAD_SIZE=head_size) for name in names}


def product_kernel(matrices: Sequence[CudaMatrix], tokens: int) -> str:
    """Choose the kernel for a launch's products, by what it need not know."""
    kinds = {bool(matrix.code & BY_COLUMNS) for matrix in matrices}
    if tokens > 1 or len(kinds) > 1 or any(m.format == "int4" for m in matrices):
        return f"plan_products_{tokens}"
    return VECTOR_KERNELS[kinds.pop()]


def blocks_of(matrix: CudaMatrix, tokens: int) -> int:
    """Count the blocks that a product for up to so many conversations is shared out to."""
    if matrix.code & BY_COLUMNS:
        tile = VECTOR_TILE if tokens == 1 else TILE
        return -(-matrix.rows // tile) * min(MOST_SPLITS, -(-matrix.columns // SPLIT_COLUMNS))
    if tokens > 1:
        return -(-matrix.rows // ROWS.get(matrix.format, 8))
    chunks = matrix.columns * BITS[matrix.format] // 128
    warps = min(PRODUCT_WARPS, 1 << max(0, (-(-chunks // WARP) - 1).bit_length()))
    return -(-matrix.rows // (VECTOR_ROWS * PRODUCT_WARPS // warps))
