"""Run a finished plan on token ids and states."""

from __future__ import annotations

import ctypes
import math
import threading
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kernels.build import default_cache
from kernels.packed import packed_library, thread_pool
from kernels.pages import take_pages
from kernels.plan import Plan
from kernels.plan_memory import LANES
from kernels.plan_parts import NONZERO, PRODUCT, Phase, Slot, Step
from kernels.recycled import Layout, Recycled

# Tokens of a run: products gain nothing from more, and values would leave the cache.
MAX_ROWS = 256
# Values of all tokens of a run, unless one token of each conversation needs more.
ARENA_BYTES = 32 * 2**20

StateParts = tuple[Tensor, ...]


class _PlanStruct(ctypes.Structure):
    _fields_ = [
        ("slots", ctypes.c_void_p),
        ("steps", ctypes.c_void_p),
        ("phases", ctypes.c_void_p),
        ("n_phases", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("head_size", ctypes.c_int64),
        ("wkv_size", ctypes.c_int64),
    ]


class _RunStruct(ctypes.Structure):
    _fields_ = [
        ("B", ctypes.c_int64),
        ("T", ctypes.c_int64),
        ("logits_kind", ctypes.c_int64),
        ("ids", ctypes.c_void_p),
        ("shift_before", ctypes.c_void_p * 2),
        ("wkv_before", ctypes.c_void_p),
        ("shift_after", ctypes.c_void_p * 2),
        ("wkv_after", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("is_finite", ctypes.c_int64),
    ]


class Outcome(NamedTuple):
    """What a run made.

    Attributes:
        logits: (B, T, V) or (B, V).
        state: after the tokens, in new tensors.
        is_finite: whether no logit is NaN or infinite.
    """

    logits: Tensor
    state: StateParts
    is_finite: bool


class Program:
    """A plan with the memory it works in. Calls from several threads take turns."""

    def __init__(self, plan: Plan, *, threads: int) -> None:
        """Lay out the plan's values.

        Args:
            plan: finished.
            threads: that work on a run.

        Raises:
            BuildError: the library cannot be compiled here.
        """
        self._library, _ = packed_library(default_cache())
        plan = plan.for_threads()
        slots, self._row_floats = plan.slots(self._library.room)
        # All values of a token lie side by side, so that threads with tokens of their own share no
        # lines; an odd number of those, for equal values of neighbouring tokens to lie apart.
        self._row_floats += LANES * (self._row_floats // LANES % 2 == 0)
        for slot in slots:
            if slot.offset >= 0:
                slot.ld = self._row_floats
        self._logits_size, self._kept = plan.logits_size, plan.kept
        self._pool = thread_pool(threads)
        # Held here, since the struct has only their addresses.
        self._arrays = (
            (Slot * len(slots))(*slots),
            (Step * len(plan.steps))(*plan.steps),
            (Phase * len(plan.phases))(*plan.phases),
        )
        addresses = [ctypes.addressof(array) for array in self._arrays]
        self._plan = _PlanStruct(*addresses, len(plan.phases), plan.channels, plan.head_size)
        self._arena = torch.empty(0, dtype=torch.float32)
        self._recycled = Recycled()
        self._layout_of_one: Layout | None = None
        self._lock = threading.Lock()

    def read_all_weights(self) -> None:
        """Forget which inputs of products are zero; the results stay the same."""
        for step in self._arrays[1]:
            if step.kind == PRODUCT:
                step.inputs[NONZERO] = -1

    def run(self, ids: Tensor, state: StateParts, *, all_logits: bool) -> Outcome:
        """Read tokens after a state.

        Args:
            ids: (B, T) int64, each inside the vocabulary.
            state: time_mix_shift (L, B, C), wkv (L, B, ...), channel_mix_shift (L, B, C), all
                float32 on the CPU; not changed.
            all_logits: for every token instead of the last.
        """
        B, T = ids.shape
        limit = min(MAX_ROWS, ARENA_BYTES // (4 * self._row_floats))
        pieces = -(-T // max(1, limit // B))
        # Evenly, since a short one takes longer for each token.
        piece = -(-T // pieces)
        state = tuple(part.contiguous() for part in state)
        layout = Layout.of(*(part.shape for part in state))
        with self._lock:
            logits, is_finite = [], True
            for start in range(0, T, piece):
                part = ids[:, start : start + piece].contiguous()
                kind = 1 + all_logits if all_logits or start + piece >= T else 0
                size = B, part.shape[1]
                made, state, is_right = self._run(part.data_ptr(), size, state, layout, kind)
                is_finite = is_finite and is_right
                if kind:
                    logits.append(made)
        return Outcome(logits[0] if len(logits) == 1 else torch.cat(logits, 1), state, is_finite)

    def step(self, token: int, state: StateParts) -> Outcome:
        """Read one token after a state that this program made, of one conversation.

        As run, but without what a token's time can be spared: after its weights have gone through
        the cache, each of torch's calls takes some microseconds.
        """
        with self._lock:
            layout = self._layout_of_one
            if not layout:
                layout = self._layout_of_one = Layout.of(*(part.shape for part in state))
            ids = ctypes.c_int64(token)
            return self._run(ctypes.addressof(ids), (1, 1), state, layout, 1)

    def _run(
        self,
        ids: int,
        size: tuple[int, int],
        state: StateParts,
        layout: Layout,
        logits_kind: int,
    ) -> Outcome:
        """Run a piece.

        Args:
            ids: where they are.
            size: (B, T).
            state: contiguous.
            layout: of it, and of the next.
            logits_kind: none, the last ones or all, as Logits in plan.cpp.
        """
        B, T = size
        floats = self._row_floats * B * T
        if self._arena.numel() < floats:
            self._arena = torch.frombuffer(take_pages(4 * floats), dtype=torch.float32)
        V = self._logits_size
        wanted = ((0,), (B, V), (B, T, V))[logits_kind]
        logits = torch.from_numpy(np.empty(wanted, np.float32))
        after = self._recycled.empty(layout)
        self._plan.wkv_size = math.prod(layout.parts[1][0][2:])
        pointer = Tensor.data_ptr
        run = _RunStruct(
            B, T, logits_kind, ids,
            (pointer(state[0]), pointer(state[2])), pointer(state[1]),
            (pointer(after[0]), pointer(after[2])), pointer(after[1]),
            pointer(logits), pointer(self._arena),
        )  # fmt: skip
        self._library.run(self._pool, ctypes.byref(self._plan), ctypes.byref(run))
        return Outcome(logits, after, bool(run.is_finite))
