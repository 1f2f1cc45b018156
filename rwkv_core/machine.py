"""What this machine has, as far as models care, each fact with how it was found."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from kernels.sentences import Sentence
from rwkv_core.config import Choice

# Instructions that decide the speed of matrices, as Linux names them.
_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "neon", "bf16")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """This machine.

    Attributes:
        cpu: its name, and how it was found.
        cores: that this process may use.
        instructions: those that matter for speed.
        gpu: the graphics cards, or why there is none.
        memory_bytes: RAM that this process may use; 0 where it could not be read.
        free_bytes: of them, free now; 0 where it could not be read.
        gpus: memory of each card, by device, and how much of it is free.
    """

    cpu: Choice
    cores: Choice
    instructions: Choice
    gpu: Choice
    memory_bytes: int
    free_bytes: int
    gpus: tuple[tuple[str, int, int], ...] = ()

    @property
    def available(self) -> dict[str, int]:
        """Free bytes by device."""
        return {"cpu": self.free_bytes} | {name: free for name, _, free in self.gpus}


def look_at_machine(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> Machine:
    """Find out what this machine has.

    Args:
        proc: Linux's files about processors and memory.
        cgroup: its files about this container's share.
    """
    fields = _fields(proc / "cpuinfo")
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    found = [flag for flag in _INSTRUCTIONS if flag in flags]
    all_cores = os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else all_cores
    total, free = _memory(proc, cgroup)
    gpu, gpus = _gpus()
    return Machine(
        Choice(name, f"{platform.system()} {platform.machine()}"),
        Choice(
            str(cores),
            Sentence(
                "of {cores}; threads of torch: {threads}",
                cores=all_cores,
                threads=torch.get_num_threads(),
            ),
        ),
        Choice(
            ", ".join(found) or "none known",
            "used by the C++ operators" if found else "this system does not list them",
        ),
        gpu,
        total,
        free,
        gpus,
    )


def _fields(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _memory(proc: Path, cgroup: Path) -> tuple[int, int]:
    """Bytes of RAM and those free, within the container's limit."""
    fields = _fields(proc / "meminfo")
    total, free = (
        int((fields.get(key) or "0").split()[0]) * 1024 for key in ("MemTotal", "MemAvailable")
    )
    if not total and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int((cgroup / "memory.max").read_text(encoding="utf-8"))
        used = int((cgroup / "memory.current").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return total, free
    if 0 < limit < total:
        return limit, min(free, max(0, limit - used + _droppable(cgroup)))
    return total, free


def _droppable(cgroup: Path) -> int:
    """Bytes of files that were read: they count as used, and go when room is needed."""
    try:
        stat = (cgroup / "memory.stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    return int(found.get("inactive_file", 0))


def _gpus() -> tuple[Choice, tuple[tuple[str, int, int], ...]]:
    if torch.backends.mps.is_available():
        return Choice("Apple GPU (mps)", "it shares the computer's memory"), ()
    if not torch.cuda.is_available():
        if torch.version.cuda is None and torch.version.hip is None:
            reason = "this PyTorch is the build for the CPU alone"
        else:
            reason = "PyTorch found no card and driver it can use"
        return Choice("none", reason), ()
    names, found = [], []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        names.append(torch.cuda.get_device_name(index))
        found.append((f"cuda:{index}", total, free))
    return Choice(", ".join(names), f"CUDA {torch.version.cuda or torch.version.hip}"), tuple(found)
