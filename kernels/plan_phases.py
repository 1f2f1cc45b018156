"""A finished plan in fewer phases, for a CPU's threads: they meet at the end of each.

Where two threads do not share a cache, a number that one of them made and the other reads takes as
long as one from memory. So numbers stay with the thread that made them for as long as that can be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kernels.plan_memory import Sharing, Storage
from kernels.plan_parts import KINDS, NONZERO, PRODUCT, ROUNDED_RESULT, SPACES, Phase, Step

_ROWS, _PRODUCTS, _BLOCKS = map(SPACES.index, ("rows", "products", "blocks"))
_SHIFT, _NORM, _ROUND, _LIST = map(KINDS.index, ("shift", "layer_norm", "round", "nonzero"))

_WKV4 = KINDS.index("wkv4")
_RECURRENCES = (*map(KINDS.index, ("wkv7", "wkv6")), _WKV4)
_ALL = 2**31


@dataclass
class Part:
    """A phase with its steps."""

    space: int
    chunks_of: int
    steps: list[Step]


def parts_of(steps: Sequence[Step], phases: Sequence[Phase]) -> list[Part]:
    """Take a plan apart, into copies of its steps."""
    copies = [Step.from_buffer_copy(step) for step in steps]
    return [
        Part(phase.space, phase.chunks_of, copies[phase.first : phase.first + phase.count])
        for phase in phases
    ]


def together(parts: Sequence[Part]) -> tuple[list[Step], list[Phase]]:
    """Make steps and phases of parts, leaving out those without steps."""
    steps: list[Step] = []
    phases = []
    for part in parts:
        if part.steps:
            tails = [step.tail for step in part.steps]
            tail = max(tails) if all(tails) else 0
            phases.append(Phase(part.space, len(steps), len(part.steps), part.chunks_of, tail))
            steps += part.steps
    return steps, phases


def mark_tails(parts: Sequence[Part], roots: Sequence[int]) -> None:
    """Note of each step how many of the last tokens are needed if only the last logits are.

    What the last layer does behind its recurrence serves nothing else, and so do r and the gate: of
    these, one token and the one before, which the channel mix's shift asks for.

    Args:
        parts: of the plan; their steps are changed.
        roots: of its values.
    """
    needed: dict[int, int] = defaultdict(int)
    for step in (step for part in reversed(parts) for step in reversed(part.steps)):
        sources = [number for number in step.inputs if number >= 0]
        made = [step.out] if step.out >= 0 else []
        if step.kind == PRODUCT and step.inputs[ROUNDED_RESULT] >= 0:
            made.append(step.inputs[ROUNDED_RESULT])
            sources.remove(step.inputs[ROUNDED_RESULT])
        # The logits are the last token's, and picked by themselves.
        tail = reach = max((needed[roots[number]] for number in made), default=1)
        if step.kind == _SHIFT:
            tail = max(tail, 1)  # the state's
            reach = tail + 1
        elif step.kind in _RECURRENCES:
            # The state is of all tokens; r, which RWKV-4's has not, asks it for results alone.
            if step.kind != _WKV4:
                r = roots[sources.pop(0)]
                needed[r] = max(needed[r], tail)
            tail = reach = _ALL
        for root in (roots[number] for number in sources):
            needed[root] = max(needed[root], reach)
        step.tail = tail if made and tail < _ALL else 0


def round_early(parts: Sequence[Part], roots: Sequence[int]) -> None:
    """Round inputs of products where they are made, instead of in a phase of rows afterwards.

    A panel of a product and a block of channels hold whole groups of what the next products read.
    Of what products make for many tokens floats are not written at all where nobody reads them.

    Args:
        parts: of the plan; changed.
        roots: of its values, see kernels.plan.Plan.roots.
    """
    whole = {root for number, root in enumerate(roots) if root != number}
    makers, readers = defaultdict(list), defaultdict(list)
    for part in parts:
        for step in part.steps:
            makers[step.out].append((part, step))
            for source in {*step.inputs}:
                readers[source].append(step)
    for part in parts:
        for step in [step for step in part.steps if step.kind == _ROUND]:
            source, made = step.inputs[0], makers[step.inputs[0]]
            if source in whole or roots[source] != source or len(made) != 1:
                continue
            [(where, maker)] = made
            others = [reader for reader in readers[source] if reader is not step]
            if where.space == _BLOCKS:
                step.number[2] = 1
                where.steps.append(step)
            elif where.space == _PRODUCTS and all(_is_of_one(s, source) for s in others):
                maker.inputs[ROUNDED_RESULT] = step.out
                maker.number[2] += step.number[0] << 5
            else:
                continue
            part.steps.remove(step)


def shared_out(storages: Sequence[Storage], parts: Sequence[Part]) -> list[Storage]:
    """Say anew which phases need each value, and whose threads.

    Args:
        storages: of the values.
        parts: of the plan, none without steps.
    """
    phases = defaultdict(list)
    has_all, has_one = set(), set()
    for number, part in enumerate(parts):
        for step in part.steps:
            roots = {storages[value].root for value in (step.out, *step.inputs) if value >= 0}
            for root in roots:
                phases[root].append(number)
            if part.space == _BLOCKS:
                has_all |= roots
            if step.kind == _LIST or (step.kind == PRODUCT and step.inputs[ROUNDED_RESULT] >= 0):
                has_one.add(storages[step.out].root)
    found = []
    for storage in storages:
        used = phases.get(storage.root, [0])
        sharing = Sharing.BY_ALL if storage.root in has_all else Sharing.BY_TOKEN
        sharing = Sharing.OF_ONE if storage.root in has_one else sharing
        found.append(replace(storage, first_phase=used[0], last_phase=used[-1], sharing=sharing))
    return found


def _is_of_one(reader: Step, source: int) -> bool:
    """Tell whether a step reads a value only of a single token: lists of those not zero do."""
    is_sparse = reader.kind == PRODUCT and reader.inputs[NONZERO] >= 0
    return bool(reader.kind == _LIST or (is_sparse and reader.inputs[1] != source))


def join_rows(parts: Sequence[Part], roots: Sequence[int]) -> list[Part]:
    """Join neighbouring phases of whole tokens where no step needs what another thread makes.

    A shift does, the token before. If that is a norm of what was there before both phases, the
    shift makes it once more, for the first token of a thread's: what it is told of the norm are
    that step's input, data and value.

    Args:
        parts: of the plan; their steps are changed.
        roots: of its values.
    """
    joined: list[Part] = []
    for part in (part for part in parts if part.steps):
        last = joined[-1] if joined else None
        if last is None or {last.space, part.space} != {_ROWS} or not _joins(part, last, roots):
            joined.append(part)
        else:
            last.steps += part.steps
    return joined


def _joins(part: Part, last: Part, roots: Sequence[int]) -> bool:
    """Prepare a phase's shifts to be joined to the one before, or tell that they cannot be."""
    makers = {roots[step.out]: step for step in last.steps}
    shifts = [s for s in part.steps if s.kind == _SHIFT and roots[s.inputs[0]] in makers]
    norms = [makers[roots[shift.inputs[0]]] for shift in shifts]
    for shift, norm in zip(shifts, norms, strict=True):
        is_norm = norm.kind == _NORM and norm.out == shift.inputs[0]
        if not is_norm or roots[norm.inputs[0]] in makers:
            return False
    for shift, norm in zip(shifts, norms, strict=True):
        shift.inputs[1], shift.value, shift.data[:] = norm.inputs[0], norm.value, norm.data[:]
    return True
