"""Record a model as a flat list of steps, which C++ runs in one call and CUDA in a few launches.

A plan is made once, by code that reads like the model's equations: every method below notes one
step and returns the value it will make. Steps stand in phases:

    rows():      whole tokens; a step sees what earlier phases made of other tokens.
    products():  matrix products that do not read each other's results.
    blocks():    blocks of channels, whole heads. A step sees only its own block of what the
                 phase's earlier steps made; products read whole rows of earlier phases.

Threads share a phase's chunks and meet at its end. A value is one row of floats per token.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from kernels.blocks import COMPILED
from kernels.packed import FORMATS, PANEL_ROWS, TYPES
from kernels.plan_memory import LANES, Room, Storage, place
from kernels.plan_parts import (
    KINDS,
    PRODUCT,
    ROUNDED,
    SPACES,
    Phase,
    Slot,
    Step,
    StoredMatrix,
    Value,
)
from kernels.plan_phases import join_rows, mark_tails, parts_of, round_early, shared_out, together

_ACTIVATIONS = ("none", "sigmoid", "tanh", "exp", "silu", "squared_relu")
Activation = Literal["none", "sigmoid", "tanh", "exp", "silu", "squared_relu"]
Shift = Literal["time_mix", "channel_mix"]


class Plan:
    """A list of steps in the making; kernels.program.Program runs it.

    On a GPU it is kernels.cuda.program.CudaProgram that does.
    """

    def __init__(self, channels: int, head_size: int, device: torch.device | str = "cpu") -> None:
        """Begin an empty plan.

        Args:
            channels: C, of the stream and the state.
            head_size: channels of a head, one of kernels.cpu_library.HEAD_SIZES; for a model
                without heads any of them.
            device: where it will run, and so where matrices lie.
        """
        self.channels, self.head_size = channels, head_size
        self.device = torch.device(device)
        self.steps: list[Step] = []
        self.phases: list[Phase] = []
        self.kept: list[Tensor] = []
        self.matrices: dict[int, StoredMatrix] = {}  # of products, by the number of the step
        self.logits_size = 0
        self._storages: list[Storage] = []
        self._rounded: dict[tuple[int, str], Value] = {}

    @contextmanager
    def _phase(self, space: str, chunks_of: int) -> Iterator[None]:
        phase = Phase(SPACES.index(space), len(self.steps), 0, chunks_of)
        self.phases.append(phase)
        yield
        phase.count = len(self.steps) - phase.first

    @contextmanager
    def rows(self) -> Iterator[None]:
        """Begin a phase of steps on whole tokens."""
        with self._phase("rows", 0):
            yield

    @contextmanager
    def products(self) -> Iterator[None]:
        """Begin a phase of matrix products."""
        with self._rounding(), self._phase("products", 0):
            first = len(self.steps)
            yield
            panels = (-(-step.number[0] // PANEL_ROWS) for step in self.steps[first:])
            self.phases[-1].chunks_of = sum(panels)

    @contextmanager
    def blocks(self) -> Iterator[None]:
        """Begin a phase of steps on blocks of channels."""
        with self._rounding(), self._phase("blocks", max(PANEL_ROWS, self.head_size)):
            yield

    @contextmanager
    def _rounding(self) -> Iterator[None]:
        """Round the inputs of a phase's products in the phase of rows before it."""
        if not self.phases or self.phases[-1].space != SPACES.index("rows"):
            with self.rows():
                pass
        rounding, first = self.phases[-1], len(self.steps)
        self._rounded = {}
        yield
        products = [step for step in self.steps[first:] if step.kind == PRODUCT]
        for (source, _), out in self._rounded.items():
            step = next(s for s in products if s.inputs[ROUNDED] == out.number)
            numbers = [step.number[2] & 15, step.number[1]]
            x = Value(source, step.number[1])
            self._insert(rounding, _step("round", out, [x], [], numbers, 1.0), after=source)

    def embed(self, table: Tensor) -> Value:
        """Look up each token's row of a (vocabulary, size) table."""
        size = table.shape[1]
        table = self._keep(table.to(self.device).contiguous())
        numbers = [FORMATS[TYPES[table.dtype]], size]
        return self._add("embed", size, [], [table], numbers)

    def embed_blocks(self, table: Tensor, kind: int, size: int) -> Value:
        """Look up each token's row, `size` numbers in blocks of a GGUF file's kind, on a CPU."""
        assert kind in COMPILED
        return self._add("embed", size, [], [self._keep(table.contiguous())], [0, size, kind])

    def layer_norm(self, x: Value, norm: nn.LayerNorm) -> Value:
        """Norm each token."""
        data = [self._vector(norm.weight), self._vector(norm.bias)]
        return self._add("layer_norm", x.size, [x], data, value=norm.eps)

    def group_norm(self, x: Value, norm: nn.GroupNorm) -> Value:
        """Norm each head of each token."""
        data = [self._vector(norm.weight), self._vector(norm.bias)]
        return self._add("group_norm", x.size, [x], data, value=norm.eps)

    def shift(self, xn: Value, layer: int, which: Shift) -> Value:
        """Make dx = (xn of the token before) - xn, and put the last xn into the state."""
        return self._add("shift", xn.size, [xn], [], [layer, int(which == "channel_mix")])

    def mix(self, xn: Value, dx: Value, share: Tensor, more: Value | None = None) -> Value:
        """Make xn + dx (share + more)."""
        return self._add("mix", xn.size, [xn, dx, more], [self._vector(share)])

    def product(
        self,
        weight: StoredMatrix,
        x: Value,
        activation: Activation = "none",
        *,
        factor: Value | None = None,
        add_to: Value | None = None,
        nonzero: Value | None = None,
    ) -> Value:
        """Make activation(weight x) factor.

        Args:
            weight: (out, in).
            x: in floats.
            activation: of the product.
            factor: multiplies the result, element by element.
            add_to: value to which the result is added, instead of a new one.
            nonzero: which elements of x are not 0; the others' weights are not read.
        """
        out = add_to or self._value(weight.rows)
        self._note_product(weight, [x, factor, nonzero], out, activation, add_to is not None)
        return out

    def logits(self, weight: StoredMatrix, x: Value) -> None:
        """Make weight x what a run returns."""
        self.logits_size = weight.rows
        self._note_product(weight, [x, None, None], None, "none", False)

    def nonzero(self, x: Value, weight: StoredMatrix) -> Value:
        """List the elements of x that are not 0, for a product with one token.

        Where they are so many that the product reads all weights, there is no list.
        """
        most = round(100 * (1 - weight.skipped_from))
        return self._add("nonzero", x.size + 2 * LANES, [x], [], [most])

    def affine(
        self,
        x: Value,
        activation: Activation = "none",
        *,
        times: Tensor | None = None,
        plus: Tensor | None = None,
        scale: float = 1.0,
    ) -> Value:
        """Make scale activation(x times + plus)."""
        data = [None if v is None else self._vector(v) for v in (times, plus)]
        return self._add("affine", x.size, [x], data, [_ACTIVATIONS.index(activation)], scale)

    def multiply(self, a: Value, b: Value) -> Value:
        """Make a b, element by element."""
        return self._add("multiply", a.size, [a, b])

    def lerp(self, start: Value, end: Value, share: Value) -> Value:
        """Make start + (end - start) share."""
        return self._add("lerp", start.size, [start, end, share])

    def normalize(self, x: Value) -> Value:
        """Divide each head by its length."""
        return self._add("normalize", x.size, [x])

    def add_bonus(self, y: Value, r: Value, k: Value, v: Value, weight: Tensor) -> Value:
        """Make y + (r · (weight k)) v within each head."""
        return self._add("bonus", y.size, [y, r, k, v], [self._vector(weight)])

    def wkv7(
        self, r: Value, log_decay: Value, k: Value, v: Value, kk: Value, a: Value, layer: int
    ) -> Value:
        """Run the recurrence of RWKV-7; see kernels.reference.wkv7."""
        return self._add("wkv7", r.size, [r, log_decay, k, v, kk, a], [], [layer])

    def wkv6(
        self, r: Value, log_decay: Value | Tensor, k: Value, v: Value, u: Tensor, layer: int
    ) -> Value:
        """Run the recurrence of RWKV-6 and 5; see kernels.reference.wkv6."""
        data = [self._vector(u)]
        if isinstance(log_decay, Value):
            return self._add("wkv6", r.size, [r, log_decay, k, v], data, [layer])
        data.append(self._vector(log_decay))
        return self._add("wkv6", r.size, [r, None, k, v], data, [layer])

    def wkv4(self, log_decay: Tensor, u: Tensor, k: Value, v: Value, layer: int) -> Value:
        """Run the recurrence of RWKV-4; see kernels.reference.wkv4."""
        data = [self._vector(log_decay), self._vector(u)]
        return self._add("wkv4", k.size, [k, v], data, [layer])

    def row_product(self, x: Value, matrices: Value) -> Value:
        """Multiply x (n) by a square matrix (n, n) of its own for each token."""
        return self._add("row_product", x.size, [x, matrices])

    def part(self, value: Value, start: int, size: int) -> Value:
        """Name some elements of a value."""
        whole = self._storages[value.number]
        part = Storage(size, 0, 0, whole.root, whole.start + start)
        self._storages.append(part)
        return Value(len(self._storages) - 1, size)

    def roots(self) -> list[int]:
        """Name for each value the one whose memory it lies in: itself, unless it is a part."""
        return [storage.root for storage in self._storages]

    def for_threads(self) -> Plan:
        """Make the same for a CPU's threads; see kernels.plan_phases."""
        other, roots = copy.copy(self), self.roots()
        parts = parts_of(self.steps, self.phases)
        round_early(parts, roots)
        parts = join_rows(parts, roots)
        mark_tails(parts, roots)
        other.steps, other.phases = together(parts)
        other.matrices, other._storages = {}, shared_out(self._storages, parts)
        return other

    def slots(self, room: Room | None = None) -> tuple[list[Slot], int]:
        """Place the values in memory; see kernels.plan_memory.place."""
        return place(self._storages, self.phases, self.steps, room)

    def _value(self, size: int) -> Value:
        phase, number = len(self.phases) - 1, len(self._storages)
        self._storages.append(Storage(size, phase, phase, number))
        return Value(number, size)

    def _add(
        self,
        kind: str,
        size: int,
        inputs: list[Value | None] | list[Value],
        data: list[Tensor | None] | list[Tensor] | None = None,
        numbers: list[int] | None = None,
        value: float = 1.0,
    ) -> Value:
        out = self._value(size)
        self._note(_step(kind, out, inputs, data or [], numbers or [], value))
        return out

    def _note_product(
        self,
        weight: StoredMatrix,
        inputs: list[Value | None],
        out: Value | None,
        activation: Activation,
        is_added: bool,
    ) -> None:
        numbers = [weight.rows, weight.columns, weight.code + 16 * is_added]
        numbers.append(_ACTIVATIONS.index(activation))
        if weight.rounded_floats:
            x, factor, nonzero = inputs
            # Where zeros' weights are left out, it may be x itself that is multiplied.
            inputs = [x if nonzero else None, factor, nonzero, self._round(weight, x)]
        self.matrices[len(self.steps)] = weight
        data = [self._keep(tensor) for tensor in weight.tensors]
        self._note(_step("product", out, inputs, data, numbers, 1.0))

    def _round(self, weight: StoredMatrix, x: Value | None) -> Value:
        """Reserve what the phase before one with products makes of x, once for all of them."""
        assert x is not None
        key = (x.number, weight.format)
        if key not in self._rounded:
            self._rounded[key] = self._value(weight.rounded_floats)
            self._storages[-1].first_phase -= 1
        return self._rounded[key]

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        for used in (step.out, *step.inputs):
            if used >= 0:
                self._needed(used, len(self.phases) - 1)

    def _insert(self, phase: Phase, step: Step, *, after: int) -> None:
        """Put a step into the last phase but one, behind what makes a value."""
        end = phase.first + phase.count
        at = next((n for n in reversed(range(phase.first, end)) if self.steps[n].out == after), end)
        at = min(at + 1, end)
        self.steps.insert(at, step)
        phase.count += 1
        self.phases[-1].first += 1
        self.matrices = {n + (n >= at): matrix for n, matrix in self.matrices.items()}
        self._needed(after, len(self.phases) - 2)

    def _needed(self, value: int, phase: int) -> None:
        root = self._storages[self._storages[value].root]
        root.last_phase = max(root.last_phase, phase)

    def _keep(self, tensor: Tensor) -> Tensor:
        """Hold a tensor as long as the plan, which knows its address."""
        self.kept.append(tensor)
        return tensor

    def _vector(self, tensor: Tensor) -> Tensor:
        """Copy a constant to whole vectors of float32."""
        flat = tensor.detach().float().flatten()
        padded = torch.zeros(
            -(-flat.numel() // LANES) * LANES, dtype=torch.float32, device=self.device
        )
        padded[: flat.numel()] = flat
        return self._keep(padded)


def _step(
    kind: str,
    out: Value | None,
    inputs: list[Value | None] | list[Value],
    data: list[Tensor | None] | list[Tensor],
    numbers: list[int],
    value: float,
) -> Step:
    step = Step(kind=KINDS.index(kind), out=-1 if out is None else out.number, value=value)
    step.inputs[:] = [-1] * 6
    for index, source in enumerate(inputs):
        step.inputs[index] = -1 if source is None else source.number
    for index, tensor in enumerate(data):
        step.data[index] = None if tensor is None else tensor.data_ptr()
    for index, number in enumerate(numbers):
        step.number[index] = number
    return step
