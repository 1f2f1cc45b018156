"""How fast products of many tokens are: python -m benchmarks.products --help.

Multiplications a second of packed matrices with 256 tokens, beside what the same threads multiply in
registers, where nothing is read or written. In turn, so that both meet the same clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.peers_protocol import PROCESSORS
from benchmarks.speed import compile_for
from kernels.build import default_cache
from kernels.packed import (
    EXACT,
    TYPES,
    PackedFormat,
    PackedMatrix,
    multiply_registers,
    packed_library,
)

FORMATS: tuple[PackedFormat, ...] = ("fp32", "fp16", "bf12", "bf12_rounded", "int8", "int4")
HEADER = ("format", "inputs", "products, 10^9/s", "in registers", "share")


def rate(count: int, run: Callable[[], object]) -> float:
    """Time a run of so many multiplications; 10^9 a second."""
    start = time.perf_counter()
    run()
    return count / (time.perf_counter() - start) / 1e9


def measure(
    format: PackedFormat, rows: int, columns: int, tokens: int, *, threads: int, rounds: int
) -> dict[str, Any]:
    """Compare one format's products with its registers, a median of rounds each.

    The rounding of inputs counts as a part of the product.
    """
    weight = torch.randn(rows, columns)
    matrix = PackedMatrix(rows, columns, format, threads=threads)
    types = [dtype for dtype, name in TYPES.items() if format in EXACT[name]]
    matrix.write(0, weight.to(types[0]) if types else weight)
    x = torch.randn(tokens, columns)
    in_registers = multiply_registers(format, threads=threads)
    made, ceiling = [], []
    for _ in range(rounds):
        made.append(rate(rows * columns * tokens, partial(matrix.multiply, x)))
        ceiling.append(rate(in_registers, partial(multiply_registers, format, threads=threads)))
    products, registers = statistics.median(made), statistics.median(ceiling)
    return {
        "format": format,
        "inputs": matrix.inputs,
        "products": round(products, 1),
        "registers": round(registers, 1),
        "share": round(products / registers, 3),
    }


def report(found: Sequence[dict[str, Any]]) -> str:
    """Make a table."""
    rows = [HEADER, ("---",) * len(HEADER)]
    for row in found:
        numbers = f"{row['products']:.0f}", f"{row['registers']:.0f}", f"{row['share']:.2f}"
        rows.append((row["format"], row["inputs"], *numbers))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the module's docstring says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor", choices=PROCESSORS, default="native", help="that they are compiled for"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    compile_for(asked.processor)
    torch.manual_seed(0)
    sizes = asked.rows, asked.columns, asked.tokens
    found = [
        measure(format, *sizes, threads=asked.threads, rounds=asked.rounds) for format in FORMATS
    ]
    print(report(found))
    if asked.json:
        work = {name: getattr(asked, name) for name in ("rows", "columns", "tokens", "threads")}
        vectors = packed_library(default_cache())[0].vectors
        written = {**work, "rounds": asked.rounds, "vectors": vectors, "formats": found}
        asked.json.write_text(json.dumps({**written, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
