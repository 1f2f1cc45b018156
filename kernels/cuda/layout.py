"""Share a plan's steps out to launches, and write down what each launch's kernel reads.

Three ways to run one plan, since what is fast for one token of a few conversations is not for many
tokens: see Way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import torch
from torch import Tensor

from kernels.cuda.matrix import CudaMatrix
from kernels.packed import FORMATS, TYPES
from kernels.plan import Plan
from kernels.plan_parts import KINDS, SPACES, Slot, Step

# As in slices.cuh and plan.cu.
SLICE_WIDTH = 256
MAX_STEPS = 24
MAX_ENTRIES = {"slices": 24, "teams": 24, "heads": 40, "recurrence": 9}
IS_ADDED = 16

PRODUCT = KINDS.index("product")
# Steps that read a whole row, and the inputs that they read so.
WHOLE = {"layer_norm": (0,), "row_product": (0, 1), "product": (0,)}
RECURRENCES = ("wkv7", "wkv6", "wkv4")
# What the steps' numbers mean by tensors: constants with an element for each channel.
CONSTANTS = ("layer_norm", "group_norm", "mix", "affine", "bonus", "wkv6", "wkv4")

Kernel = Literal["slices", "heads", "teams", "norm", "products", "product", "recurrence"]


class Way(Enum):
    """How a plan is run.

    FEW: one token of at most 8 conversations; products by kernels of ours.
    MANY: one token of more; products by cuBLAS.
    TEXT: several tokens of each; the recurrences have kernels of their own.
    """

    FEW = "few"
    MANY = "many"
    TEXT = "text"


@dataclass
class Launch:
    """Steps that one kernel goes through.

    Attributes:
        kernel: which.
        steps: their numbers in the plan.
        made: the values that they make, by number, with the step.
    """

    kernel: Kernel
    steps: list[int]
    made: dict[int, int] = field(default_factory=dict)


class _Source(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("ld", ctypes.c_int64)]


class _Task(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("number", ctypes.c_int64 * 4),
        ("value", ctypes.c_double),
        ("out", ctypes.c_void_p),
        ("out_ld", ctypes.c_int64),
        ("out_format", ctypes.c_int64),
        ("whole", ctypes.c_void_p),
        ("whole_ld", ctypes.c_int64),
        ("data", ctypes.c_void_p * 2),
        ("entries", ctypes.c_int64 * 8),
    ]


class SlicesStruct(ctypes.Structure):
    """What kernels on slices are given; Slices in slices.cuh."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("sources", "tasks", "run")),
        *(
            (name, ctypes.c_int64)
            for name in ("n_sources", "n_tasks", "channels", "wkv_size", "size")
        ),
    ]


class Layout:
    """A plan's launches, one way to run it, with what is kept where.

    Attributes:
        launches: in order.
        steps: the plan's.
        slots: where each value lies.
    """

    def __init__(self, plan: Plan, way: Way) -> None:
        """Share out the steps of a finished plan."""
        self.way, self.steps, self._matrices = way, plan.steps, plan.matrices
        self._storage = plan.roots()
        slots, self.row_floats = plan.slots()
        # The room between rows is for a CPU's caches; without it (B, T, H, N) has no gaps.
        self.slots = [Slot(s.offset, s.start, s.ld - 16, s.size) for s in slots]
        self.launches = [launch for launch in self._share_out(plan) if launch.steps]
        self._kept, self._low = self._look_ahead()

    def root(self, value: int) -> int:
        """Name the value whose memory a value lies in."""
        return self._storage[value]

    def dtype_of(self, value: int) -> torch.dtype:
        """Tell how a value is kept: as floats, or in the type of the only products that read it."""
        return self._low.get(self.root(value), torch.float32)

    def view(self, value: int, arena: Tensor, capacity: int, rows: int) -> Tensor:
        """Look at a value, (rows, size), in an arena with room for so many rows."""
        slot, dtype = self.slots[value], self.dtype_of(value)
        numbers = arena.view(dtype)
        start = slot.offset * capacity * (arena.itemsize // dtype.itemsize) + slot.start
        return numbers.as_strided((rows, slot.size), (slot.ld, 1), start)

    def tasks(
        self, launch: Launch, arena: Tensor, capacity: int
    ) -> tuple[ctypes.Array[_Source], ctypes.Array[_Task]]:
        """Describe a launch for its kernel.

        Args:
            launch: one of ours.
            arena: where values lie.
            capacity: rows that it has room for.
        """
        writer = _Writer(self, launch, arena, capacity)
        tasks = [writer.task(number) for number in launch.steps]
        sources = [_Source(*source) for source in writer.sources]
        count = len(sources)
        for task in tasks:
            for index, entry in enumerate(task.entries):
                # Steps' entries stand behind the sources, whose number is known only now.
                task.entries[index] = count - 2 - entry if entry < -1 else entry
        if launch.kernel in MAX_ENTRIES:
            assert len(tasks) <= MAX_STEPS
            assert count + len(tasks) <= MAX_ENTRIES[launch.kernel]
        return (_Source * count)(*sources), (_Task * len(tasks))(*tasks)

    def steps_of(self, launch: Launch) -> list[Step]:
        """Look up a launch's steps."""
        return [self.steps[number] for number in launch.steps]

    def matrix(self, step: int) -> CudaMatrix:
        """Look up a product's matrix."""
        matrix = self._matrices[step]
        assert isinstance(matrix, CudaMatrix)
        return matrix

    def is_kept(self, step: int) -> bool:
        """Tell whether a launch after a step's own needs what it makes."""
        return step in self._kept

    def _share_out(self, plan: Plan) -> Iterator[Launch]:
        nonzero = KINDS.index("nonzero")
        current = Launch("slices", [])
        for phase in plan.phases:
            space = SPACES[phase.space]
            steps = [
                number
                for number in range(phase.first, phase.first + phase.count)
                if self.steps[number].kind != nonzero  # products by columns look themselves
            ]
            if space == "rows":
                for number in steps:
                    if self._must_be_apart(number, current):
                        yield self._norm_alone(current)
                        current = Launch("slices", [])
                    self._add(current, number)
                continue
            if steps:
                yield self._norm_alone(current)
                current = Launch("slices", [])
                yield from self._products(steps) if space == "products" else self._heads(steps)
        yield self._norm_alone(current)

    def _must_be_apart(self, number: int, current: Launch) -> bool:
        """Tell whether a step on whole tokens cannot be in a launch: another block's is needed."""
        if not current.steps:
            return False
        step = self.steps[number]
        kind = KINDS[step.kind]
        size = self.slots[step.out].size
        if size != self.slots[self.steps[current.steps[0]].out].size:
            return True
        if len(current.steps) == MAX_STEPS:
            return True
        is_alone = self.way is not Way.FEW
        if is_alone and "layer_norm" in (kind, KINDS[self.steps[current.steps[-1]].kind]):
            return True
        whole = WHOLE.get(kind, ())
        made = {self.root(value): value for value in current.made}
        for index, source in enumerate(step.inputs):
            if source < 0 or self.root(source) not in made:
                continue
            if index in whole or (kind == "shift" and self.way is Way.TEXT):
                return True
            if source not in current.made:  # a part of what was made, of other channels
                return True
        return False

    def _norm_alone(self, launch: Launch) -> Launch:
        kinds = {KINDS[step.kind] for step in self.steps_of(launch)}
        if self.way is not Way.FEW and kinds == {"layer_norm"}:
            launch.kernel = "norm"
        return launch

    def _products(self, steps: Sequence[int]) -> Iterator[Launch]:
        if self.way is Way.FEW:
            yield Launch("products", list(steps))
        else:
            yield from (Launch("product", [number]) for number in steps)

    def _heads(self, steps: Sequence[int]) -> Iterator[Launch]:
        if self.way is Way.FEW:
            current = Launch("heads", [])
            for number in steps:
                self._add(current, number)
            yield current
            return
        kinds = {number: KINDS[self.steps[number].kind] for number in steps}
        # What products read was made before the phase began.
        yield from self._products([number for number in steps if kinds[number] == "product"])
        # One token of RWKV-4's recurrence is a step like others.
        apart = RECURRENCES if self.way is Way.TEXT else RECURRENCES[:2]
        current = Launch("teams", [])
        for number in (number for number in steps if kinds[number] != "product"):
            if kinds[number] in apart:
                yield current
                yield Launch("recurrence", [number])
                current = Launch("teams", [])
            else:
                self._add(current, number)
        yield current

    def _add(self, launch: Launch, number: int) -> None:
        launch.steps.append(number)
        launch.made[self.steps[number].out] = number

    def _look_ahead(self) -> tuple[set[int], dict[int, torch.dtype]]:
        """Find the steps whose results are needed later, and the values that only cuBLAS reads."""
        kept: set[int] = set()
        makers: dict[int, tuple[int, Launch]] = {}
        readers: dict[int, set[torch.dtype]] = {}
        for launch in self.launches:
            for number in launch.steps:
                step = self.steps[number]
                is_product = launch.kernel == "product"
                for index, source in enumerate(step.inputs):
                    if source < 0 or (step.kind == PRODUCT and index >= 2):
                        continue
                    is_low = is_product and index == 0
                    dtype = self.matrix(number).dtype if is_low else torch.float32
                    readers.setdefault(self.root(source), set()).add(dtype)
                    if source not in launch.made:
                        kept.update(m for m, _ in [makers[self.root(source)]])
                if step.out >= 0:
                    if step.kind == PRODUCT and step.number[2] & IS_ADDED:
                        readers.setdefault(self.root(step.out), set()).add(torch.float32)
                        kept.add(makers[self.root(step.out)][0])
                    makers[self.root(step.out)] = (number, launch)
        low = {root: types.pop() for root, types in readers.items() if len(types) == 1}
        return kept, low


class _Writer:
    """Describes one launch's steps."""

    def __init__(self, layout: Layout, launch: Launch, arena: Tensor, capacity: int) -> None:
        self._layout, self._launch, self._arena = layout, launch, arena
        self._capacity = capacity
        self.sources: list[tuple[int, int]] = []

    def task(self, number: int) -> _Task:
        """Describe a step; entries of other steps are -2 minus their place, for now."""
        layout = self._layout
        step = layout.steps[number]
        kind = KINDS[step.kind]
        task = _Task(kind=step.kind, value=step.value)
        task.number[:] = step.number[:]
        task.size = layout.slots[step.out].size if step.out >= 0 else step.number[0]
        is_library = self._launch.kernel == "product"
        if step.out >= 0 and (layout.is_kept(number) or is_library):
            task.out, task.out_ld = self._address(step.out), layout.slots[step.out].ld
            task.out_format = FORMATS[TYPES[layout.dtype_of(step.out)]]
        task.entries[:] = [-1] * 8
        if kind == "product" and self._launch.kernel == "heads":
            assert step.inputs[1] < 0
            assert not step.number[2] & IS_ADDED
        whole = (1,) if is_library else WHOLE.get(kind, (0,) if kind == "shift" else ())
        if whole and step.inputs[whole[0]] >= 0:
            source = step.inputs[whole[0]]
            task.whole, task.whole_ld = self._address(source), layout.slots[source].ld
        if kind == "row_product":
            matrices = step.inputs[1]
            task.data[0], task.number[0] = self._address(matrices), layout.slots[matrices].ld
        elif kind in ("product", "embed"):
            task.data[:] = step.data[:2]
        if kind in CONSTANTS:
            for index, address in enumerate(step.data[:2]):
                if address:
                    task.entries[6 + index] = self._entry((address, 0))
        if kind not in WHOLE:
            for index, source in enumerate(step.inputs):
                if source >= 0:
                    task.entries[index] = self._entry_of_value(source)
        return task

    def _entry_of_value(self, value: int) -> int:
        step = self._launch.made.get(value)
        if step is not None:
            return -2 - self._launch.steps.index(step)
        return self._entry((self._address(value), self._layout.slots[value].ld))

    def _entry(self, source: tuple[int, int]) -> int:
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def _address(self, value: int) -> int:
        view = self._layout.view(value, self._arena, self._capacity, 1)
        return view.data_ptr()
