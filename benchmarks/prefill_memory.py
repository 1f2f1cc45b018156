"""Measure memory while a very long text is read: python -m benchmarks.prefill_memory --help."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import presets
from benchmarks.machine import machine
from presets.texts import public_text
from rwkv_core.models import load_model
from rwkv_core.tokenizer import load_tokenizer

PROC_STATUS = Path("/proc/self/status")
# What a process allocates once, on its way; figures are of the rest.
WARM_UP_SHARE = 0.05


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


def main(arguments: list[str] | None = None) -> None:
    """Read the text over and over, print the figures, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefill_memory")
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--strategy", help="of the model; chosen for this machine")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=20_000, help="tokens between two samples")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    model = load_model(options.model, options.strategy)
    tokenizer, _ = load_tokenizer(options.model, model.config.vocab_size)
    text = tokenizer.encode(public_text())
    ids = (text * (options.tokens // len(text) + 1))[: options.tokens]
    sampler = MemorySampler(options.every)
    start = time.perf_counter()
    model.prefill(ids, on_progress=sampler.on_progress)
    seconds = time.perf_counter() - start
    results = {
        "tokens": len(ids),
        "tokens_per_s": round(len(ids) / seconds),
        **flatness(sampler.samples),
        "choices": {name: choice.value for name, choice in model.choices.items()},
        "samples": sampler.samples,
        "machine": machine(),
    }
    print(json.dumps({key: value for key, value in results.items() if key != "samples"}, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
