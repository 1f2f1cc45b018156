"""Say where a figure was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "numpy", "rwkv")
# What decides the speed of matrices and kernels.
FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "neon", "bf16")


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, object]:
    """Describe this machine, the libraries and the commit; no names of hosts or users.

    Args:
        cpuinfo: Linux's list of processors; where it is missing, the platform's word is taken.
    """
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "features": [feature for feature in FEATURES if feature in flags],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cores_of_machine": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _commit() -> str:
    """Name the commit, with a plus where Python files differ from it; "unknown" without git."""
    root = Path(__file__).parent.parent
    try:
        answers = [
            subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True
            ).stdout
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "*.py"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answers[0].strip() + ("+" if answers[1].strip() else "")
