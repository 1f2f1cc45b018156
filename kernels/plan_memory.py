"""Where a plan's values lie: in memory for all tokens of a run, or in that of a thread's block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.plan_parts import SPACES, Phase, Slot, Step

# Rows of values are a whole number of vectors, and one more, so that equal columns of
# neighbouring rows do not share a place in the cache.
LANES = 16


@dataclass
class Storage:
    """Memory of a value: which phases need it, and which value it is a part of."""

    size: int
    first_phase: int
    last_phase: int
    root: int
    start: int = 0


def width(size: int) -> int:
    """Say how far rows of so many floats lie apart."""
    return -(-size // LANES) * LANES + LANES


def place(
    storages: Sequence[Storage],
    phases: Sequence[Phase],
    steps: Sequence[Step],
    *,
    block_floats: int = 0,
) -> tuple[list[Slot], int]:
    """Place values in memory, reusing what later phases do not need.

    A value that only one phase of blocks makes and reads needs no place for all tokens: a thread
    works on one block at a time. Such memory stays near the processor.

    Args:
        storages: of the values, by number.
        phases: of the plan.
        steps: of the plan.
        block_floats: room that a thread has for a token's values of one block; 0: none.

    Returns:
        A slot for each value, and the floats that one token takes outside of blocks.
    """
    inside = _inside_blocks(storages, phases, steps, block_floats)
    made, done = defaultdict(list), defaultdict(list)
    for number, storage in enumerate(storages):
        if storage.root == number and number not in inside:
            made[storage.first_phase].append(storage)
            done[storage.last_phase].append(storage)
    offsets: dict[int, int] = {}
    free: dict[int, list[int]] = {}
    total = 0
    for phase in range(len(phases)):
        for storage in made[phase]:
            size = width(storage.size)
            if free.get(size):
                offsets[storage.root] = free[size].pop()
            else:
                offsets[storage.root] = total
                total += size
        for storage in done[phase]:
            free.setdefault(width(storage.size), []).append(offsets[storage.root])
    slots = []
    for storage in storages:
        if storage.root in inside:
            slots.append(inside[storage.root])
        else:
            row = width(storages[storage.root].size)
            slots.append(Slot(offsets[storage.root], storage.start, row, storage.size))
    return slots, total


def _inside_blocks(
    storages: Sequence[Storage], phases: Sequence[Phase], steps: Sequence[Step], room: int
) -> dict[int, Slot]:
    """Place what no other phase than one of blocks sees, by what later steps do not need."""
    whole = {s.root for number, s in enumerate(storages) if s.root != number}
    slots: dict[int, Slot] = {}
    for number, phase in enumerate(phases):
        if phase.space != SPACES.index("blocks"):
            continue
        row, total = width(phase.chunks_of), 0
        free: list[int] = []
        some = steps[phase.first : phase.first + phase.count]
        last = {used: at for at, step in enumerate(some) for used in (*step.inputs, step.out)}
        for at, step in enumerate(some):
            value = storages[step.out]
            is_inside = value.first_phase == value.last_phase == number and step.out not in whole
            if is_inside and step.out not in slots and (free or total + row <= room):
                if not free:
                    free.append(total)
                    total += row
                # Marked by a negative number.
                slots[step.out] = Slot(~free.pop(), 0, row, value.size)
            for used in {*step.inputs, step.out}:
                if last[used] == at and used in slots and storages[used].first_phase == number:
                    free.append(~slots[used].offset)
    return slots
