"""Measure memory while a very long text is read: python -m benchmarks.prefill_memory --help."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import presets
from benchmarks.machine import machine
from presets.texts import public_text
from rwkv_core.models import Model, load_model
from rwkv_core.tokenizer import load_tokenizer
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, random_tokens

PROC_STATUS = Path("/proc/self/status")
# What a process allocates once, on its way; figures are of the rest.
WARM_UP_SHARE = 0.05
# A million tokens take minutes; the head size of released models, so that C++ runs it.
TINY = {"n_layer": 2, "n_embd": 64, "head_size": 64, "vocab_size": 256}


def anonymous_bytes(status: Path = PROC_STATUS) -> int:
    """Read how much memory of this process is its own, without mapped files; Linux only."""
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{status} has no RssAnon line; this needs Linux 4.5 or newer")


@dataclass
class MemorySampler:
    """Samples memory every so many tokens; give `on_progress` to Model.prefill.

    Attributes:
        every_tokens: between two samples.
        status: file to read.
        samples: (tokens read, bytes).
    """

    every_tokens: int
    status: Path = PROC_STATUS
    samples: list[tuple[int, int]] = field(default_factory=list)

    def on_progress(self, tokens_read: int) -> None:
        """Take a sample when it is time."""
        if tokens_read >= self.every_tokens * (len(self.samples) + 1):
            self.samples.append((tokens_read, anonymous_bytes(self.status)))


def flatness(samples: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Sum up samples after the first 5 %.

    Returns:
        min_mib, max_mib, median_mib, and flatness_percent: how far the sample furthest from
        the median lies from it.
    """
    warm = samples[-1][0] * WARM_UP_SHARE
    sizes = [nbytes for tokens, nbytes in samples if tokens > warm]
    median = statistics.median(sizes)
    off = max(max(sizes) - median, median - min(sizes))
    return {
        "min_mib": round(min(sizes) / 2**20, 2),
        "max_mib": round(max(sizes) / 2**20, 2),
        "median_mib": round(median / 2**20, 2),
        "flatness_percent": round(100 * off / median, 2),
    }


def measure(model: Model, ids: list[int], every: int) -> dict[str, Any]:
    """Read a text and watch memory.

    Args:
        model: to read with.
        ids: of the text.
        every: tokens between two samples.
    """
    sampler = MemorySampler(every)
    start = time.perf_counter()
    model.prefill(ids, on_progress=sampler.on_progress)
    return {
        "tokens": len(ids),
        "seconds": time.perf_counter() - start,
        **flatness(sampler.samples),
        "choices": {name: choice.value for name, choice in model.choices.items()},
        "samples": sampler.samples,
    }


def measure_model(path: Path, strategy: str | None, tokens: int, every: int) -> dict[str, Any]:
    """Let a model read the public text over and over, so many tokens."""
    model = load_model(path, strategy)
    tokenizer, _ = load_tokenizer(path, model.config.vocab_size)
    text = tokenizer.encode(public_text())
    results = measure(model, (text * (tokens // len(text) + 1))[:tokens], every)
    return {"tokens_per_s": round(tokens / results.pop("seconds")), **results}


def measure_generations(tokens: int, every: int) -> dict[str, Any]:
    """Let a tiny random model of every generation read so many random tokens."""
    results: dict[str, Any] = {"shape": TINY, "generations": {}}
    ids = random_tokens(1, tokens, vocab_size=TINY["vocab_size"])[0].tolist()
    with tempfile.TemporaryDirectory() as folder:
        for generation, draw in RANDOM_WEIGHTS.items():
            path = write_pth(Path(folder) / f"rwkv{generation}.pth", draw(**TINY))
            figures = measure(load_model(path, "cpu fp32"), ids, every)
            # Models this small say nothing about speed.
            del figures["seconds"]
            results["generations"][generation] = figures
            print(generation, f"{figures['flatness_percent']} %", file=sys.stderr)
    return results


def table(results: dict[str, Any]) -> str:
    """Write what measure_generations found as a Markdown table."""
    rows = ["| RWKV | memory, MiB | flat to |", "| --- | --- | --- |"]
    for generation, found in results["generations"].items():
        rows.append(
            f"| {generation} | {found['min_mib']:.1f} to {found['max_mib']:.1f} "
            f"| {found['flatness_percent']:.2f} % |"
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> None:
    """Read the text over and over, print the figures, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefill_memory")
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--strategy", help="of the model; chosen for this machine")
    parser.add_argument(
        "--generations",
        action="store_true",
        help="a tiny random model of every generation instead",
    )
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=20_000, help="tokens between two samples")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    if options.generations:
        results = measure_generations(options.tokens, options.every)
    else:
        results = measure_model(options.model, options.strategy, options.tokens, options.every)
    results["machine"] = machine()
    print(json.dumps(_without_samples(results), indent=1))
    if options.out:
        options.out.write_text(json.dumps(results) + "\n")


def _without_samples(results: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_samples(value) if isinstance(value, dict) else value
        for key, value in results.items()
        if key != "samples"
    }


if __name__ == "__main__":
    main()
