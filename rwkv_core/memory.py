"""How many bytes a model needs, told before it is fetched or loaded.

Four parts, for each device: the weights, as the strategy keeps them; the states of conversations;
what a step works in; and what the program takes before any model is there. The first follows from
shapes alone. benchmarks/planned_memory.py compares the sum with measured peaks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Literal, NamedTuple

import torch

from rwkv_core.config import ModelConfig
from rwkv_core.limits import EngineLimits
from rwkv_core.models.outline import Entry, Inventory, Layer
from rwkv_core.models.packed import is_cached, stored_format
from rwkv_core.models.runtime import planned_gpu, why_not_packed
from rwkv_core.quantization import BLOCK_ROWS, GROUP
from rwkv_core.strategy import Place, Placement, parse_strategy

GB = 10**9
# Sizes of memory that people have, in GB.
PRESETS_GB = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 80)
# A verdict of "fits" leaves this share for everything else.
SPARE_SHARE = 0.1
# Python, torch, the page and their code, without a model; measured.
PROGRAM_BYTES = 615 * 10**6
# What CUDA takes for itself on a GPU before the first tensor; between 0.4 and 1 GB, by card.
CUDA_BYTES = 600 * 10**6
# States kept of a conversation that has had one answer.
KEPT_STATES = 1
# Of each conversation that writes: those before and after a step of all together.
STEP_STATES = 2
# Copies of the logits while a token is drawn.
STEP_LOGITS = 2
# Rows of values that kernels.program works in at once, and its bytes.
ROWS, ARENA_BYTES = 256, 32 * 2**20

Answer = Literal["fits", "tight", "no"]
# The first card is named with and without its number.
_OTHER_NAMES = {"cuda": "cuda:0", "cuda:0": "cuda"}

# What is said of each model's fp16 weights on many pages, in GB of a graphics card.
WELL_KNOWN_FP16_GB = {"169M": 1, "430M": 2, "1.5B": 4, "3B": 8, "7B": 16, "14B": 32}


@dataclass(frozen=True)
class Need:
    """Bytes on one device.

    Attributes:
        weights: of the model.
        state: memories of conversations.
        workspace: what a step works in.
        runtime: the program, or CUDA, without any model.
        mapped: part of the weights that stays in the file: the system may drop and reread it.
    """

    weights: int = 0
    state: int = 0
    workspace: int = 0
    runtime: int = 0
    mapped: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.state + self.workspace + self.runtime


@dataclass(frozen=True)
class MemoryPlan:
    """What a model needs under one strategy.

    Attributes:
        config: sizes of the model.
        placement: where its layers run.
        sessions: conversations at once.
        needs: by device; "cpu" is always there.
        is_packed: whether the CPU's packed weights are used.
    """

    config: ModelConfig
    placement: Placement
    sessions: int
    needs: Mapping[str, Need]
    is_packed: bool

    @property
    def strip(self) -> list[tuple[str, int]]:
        """Runs of layers in one place: its text and how many; the last unit is the head."""
        places = map(str, self.placement.allocate(self.config.n_layer))
        return [(text, len(list(run))) for text, run in groupby(places)]


@dataclass(frozen=True)
class Verdict:
    """Whether a plan fits into memory.

    Attributes:
        answer: "fits" leaves a tenth free; "tight" leaves less; "no" is more than there is.
        device: the one that decides.
        needed: bytes there.
        available: bytes there.
    """

    answer: Answer
    device: str
    needed: int
    available: int


class _Placed(NamedTuple):
    """Bytes of weights on the layer's device, in the CPU's memory, and of both in the file."""

    device: int = 0
    host: int = 0
    mapped: int = 0


def plan_memory(
    inventory: Inventory,
    strategy: str | Placement,
    *,
    sessions: int = 1,
    limits: EngineLimits | None = None,
    has_compiler: bool = True,
) -> MemoryPlan:
    """Count the bytes that a model needs.

    Args:
        inventory: what the model is made of.
        strategy: text of any device, whether it is here or not, or what was read from it.
        sessions: conversations at once.
        limits: of the engine; they bound what is kept.
        has_compiler: whether the packed runtime could be built.

    Raises:
        StrategyError: the text is no strategy.
    """
    limits = limits or EngineLimits()
    placement = strategy
    if isinstance(placement, str):
        placement = parse_strategy(placement, must_be_here=False)
    config = inventory.config
    is_packed = has_compiler and not why_not_packed(config, placement)
    places = placement.allocate(config.n_layer)
    is_small = is_cached(config)
    weights: dict[str, list[int]] = {"cpu": [0, 0]}
    for layer, place in zip((*inventory.layers, inventory.last), places, strict=True):
        placed = _layer_bytes(layer, place, is_packed=is_packed, is_small=is_small)
        for device, nbytes in ((str(place.device), placed.device), ("cpu", placed.host)):
            weights.setdefault(device, [0, 0])[0] += nbytes
        weights["cpu"][1] += placed.mapped
    for entry, count in inventory.tables:
        in_file = entry.quantized_bytes or _bytes(entry)
        weights["cpu"][0] += in_file * count
        weights["cpu"][1] += in_file * count
        if gpu := planned_gpu(config, placement):
            # A copy, so that the GPU looks up by itself.
            weights[str(gpu)][0] += _bytes(entry) * count
    needs = {}
    for device, (nbytes, mapped) in weights.items():
        is_host = device == "cpu"
        on_device = [place for place in places if str(place.device) == device]
        needs[device] = Need(
            nbytes,
            _state_bytes(config, sessions, limits) if is_host else 0,
            _workspace(config, on_device, sessions, limits, is_packed=is_packed, is_host=is_host),
            PROGRAM_BYTES if is_host else CUDA_BYTES,
            mapped,
        )
    return MemoryPlan(config, placement, sessions, needs, is_packed)


@lru_cache(maxsize=4096)
def _layer_bytes(layer: Layer, place: Place, *, is_packed: bool, is_small: bool) -> _Placed:
    totals = [0, 0, 0]
    for entry, count in layer:
        placed = _entry_bytes(entry, place, is_packed=is_packed, is_small=is_small)
        for index, nbytes in enumerate(placed):
            totals[index] += nbytes * count
    return _Placed(*totals)


def _entry_bytes(entry: Entry, place: Place, *, is_packed: bool, is_small: bool) -> _Placed:
    """Bytes of one tensor, by the rules of rwkv_core.models.placing."""
    is_cpu = place.device.type == "cpu"
    if entry.kind == "vector":
        return _float_bytes(entry, torch.float32, is_cpu=is_cpu)
    low, sparse = entry.kind == "low_rank", entry.kind == "sparse"
    rows, columns = entry.shape[-2:]
    count = math.prod(entry.shape[:-2])
    if low:
        rows, columns = columns, rows
    if is_packed:
        kept = stored_format(
            entry.dtype, place, is_cached=is_small, is_low_rank=low, is_sparse=sparse
        )
        return _Placed(device=count * packed_bytes(kept, rows, columns))
    # A GPU's plan has low ranks in floats.
    if place.format != "float" and (is_cpu or not low):
        nbytes = count * rows * (columns + 4)
        if place.format == "int4" and not low:
            nbytes = rows * -(-columns // GROUP) * (GROUP // 2 + 2)
    else:
        found = _float_bytes(entry, place.dtype, is_cpu=is_cpu)
        nbytes = found.device
        if found.mapped:
            return found
    if place.is_streamed and not low:
        return _Placed(host=nbytes)
    return _Placed(device=nbytes)


def _float_bytes(entry: Entry, dtype: torch.dtype, *, is_cpu: bool) -> _Placed:
    """Bytes of floats; where the file has them in this type, the CPU uses those."""
    nbytes = math.prod(entry.shape) * dtype.itemsize
    return _Placed(device=nbytes, mapped=nbytes if is_cpu and entry.dtype == dtype else 0)


def packed_bytes(kept: str, rows: int, columns: int) -> int:
    """Bytes of a packed matrix; kernels/cpu/panels.h says how they lie."""
    panels = -(-rows // 64)
    if kept in ("int4", "int4_columns"):
        return panels * 64 * (-(-columns // GROUP) * (GROUP // 2 + 1) + 1)
    if kept == "int8":  # whole groups of columns, and a scale for each row
        return panels * 64 * (-(-columns // GROUP) * GROUP + 4)
    if kept in ("bf12", "bf12_rounded"):  # and a list of strays
        return panels * (96 * columns + 32 + 8 * (15 + columns // 4))
    return panels * 64 * columns * {"fp32": 4, "fp16": 2, "bf16": 2, "bf16_rounded": 2}[kept]


def _bytes(entry: Entry) -> int:
    return math.prod(entry.shape) * entry.dtype.itemsize


def _state_bytes(config: ModelConfig, sessions: int, limits: EngineLimits) -> int:
    """Bytes of kept states, and of those that a step reads and makes."""
    one = config.state_bytes + 4 * config.vocab_size
    kept = min(sessions * KEPT_STATES * one, limits.store_bytes)
    return kept + min(sessions, limits.slots) * STEP_STATES * config.state_bytes


def _workspace(
    config: ModelConfig,
    places: list[Place],
    sessions: int,
    limits: EngineLimits,
    *,
    is_packed: bool,
    is_host: bool,
) -> int:
    """Bytes of values while a chunk of text is read or a token written."""
    writers = min(sessions, limits.slots)
    logits = STEP_LOGITS * writers * 4 * config.vocab_size
    a_row = 4 * (12 * config.n_embd + 2 * config.n_ffn)
    if is_packed:
        return logits + max(min(ROWS * a_row, ARENA_BYTES), writers * a_row)
    if not places:
        return logits
    chunk = max(limits.prefill_chunk, writers) * a_row
    if any(place.format != "float" for place in places):
        # A block of rows, turned back into floats and then into the products' type.
        chunk += 2 * 4 * BLOCK_ROWS * max(config.n_embd, config.n_ffn)
    return chunk + (logits if is_host else 4 * writers * config.vocab_size)


def plan_without_program(plan: MemoryPlan, running: MemoryPlan) -> MemoryPlan:
    """What a model adds to a process that runs another: the program, and CUDA, are there."""
    needs = {
        device: replace(need, runtime=0) if device in running.needs else need
        for device, need in plan.needs.items()
    }
    return replace(plan, needs=needs)


def judge(plan: MemoryPlan, available: Mapping[str, int]) -> Verdict:
    """Compare a plan with the memory that is there.

    Args:
        plan: what is needed.
        available: bytes by device; a device that is not named has none. "cuda" is "cuda:0".
    """
    verdicts = []
    for device, need in plan.needs.items():
        room = available.get(device, available.get(_OTHER_NAMES.get(device, ""), 0))
        answer: Answer = "no"
        if need.total <= room:
            answer = "fits" if need.total <= room * (1 - SPARE_SHARE) else "tight"
        verdicts.append(Verdict(answer, device, need.total, room))
    order = {"no": 0, "tight": 1, "fits": 2}
    # The worst decides, and among equals the fullest.
    return min(verdicts, key=lambda v: (order[v.answer], -v.needed / max(1, v.available)))


def gigabytes(count: int) -> str:
    """Write bytes as GB: 2930288193 -> "2.9 GB"."""
    return f"{count / GB:.1f} GB"
