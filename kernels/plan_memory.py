"""Where a plan's values lie: in memory for all tokens of a run, or in that of a thread's chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from kernels.plan_parts import SPACES, Phase, Slot, Step

# Rows of values are a whole number of vectors, and one more, so that equal columns of
# neighbouring rows do not share a place in the cache.
LANES = 16


class Sharing(IntEnum):
    """Which threads a value's memory is near to; of different kinds none is used for both."""

    BY_ALL = 0
    BY_TOKEN = 1  # one thread makes and reads all of a token's
    OF_ONE = 2  # used for a single token only, in any place


@dataclass
class Storage:
    """Memory of a value: which phases need it, and which value it is a part of."""

    size: int
    first_phase: int
    last_phase: int
    root: int
    start: int = 0
    sharing: Sharing = Sharing.BY_ALL


@dataclass(frozen=True)
class Room:
    """Memory that a thread has for values that only its chunk of a phase sees.

    Attributes:
        floats: of all together.
        rows: tokens of a chunk that steps work on at a time, in phases of "rows" and "blocks".
    """

    floats: int
    rows: Mapping[str, int]


def width(size: int) -> int:
    """Say how far rows of so many floats lie apart."""
    return -(-size // LANES) * LANES + LANES


def place(
    storages: Sequence[Storage], phases: Sequence[Phase], steps: Sequence[Step], room: Room | None
) -> tuple[list[Slot], int]:
    """Place values in memory, reusing what later phases do not need.

    A value that only one phase makes and reads needs no place for all tokens: a thread works on a
    few at a time. Such memory stays near the processor.

    Args:
        storages: of the values, by number.
        phases: of the plan.
        steps: of the plan.
        room: of a thread; None: all values have their place for all tokens, as on a GPU.

    Returns:
        A slot for each value, and the floats that one token takes outside of threads' rooms.
    """
    whole = {s.root for number, s in enumerate(storages) if s.root != number}
    inside: dict[int, Slot] = {}
    for number, phase in enumerate(phases):
        if room and SPACES[phase.space] in room.rows:
            some = steps[phase.first : phase.first + phase.count]
            own = {
                step.out
                for step in some
                if step.out >= 0
                and step.out not in whole
                and _is_only_in(number, storages[step.out])
            }
            inside |= _inside_phase(storages, own, phase, some, room)
    roots = [s for number, s in enumerate(storages) if s.root == number and number not in inside]
    offsets, total = _place_outside(roots) if room else _place_equals(roots, len(phases))
    slots = []
    for storage in storages:
        if storage.root in inside:
            slots.append(inside[storage.root])
        else:
            row = width(storages[storage.root].size)
            slots.append(Slot(offsets[storage.root], storage.start, row, storage.size))
    return slots, total


def _place_equals(roots: Sequence[Storage], phases: int) -> tuple[dict[int, int], int]:
    """Let values have the places of others of their width only.

    A GPU's launch may take in several phases. Who writes a number there has read the one that was in
    its place.
    """
    made, done = defaultdict(list), defaultdict(list)
    for storage in roots:
        made[storage.first_phase].append(storage)
        done[storage.last_phase].append(storage)
    offsets: dict[int, int] = {}
    free: dict[int, list[int]] = {}
    total = 0
    for number in range(phases):
        for storage in made[number]:
            size = width(storage.size)
            if free.get(size):
                offsets[storage.root] = free[size].pop()
            else:
                offsets[storage.root] = total
                total += size
        for storage in done[number]:
            free.setdefault(width(storage.size), []).append(offsets[storage.root])
    return offsets, total


def _place_outside(roots: Sequence[Storage]) -> tuple[dict[int, int], int]:
    """Place values side by side, the widest first, as far to the front as no other needs the place.

    What a run of many tokens works on should be small, to stay in the third cache. A place that two
    threads have read takes either of them as long to write as one in memory, if they do not share
    that cache.
    """
    offsets: dict[int, int] = {}
    placed: list[tuple[int, int, Storage]] = []
    for storage in sorted(roots, key=lambda s: (s.sharing, -s.size, s.first_phase)):
        at, size = 0, width(storage.size)
        for begin, end, other in sorted(placed, key=lambda item: item[:2]):
            is_apart = (
                other.last_phase < storage.first_phase or storage.last_phase < other.first_phase
            )
            if end <= at or (is_apart and Sharing.OF_ONE in (storage.sharing, other.sharing)):
                continue
            if is_apart and other.sharing is storage.sharing:
                continue
            if at + size <= begin:
                break
            at = end
        placed.append((at, at + size, storage))
        offsets[storage.root] = at
    return offsets, max((end for _, end, _ in placed), default=0)


def _is_only_in(phase: int, storage: Storage) -> bool:
    return storage.first_phase == storage.last_phase == phase


def _inside_phase(
    storages: Sequence[Storage], own: set[int], phase: Phase, steps: Sequence[Step], room: Room
) -> dict[int, Slot]:
    """Place a phase's own values, by what later steps do not need."""
    tokens, is_blocks = room.rows[SPACES[phase.space]], SPACES[phase.space] == "blocks"
    slots: dict[int, Slot] = {}
    free: dict[int, list[int]] = {}
    total = 0
    last = {used: at for at, step in enumerate(steps) for used in (*step.inputs, step.out)}
    for at, step in enumerate(steps):
        size = storages[step.out].size
        row = width(phase.chunks_of if is_blocks else size)
        has_room = free.get(row) or total + tokens * row <= room.floats
        if step.out in own and step.out not in slots and has_room:
            if not free.get(row):
                free[row] = [total]
                total += tokens * row
            # Marked by a negative number.
            slots[step.out] = Slot(~free[row].pop(), 0, row, size)
        for used in {*step.inputs, step.out}:
            if last[used] == at and used in slots:
                free.setdefault(slots[used].ld, []).append(~slots[used].offset)
    return slots
