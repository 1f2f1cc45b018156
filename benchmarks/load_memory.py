"""Measure memory and time while a model is loaded: python -m benchmarks.load_memory --help."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.machine import machine
from benchmarks.peers_files import HEAD_SIZE, SHAPES, VOCAB_SIZE
from benchmarks.prefill_memory import PROC_STATUS, anonymous_bytes
from rwkv_core.models import load_model

ROOT = Path(__file__).parent.parent
STRATEGIES = (
    "cpu fp32",
    "cpu bf16",
    "cpu fp16",
    "cpu int8",
    "cpu int4",
    "cpu fp32 *4 -> cpu bf16 *4 -> cpu int8",
)
# What loading may take at its peak: the weights, a share for what comes and goes, and a rest
# that does not grow with the model.
SHARE, REST_BYTES = 1.15, 32 * 2**20
SAMPLE_SECONDS = 0.0005
# How often a load is timed: one that waits for the system's memory takes twice as long.
LOADS = 5


class PeakSampler:
    """Samples anonymous memory from a thread of its own; use it as a context.

    Attributes:
        before: bytes when it began.
        peak: the largest sample so far, bytes.
    """

    def __init__(self, status: Path = PROC_STATUS) -> None:
        """Take the first sample."""
        self._status = status
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.before = self.peak = anonymous_bytes(status)

    def __enter__(self) -> PeakSampler:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End, after a last sample."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._stop.wait(SAMPLE_SECONDS)
            self.peak = max(self.peak, anonymous_bytes(self._status))


def measure(model_path: Path, strategy: str) -> dict[str, object]:
    """Load one model in this process, and say what it took beyond what was there before."""
    with PeakSampler() as sampler:
        model = load_model(model_path, strategy)
    peak = sampler.peak - sampler.before
    limit = SHARE * model.weight_bytes + REST_BYTES
    return {
        "strategy": strategy,
        "weights_mib": round(model.weight_bytes / 2**20, 1),
        "peak_anonymous_mib": round(peak / 2**20, 1),
        "limit_mib": round(limit / 2**20, 1),
        "is_within_limit": peak <= limit,
    }


def clocked(model_path: Path, strategy: str) -> dict[str, object]:
    """Time one load of a file that the system holds in memory.

    The system is first asked for as much new memory as the weights will take, and gives it back:
    a virtual machine may need seconds for what it has not used before.
    """
    files = [model_path] if model_path.is_file() else sorted(model_path.iterdir())
    file_bytes = sum(len(file.read_bytes()) for file in files)
    start = time.perf_counter()
    fresh = np.ones(file_bytes, dtype=np.uint8)
    given = time.perf_counter()
    del fresh
    before = time.perf_counter()
    load_model(model_path, strategy)
    took = time.perf_counter() - before
    return {
        "new_memory_s": round(given - start, 2),
        "load_s": round(took, 2),
        "load_s_per_gb": round(took / file_bytes * 1e9, 2),
    }


def draw_models(folder: Path, shape: str) -> dict[str, Path]:
    """Write one random model of a shape, a key of SHAPES, in every format; format -> path."""
    from tests.checkpoints import random_weights, write_pth
    from tests.foreign_formats import Kind, as_fla, as_web_rwkv, write_folder, write_gguf

    weights = random_weights(
        **SHAPES[shape], head_size=HEAD_SIZE, vocab_size=VOCAB_SIZE, dtype=torch.bfloat16
    )
    save_file(as_web_rwkv(weights, generation="7"), folder / "web-rwkv.st")
    config: dict[str, object] = {"model_type": "rwkv7", "norm_eps": 1e-5, "head_dim": 64}
    return {
        "pth bf16": write_pth(folder / "official.pth", weights),
        "web-rwkv fp16": folder / "web-rwkv.st",
        "Hugging Face bf16, 3 files": write_folder(
            folder / "fla", as_fla(weights), config, shards=3
        ),
        "gguf F16": write_gguf(folder / "f16.gguf", weights, generation="7", kind=Kind.F16),
        "gguf Q8_0": write_gguf(folder / "q8.gguf", weights, generation="7", kind=Kind.Q8_0),
    }


HERE = {"memory": measure, "time": clocked}


def measure_apart(model_path: Path, strategy: str, loads: int = LOADS) -> dict[str, object]:
    """Load one model in new processes, whose memory nothing else has touched.

    Args:
        model_path: file or folder.
        strategy: of the model.
        loads: that are timed; one more is for the memory.
    """
    command = [sys.executable, "-m", "benchmarks.load_memory"]
    command += ["--model", str(model_path), "--strategy", strategy, "--here"]

    def run(what: str) -> dict[str, object]:
        done = subprocess.run([*command, what], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    return run("memory") | together([run("time") for _ in range(loads)])


def together(clocked_loads: list[dict[str, object]]) -> dict[str, object]:
    """Put several loads into one row: each figure's median, and the quickest and slowest load."""
    found: dict[str, list[float]] = {}
    for load in clocked_loads:
        for name, value in load.items():
            found.setdefault(name, []).append(float(str(value)))
    row: dict[str, object] = {name: statistics.median(values) for name, values in found.items()}
    if clocked_loads:
        row |= {"quickest_s": min(found["load_s"]), "slowest_s": max(found["load_s"])}
    return row


def measure_all(
    models: dict[str, Path], strategies: list[str], *, run: Callable[..., dict[str, object]]
) -> list[dict[str, object]]:
    """Measure every model with every strategy, and print each figure when it is there."""
    rows = []
    for name, path in models.items():
        for strategy in strategies:
            rows.append({"file": name, **run(path, strategy)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the status is 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_memory")
    parser.add_argument("--model", type=Path, help="a random one in every format if none")
    parser.add_argument("--shape", choices=SHAPES, default="0.1b", help="of the random one")
    parser.add_argument("--strategy", action="append", help="of the model; may be repeated")
    parser.add_argument("--json", type=Path, help="JSON file to write")
    parser.add_argument("--here", choices=HERE, help="in this process, one strategy")
    options = parser.parse_args(arguments)
    strategies = options.strategy or list(STRATEGIES)
    if options.here:
        print(json.dumps(HERE[options.here](options.model, strategies[0])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        models = {options.model.name: options.model} if options.model else {}
        models = models or draw_models(Path(folder), options.shape)
        rows = measure_all(models, strategies, run=measure_apart)
    if options.json:
        options.json.write_text(json.dumps({"loads": rows, "machine": machine()}, indent=1) + "\n")
    return 0 if all(row["is_within_limit"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
