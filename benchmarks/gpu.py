"""Everything that needs an NVIDIA GPU, in one go: python -m benchmarks.gpu --all --out gpu.json.

The tests marked `cuda`, then how far a GPU's logits are from the CPU's, then writing, reading and
batches of random RWKV-7 checkpoints beside what memory and matrix units can give, and beside the
package rwkv. Parts that no time is left for, and parts that fail, say so in the result.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from kernels.cuda.device import open_device
from kernels.cuda.sampling import TokenChoice, sample_tokens
from rwkv_core.models import Model, load_model
from tests.checkpoints import Ranks, random_weights

NO_GPU = "torch sees no NVIDIA GPU here, so there is nothing to measure; run this where one is"
# Seconds for all parts together; one that has begun is not stopped.
LIMIT_S = 440.0
COPY_BYTES, MATRIX_SIZE = 2 * 2**30, 8192


@dataclass(frozen=True)
class Shape:
    """Sizes of a released RWKV-7 model, and what of it is measured."""

    n_layer: int
    n_embd: int
    ranks: Ranks
    formats: tuple[str, ...]
    batches: tuple[int, ...]
    vocab_size: int = 65536
    head_size: int = 64


SHAPES = {
    "0.1b": Shape(12, 768, Ranks(64, 64, 32, 128), ("fp16", "int8", "int4"), (8, 64, 320)),
    "1.5b": Shape(24, 2048, Ranks(96, 96, 64, 256), ("fp16", "int8", "int4"), (8, 64, 320)),
    # Quantising so many numbers to int4 takes minutes of a CPU.
    "7.2b": Shape(32, 4096, Ranks(128, 128, 96, 480), ("fp16", "int8"), (8, 64, 320)),
}


def repeated_weights(shape: Shape) -> dict[str, torch.Tensor]:
    """Draw two layers of bf16 and let every later layer share the second's numbers.

    A GPU holds them apart all the same, so speed is that of a whole model, and the file is small.
    """
    drawn = random_weights(
        n_layer=2,
        n_embd=shape.n_embd,
        head_size=shape.head_size,
        vocab_size=shape.vocab_size,
        ranks=shape.ranks,
        dtype=torch.bfloat16,
    )
    last = {name: value for name, value in drawn.items() if name.startswith("blocks.1.")}
    for layer in range(2, shape.n_layer):
        for name, value in last.items():
            drawn[name.replace("blocks.1.", f"blocks.{layer}.")] = value
    return drawn


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Time work that a GPU does, by one call, after one that warms up."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def limits() -> dict[str, float]:
    """Measure what memory and matrix units give: bytes/s read and written, FLOP/s."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy = seconds_of(lambda: target.copy_(source), 10)
    found = {"copy_bytes_per_s": 2 * COPY_BYTES / copy}
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(MATRIX_SIZE, MATRIX_SIZE, device="cuda").to(dtype) for _ in range(2))
        took = seconds_of(partial(torch.matmul, a, b), 10)
        found[f"{name}_flop_per_s"] = 2 * MATRIX_SIZE**3 / took
    return found


def run_tests() -> dict[str, Any]:
    """Run the tests marked `cuda`."""
    # The other folders have none, and need packages that a machine with a GPU may lack.
    folders = ["tests/kernels", "tests/rwkv_core"]
    options = ["-m", "cuda", "-q", "--no-header", "-W", "default"]
    command = [sys.executable, "-m", "pytest", *options, *folders]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return {
        "has_passed": done.returncode == 0,
        "last_lines": lines[-1 if not done.returncode else -40 :],
    }


def matrix_bytes(model: Model) -> int:
    """Count the bytes of weights that a written token reads: all but the looked-up table."""
    network = model.network
    held = (*network.parameters(), *network.buffers())
    return sum(tensor.nbytes for tensor in held if tensor is not network.emb.weight)


def errors(path: Path, formats: Sequence[str]) -> dict[str, float]:
    """Compare logits with the CPU's in fp32 after 12 tokens, seven at once and five one by one."""
    ids = [(7 * i * i + 3) % 65536 for i in range(12)]

    def logits_of(strategy: str) -> torch.Tensor:
        model = load_model(path, strategy)
        logits, state = model.forward(ids[:7])
        for token in ids[7:]:
            logits, state = model.forward([token], state)
        return logits[0].float().cpu()

    expected = logits_of("cpu fp32")
    size = expected.norm()
    return {
        name: float((logits_of(f"cuda {name}") - expected).norm() / size)
        for name in ("fp32", "bf16", *formats)
    }


def written(
    model: Model, batch: int, ceiling: Mapping[str, float], steps: int = 32
) -> dict[str, float]:
    """Measure writing: whole calls of a model, and the plan alone."""
    state = [model.initial_state(batch)]
    ids = torch.full((batch, 1), 11)

    def step() -> None:
        _, state[0] = model.forward(ids, state[0])

    for _ in range(3):  # launched, recorded, replayed
        step()
    took = seconds_of(step, steps)
    moved = matrix_bytes(model) + 2 * state[0].nbytes
    return {
        "tokens_per_s": batch / took,
        "seconds_per_step": took,
        "share_of_memory": moved / took / ceiling["copy_bytes_per_s"],
    }


def read(model: Model, tokens: int, flop_per_s: float) -> dict[str, float]:
    """Measure reading one text at once."""
    ids = [(7 * i * i + 3) % model.config.vocab_size for i in range(tokens)]
    for _ in range(2):  # launched, recorded
        model.forward(ids)
    took = seconds_of(lambda: model.forward(ids), 3)
    n, C, F = model.config.n_layer, model.config.n_embd, model.config.n_ffn
    flop = 2 * tokens * n * (4 * C * C + 2 * C * F)
    return {
        "tokens_per_s": tokens / took,
        "share_of_matrix_rate": flop / took / flop_per_s,
    }


def measure_shape(
    path: Path, shape: Shape, found: Mapping[str, float]
) -> Iterator[tuple[str, Any]]:
    """Measure one shape, format by format."""
    for name in shape.formats:
        model = load_model(path, f"cuda {name}")
        result: dict[str, Any] = {
            "kernel": " ".join(
                map(str, (model.choices["kernel"].value, model.choices["kernel"].reason))
            ),
            "weight_bytes": matrix_bytes(model),
            "write_1": written(model, 1, found),
        }
        for batch in shape.batches if name == "fp16" else ():
            result[f"write_{batch}"] = written(model, batch, found, 12)
        for tokens in (512, 2048) if name == "fp16" else (512,):
            result[f"read_{tokens}"] = read(model, tokens, found["fp16_flop_per_s"])
        yield name, result
        del model
        torch.cuda.empty_cache()


def measure_sampling() -> dict[str, float]:
    """Time the choice of a token from 65536, for one conversation and for 320."""
    choice = TokenChoice(1.0, 0.85, 0, seed=1, position=2)
    device = open_device(torch.device("cuda"))
    found = {}
    for batch in (1, 320):
        logits = torch.randn(batch, 65536, device="cuda")
        choices = [replace(choice, seed=row) for row in range(batch)]
        found[f"seconds_{batch}"] = seconds_of(partial(sample_tokens, device, logits, choices), 10)
    return found


def measure_peer(path: Path) -> dict[str, float]:
    """Measure the package rwkv on the same file, with its CUDA kernel where nvcc can make it."""
    # Read when the package is imported.
    os.environ["RWKV_V7_ON"], os.environ["RWKV_JIT_ON"] = "1", "1"
    os.environ["RWKV_CUDA_ON"] = "1" if shutil.which("nvcc") else "0"
    from rwkv.model import RWKV

    model = RWKV(model=str(path.with_suffix("")), strategy="cuda fp16")
    state: list[Any] = [None]

    def step() -> None:
        _, state[0] = model.forward([11], state[0])

    ids = [(7 * i * i + 3) % 65536 for i in range(512)]
    one = seconds_of(step, 32)
    many = seconds_of(lambda: model.forward(list(ids), None), 3)
    return {
        "has_cuda_kernel": float(os.environ["RWKV_CUDA_ON"] == "1"),
        "write_1_tokens_per_s": 1 / one,
        "read_512_tokens_per_s": 512 / many,
    }


def in_time(parts: Mapping[str, Callable[[], Any]], limit_s: float) -> dict[str, Any]:
    """Run parts until time is up; what failed or was left out says so in its place."""
    start, results = time.monotonic(), dict[str, Any]()
    for name, part in parts.items():
        spent = time.monotonic() - start
        if spent > limit_s:
            results[name] = f"left out: {spent:.0f} s were spent, the limit is {limit_s:.0f}"
            continue
        try:
            results[name] = part()
        except Exception:
            results[name] = "failed: " + traceback.format_exc(limit=-3)[-1500:]
        print(f"{time.monotonic() - start:6.1f} s  {name}: {_shortened(results[name])}", flush=True)
    return results


def _shortened(result: object) -> str:
    return re.sub(r"\s+", " ", json.dumps(result, default=str))[:300]


def run_all(
    folder: Path, shapes: Sequence[str], *, with_tests: bool, limit_s: float
) -> dict[str, Any]:
    """Measure everything, the most telling parts first."""
    found = limits()
    parts: dict[str, Callable[[], Any]] = {"limits": lambda: found}
    if with_tests:
        parts["tests"] = run_tests
    for name in shapes:
        path, shape = folder / f"{name}.pth", SHAPES[name]

        def write(path: Path = path, shape: Shape = shape) -> int:
            torch.save(repeated_weights(shape), path)
            return path.stat().st_size

        def measure(path: Path = path, shape: Shape = shape) -> dict[str, Any]:
            return dict(measure_shape(path, shape, found))

        parts[f"{name} file"] = write
        parts[name] = measure
        if name == shapes[0]:
            parts["relative errors of logits"] = partial(errors, path, shape.formats)
    parts["sampling"] = measure_sampling
    for name in reversed(shapes):
        parts[f"{name} package rwkv"] = partial(measure_peer, folder / f"{name}.pth")
    return in_time(parts, limit_s)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="the tests too, and every shape")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["0.1b"])
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit(NO_GPU)
    shapes = list(SHAPES) if options.all else options.shape
    with tempfile.TemporaryDirectory() as folder:
        results = run_all(Path(folder), shapes, with_tests=options.all, limit_s=options.limit)
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    where = machine() | {
        "gpu": device.name,
        "compute_capability": f"{device.major}.{device.minor}",
        "cuda": torch.version.cuda,
    }
    options.out.write_text(json.dumps({"machine": where, "results": results}, indent=1) + "\n")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
