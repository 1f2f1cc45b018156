"""Compare our speed with memory's and with the package rwkv: python -m benchmarks.decode --help.

All run in one process on one random checkpoint, in turn, so that a busy or a hot machine slows
all of them. Figures are medians, and ratios medians of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from kernels import WeightMemory, read_memory
from rwkv_core.models import Model, load_model
from rwkv_core.state import State
from tests.checkpoints import Ranks, random_weights, write_pth

DTYPES = ("fp32", "bf16")  # that the package rwkv runs too
PRECISIONS = (*DTYPES, "int8", "int4")
# Far more than any cache holds.
MEMORY_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Shape:
    """Sizes of a random checkpoint; those of the released 0.1B by default."""

    n_layer: int = 12
    n_embd: int = 768
    vocab_size: int = 65536
    head_size: int = 64


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        decode_tokens: read one by one.
        prefill_tokens: read at once.
        rounds: how often all take their turn, after one that warms up.
        batches: conversations that decode together.
    """

    decode_tokens: int = 16
    prefill_tokens: int = 512
    rounds: int = 7
    batches: tuple[int, ...] = (2, 8, 32)


def in_turn(
    ways: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time several ways of doing the same work in turn: A, B, A, B.

    Args:
        ways: the work, by name.
        rounds: calls of each, after one untimed call of each.
        clock: seconds.

    Returns:
        Seconds of each call, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            start = clock()
            work()
            took = clock() - start
            if number:
                seconds[name].append(took)
    return seconds


def summed_up(seconds: Mapping[str, list[float]], tokens: int) -> dict[str, Any]:
    """Turn times into tokens per second of each, and ratios of the first to each other one."""
    first, *others = seconds
    result: dict[str, Any] = {
        f"{name}_tokens_per_s": round(tokens / statistics.median(times), 2)
        for name, times in seconds.items()
    }
    for name in others:
        pairs = zip(seconds[first], seconds[name], strict=True)
        ratios = [other / own for own, other in pairs]
        result[f"times_{name}"] = round(statistics.median(ratios), 3)
        result[f"times_{name}_each"] = [round(ratio, 3) for ratio in ratios]
    return result


def load_peer(path: Path, dtype: str) -> Any:
    """Load a checkpoint with the package rwkv, its TorchScript on as by default."""
    # Read when the package is imported.
    os.environ["RWKV_V7_ON"] = "1"
    from rwkv.model import RWKV

    # The package appends .pth by itself.
    return RWKV(model=str(path.with_suffix("")), strategy=f"cpu {dtype}")


def compare(model: Model, others: Mapping[str, Any], work: Work) -> dict[str, Any]:
    """Compare decode, prefill and batches; and how far the logits lie apart, to be fair.

    Args:
        model: packed.
        others: models with the same weights, by name; of the package rwkv one dtype at a time,
            since it keeps the dtype in a global.
        work: what to time.
    """
    draw = torch.Generator().manual_seed(0)
    size = (max(work.decode_tokens, work.prefill_tokens),)
    ids = torch.randint(1, model.config.vocab_size, size, generator=draw).tolist()
    text = ids[: work.prefill_tokens]
    models = {"ours": model, **others}

    def decode(forward: Callable[..., Any]) -> None:
        state = None
        for token in ids[: work.decode_tokens]:
            _, state = forward([token], state)

    logits = {name: one.forward(text, None)[0].float().flatten() for name, one in models.items()}
    ways = {name: partial(decode, one.forward) for name, one in models.items()}
    memory, area = memory_read()
    timed = in_turn({**ways, "memory": memory}, rounds=work.rounds)
    reading = {name: partial(read, one, text) for name, one in models.items()}
    probe = timed.pop("memory")
    return {
        "logits_apart": {
            name: float((logits["ours"] - logits[name]).norm() / logits[name].norm())
            for name in others
        },
        "decode": summed_up(timed, work.decode_tokens)
        | bandwidth(model, timed["ours"], probe, area, work.decode_tokens),
        "prefill": summed_up(in_turn(reading, rounds=work.rounds), len(text)),
        "batch": {
            str(size): summed_up(in_turn(batched(models, ids, size), rounds=work.rounds), size)
            for size in work.batches
        },
    }


def read(model: Any, text: list[int]) -> None:
    """Read a text, in the way that is meant for it."""
    if isinstance(model, Model):
        model.prefill(text)
    else:
        model.forward(text, None)


def batched(
    models: Mapping[str, Any], ids: list[int], size: int
) -> dict[str, Callable[[], object]]:
    """Make each of our models decode one token of many conversations."""
    ways: dict[str, Callable[[], object]] = {}
    for name, model in models.items():
        if isinstance(model, Model):
            _, state = model.forward(ids[:2])
            many = State.stack([state] * size)
            ways[name] = partial(model.forward, torch.tensor(ids[:1] * size)[:, None], many)
    return ways


def memory_read() -> tuple[Callable[[], None], int]:
    """Make the reading of memory that decoding is compared with, and say how many bytes."""
    area = WeightMemory().take(MEMORY_BYTES)
    area.fill_(1)
    return partial(read_memory, area, threads=torch.get_num_threads()), MEMORY_BYTES


def bandwidth(
    model: Model, ours: list[float], probe: list[float], probe_bytes: int, tokens: int
) -> dict[str, Any]:
    """Compare the bytes of weights that decoding reads with a plain read just after it.

    Random weights have zeros in half of the channel mix's hidden values, and their rows of
    ffn.value are not read.
    """
    matrices = {n: b.nbytes for n, b in model.network.named_buffers() if n.endswith("data")}
    skipped = sum(size for name, size in matrices.items() if ".ffn.value." in name) // 2
    bytes_read = sum(matrices.values()) - skipped
    shares = [
        (bytes_read * tokens / own) / (probe_bytes / other)
        for own, other in zip(ours, probe, strict=True)
    ]
    return {
        "weight_bytes": sum(matrices.values()),
        "bytes_read_per_token": bytes_read,
        "memory_gb_per_s": round(probe_bytes / statistics.median(probe) / 1e9, 2),
        "share_of_memory": round(statistics.median(shares), 3),
        "share_of_memory_each": [round(share, 3) for share in shares],
    }


def run(shape: Shape, work: Work, precisions: Sequence[str]) -> dict[str, Any]:
    """Write one random checkpoint and compare on it, one precision after the other."""
    ranks = Ranks(w=64, a=64, v=32, g=128)
    results: dict[str, Any] = {"shape": asdict(shape), "work": asdict(work)}
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(**asdict(shape), ranks=ranks, dtype=torch.bfloat16)
        path = write_pth(Path(folder) / "random.pth", weights)
        del weights
        for precision in precisions:
            strategy = f"cpu {precision}"
            model = load_model(path, strategy)
            others: dict[str, Any] = {"torch": load_model(path, strategy, kernel="torch")}
            if precision in DTYPES:
                others["rwkv"] = load_peer(path, precision)
            results[precision] = compare(model, others, work)
            results["kernel"] = model.choices["kernel"].reason
    return results


def main(arguments: list[str] | None = None) -> None:
    """Compare, print the figures, and write them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decode",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("--layers", type=int, default=Shape.n_layer)
    parser.add_argument("--embd", type=int, default=Shape.n_embd)
    parser.add_argument("--vocab", type=int, default=Shape.vocab_size)
    parser.add_argument("--decode-tokens", type=int, default=Work.decode_tokens)
    parser.add_argument("--prefill-tokens", type=int, default=Work.prefill_tokens)
    parser.add_argument("--rounds", type=int, default=Work.rounds)
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--batch", nargs="*", type=int, default=Work.batches)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    shape = Shape(options.layers, options.embd, options.vocab)
    work = Work(options.decode_tokens, options.prefill_tokens, options.rounds, tuple(options.batch))
    results = run(shape, work, options.precision) | {"machine": machine()}
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
