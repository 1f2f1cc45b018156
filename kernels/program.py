"""Run a finished plan on token ids and states."""

from __future__ import annotations

import ctypes
import threading

import torch
from torch import Tensor

from kernels.build import default_cache
from kernels.packed import packed_library, thread_pool
from kernels.plan import NONZERO, PRODUCT, Plan
from kernels.plan_parts import Phase, Slot, Step
from kernels.recycled import Recycled

# Tokens of a run: products gain nothing from more, and values would leave the cache.
MAX_ROWS = 256
# Values of all tokens of a run, unless one token of each conversation needs more.
ARENA_BYTES = 16 * 2**20

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
    ]


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
        slots, self._row_floats = plan.slots()
        self._logits_size, self._kept = plan.logits_size, plan.kept
        self._library, _ = packed_library(default_cache())
        self._pool = thread_pool(threads)
        # Held here, since the struct has only their addresses.
        self._arrays = (
            (Slot * len(slots))(*slots),
            (Step * len(plan.steps))(*plan.steps),
            (Phase * len(plan.phases))(*plan.phases),
        )
        addresses = [ctypes.addressof(array) for array in self._arrays]
        self._plan = _PlanStruct(*addresses, len(plan.phases), plan.channels, plan.head_size)
        self._arena = torch.empty(0)
        self._recycled = Recycled()
        self._lock = threading.Lock()

    def read_all_weights(self) -> None:
        """Forget which inputs of products are zero; the results stay the same."""
        for step in self._arrays[1]:
            if step.kind == PRODUCT:
                step.inputs[NONZERO] = -1

    def run(self, ids: Tensor, state: StateParts, *, all_logits: bool) -> tuple[Tensor, StateParts]:
        """Read tokens after a state.

        Args:
            ids: (B, T) int64, each inside the vocabulary.
            state: time_mix_shift (L, B, C), wkv (L, B, ...), channel_mix_shift (L, B, C), all
                float32 on the CPU; not changed.
            all_logits: for every token instead of the last.

        Returns:
            Logits (B, T, V) or (B, V), and the state after the tokens, in new tensors.
        """
        B, T = ids.shape
        limit = min(MAX_ROWS, ARENA_BYTES // (4 * self._row_floats))
        piece = max(1, limit // B)
        state = tuple(part.contiguous() for part in state)
        logits = []
        with self._lock:
            for start in range(0, T, piece):
                part = ids[:, start : start + piece].contiguous()
                is_wanted = all_logits or start + piece >= T
                made, state = self._run(part, state, is_wanted, all_logits)
                if made is not None:
                    logits.append(made)
        return logits[0] if len(logits) == 1 else torch.cat(logits, 1), state

    def _run(
        self, ids: Tensor, state: StateParts, is_wanted: bool, all_logits: bool
    ) -> tuple[Tensor | None, StateParts]:
        B, T = ids.shape
        floats = self._row_floats * B * T
        if self._arena.numel() < floats:
            self._arena = torch.zeros(floats)
        logits = None
        if is_wanted:
            shape = (B, T, self._logits_size) if all_logits else (B, self._logits_size)
            (logits,) = self._recycled.empty(shape)
        after = self._recycled.empty(*(tuple(part.shape) for part in state))
        self._plan.wkv_size = state[1][0, 0].numel()
        run = _RunStruct(
            B=B,
            T=T,
            logits_kind=0 if logits is None else 1 + all_logits,
            ids=ids.data_ptr(),
            wkv_before=state[1].data_ptr(),
            wkv_after=after[1].data_ptr(),
            logits=None if logits is None else logits.data_ptr(),
            arena=self._arena.data_ptr(),
        )
        run.shift_before[:] = [state[0].data_ptr(), state[2].data_ptr()]
        run.shift_after[:] = [after[0].data_ptr(), after[2].data_ptr()]
        self._library.run(self._pool, ctypes.byref(self._plan), ctypes.byref(run))
        return logits, after
