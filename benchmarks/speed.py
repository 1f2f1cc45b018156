"""Compare our speed with torch's, memory's and the package rwkv's, for one task at a time.

The commands are python -m benchmarks.decode, .prefill and .batch. All ways run in one process on
one checkpoint, in turn, so that a busy or a hot machine slows all of them. Figures are medians,
and ratios medians of the ratios of neighbours.
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
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.machine import machine
from benchmarks.peers_files import SHAPES, draw_model
from benchmarks.peers_protocol import PROCESSORS
from kernels import build
from kernels.packed import PackedMatrix, WeightMemory, read_memory
from rwkv_core.models import Model, load_model
from rwkv_core.models.packed import Packed
from rwkv_core.state import State

DTYPES = ("fp32", "bf16")  # that the package rwkv runs too
PRECISIONS = (*DTYPES, "int8", "int4")
Task = Literal["decode", "prefill", "batch"]
TASKS: tuple[Task, ...] = ("decode", "prefill", "batch")
# Far more than any cache holds.
MEMORY_BYTES = 512 * 2**20


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


def compare(
    model: Model, others: Mapping[str, Any], work: Work, tasks: Sequence[Task]
) -> dict[str, Any]:
    """Compare some tasks, and how far the logits lie apart, to be fair.

    Args:
        model: packed.
        others: models with the same weights, by name; of the package rwkv one dtype at a time,
            since it keeps the dtype in a global.
        work: what to time.
        tasks: which of it.
    """
    draw = torch.Generator().manual_seed(0)
    size = (max(work.decode_tokens, work.prefill_tokens),)
    ids = torch.randint(1, model.config.vocab_size, size, generator=draw).tolist()
    models = {"ours": model, **others}
    text = ids[: work.prefill_tokens]
    logits = {name: one.forward(text, None)[0].float().flatten() for name, one in models.items()}
    found: dict[str, Any] = {
        "logits_apart": {
            name: float((logits["ours"] - logits[name]).norm() / logits[name].norm())
            for name in others
        }
    }
    if "decode" in tasks:
        found["decode"] = decoding(models, ids[: work.decode_tokens], work.rounds)
    if "prefill" in tasks:
        reading = {name: partial(read, one, text) for name, one in models.items()}
        found["prefill"] = summed_up(in_turn(reading, rounds=work.rounds), len(text))
    if "batch" in tasks:
        timed = {size: batched(models, ids, size) for size in work.batches}
        # Ours of all sizes follow each other, since one is compared with the others.
        turns = {
            f"{name} {size}": timed[size][name] for name in timed[work.batches[0]] for size in timed
        }
        found["batch"] = by_size(in_turn(turns, rounds=work.rounds), work.batches)
    return found


def by_size(seconds: Mapping[str, list[float]], sizes: Sequence[int]) -> dict[str, Any]:
    """Sum up batches, and say how many times the first size's tokens per second each one makes.

    Args:
        seconds: of each round, by "name size"; ours first.
        sizes: conversations that decode together.
    """
    found: dict[str, Any] = {}
    for size in sizes:
        names = [name for name in seconds if name.endswith(f" {size}")]
        row = summed_up({name.rpartition(" ")[0]: seconds[name] for name in names}, size)
        pairs = zip(seconds[f"ours {sizes[0]}"], seconds[f"ours {size}"], strict=True)
        gains = [size / sizes[0] * first / own for first, own in pairs]
        row[f"times_batch_of_{sizes[0]}"] = round(statistics.median(gains), 3)
        row[f"times_batch_of_{sizes[0]}_each"] = [round(gain, 3) for gain in gains]
        found[str(size)] = row
    return found


def decoding(models: Mapping[str, Any], ids: list[int], rounds: int) -> dict[str, Any]:
    """Compare the reading of tokens one by one, and with a plain read of memory."""

    def decode(forward: Callable[..., Any]) -> None:
        state = None
        for token in ids:
            _, state = forward([token], state)

    ways: dict[str, Callable[[], object]] = {
        name: partial(decode, one.forward) for name, one in models.items()
    }
    memory, area = memory_read()
    timed = in_turn({**ways, "memory": memory}, rounds=rounds)
    probe = timed.pop("memory")
    shares = bandwidth(models["ours"], timed["ours"], probe, area, len(ids))
    return summed_up(timed, len(ids)) | shares


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


def zero_share(model: Model, tokens: int = 32) -> float:
    """Find which share of the channel mixes' activations is zero, 0 to 1, on random tokens."""
    shares: list[float] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], raw: Tensor) -> None:
        # What is negative the squared ReLU makes zero.
        shares.append((raw <= 0).float().mean().item())

    named = model.network.named_modules()
    hooks = [part.register_forward_hook(note) for name, part in named if name.endswith("ffn.key")]
    model.trace(random_ids(tokens, model.config.vocab_size))
    for hook in hooks:
        hook.remove()
    return sum(shares) / len(shares)


def random_ids(count: int, vocab_size: int) -> list[int]:
    """Draw ids, always the same; never 0, which ends a text."""
    draw = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(1, vocab_size, (count,), generator=draw).tolist()
    return ids


def bytes_read(model: Model, zeros: float) -> int:
    """Count the bytes of weights and state that one token reads.

    Args:
        model: packed.
        zeros: share of the channel mix's hidden values that are 0: those columns of ffn.value
            are not read, where the format leaves out so few.
    """
    whole = skipped = 0
    for name, part in model.network.named_modules():
        if isinstance(part, Packed) and isinstance(part.weight, PackedMatrix):
            size = part.weight.panel_bytes
            whole += size
            if name.endswith(".ffn.value") and zeros >= part.weight.skipped_from:
                skipped += size
    whole += sum(part.nbytes for part in vars(model.initial_state()).values())
    return int(whole - zeros * skipped)


def bandwidth(
    model: Model, ours: list[float], probe: list[float], probe_bytes: int, tokens: int
) -> dict[str, Any]:
    """Compare the bytes that decoding reads with a plain read just after it."""
    zeros = zero_share(model)
    size = bytes_read(model, zeros)
    shares = [
        (size * tokens / own) / (probe_bytes / other)
        for own, other in zip(ours, probe, strict=True)
    ]
    return {
        "bytes_of_all_rows": bytes_read(model, 0.0),
        "bytes_read_per_token": size,
        "channel_mix_zeros": round(zeros, 4),
        "memory_gb_per_s": round(probe_bytes / statistics.median(probe) / 1e9, 2),
        "share_of_memory": round(statistics.median(shares), 3),
        "share_of_memory_each": [round(share, 3) for share in shares],
    }


def run(
    path: Path, work: Work, precisions: Sequence[str], tasks: Sequence[Task] = TASKS
) -> dict[str, Any]:
    """Compare on one checkpoint, one precision after the other.

    Args:
        path: any checkpoint; the package rwkv runs beside it where it is a .pth file and the
            precision one of DTYPES.
        work: what to time.
        precisions: of the strategy "cpu ...".
        tasks: which of it.
    """
    results: dict[str, Any] = {"work": asdict(work), "precisions": {}}
    for precision in precisions:
        strategy = f"cpu {precision}"
        model = load_model(path, strategy)
        others: dict[str, Any] = {"torch": load_model(path, strategy, kernel="torch")}
        if precision in DTYPES and path.suffix == ".pth":
            others["rwkv"] = load_peer(path, precision)
        results["precisions"][precision] = compare(model, others, work, tasks)
        results["kernel"] = model.choices["kernel"].reason
    return results


def table(results: Mapping[str, Any], task: Task) -> str:
    """Write the medians of one task as a Markdown table."""
    lines = []
    for precision, found in results["precisions"].items():
        rows = found["batch"].items() if task == "batch" else [("", found[task])]
        for size, row in rows:
            lines.append({"precision": precision, "batch": size} | _cells(row))
    columns = list(dict.fromkeys(name for line in lines for name in line if line[name]))
    head = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join(
        [*head, *(f"| {' | '.join(line.get(name, '') for name in columns)} |" for line in lines)]
    )


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    cells = {"ours, tokens/s": str(row["ours_tokens_per_s"])}
    for name, value in row.items():
        if name.startswith("times_") and not name.endswith("_each"):
            cells[f"times {name.removeprefix('times_')}"] = str(value)
    if "share_of_memory" in row:
        cells["share of a plain read"] = str(row["share_of_memory"])
        cells["zeros in the channel mix"] = str(row["channel_mix_zeros"])
    return cells


def main(task: Task, arguments: list[str] | None = None) -> None:
    """Compare one task, print a table and one line of JSON, and write that line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{task}", description="Compare our speed with others'."
    )
    parser.add_argument("--model", type=Path, help="a checkpoint; random weights if none")
    parser.add_argument("--shape", choices=SHAPES, default="0.1b", help="of the random weights")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=Work.rounds)
    parser.add_argument("--decode-tokens", type=int, default=Work.decode_tokens)
    parser.add_argument("--prefill-tokens", type=int, default=Work.prefill_tokens)
    parser.add_argument("--batch", nargs="+", type=int, default=Work.batches, help="sizes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    work = Work(options.decode_tokens, options.prefill_tokens, options.rounds, tuple(options.batch))
    with tempfile.TemporaryDirectory() as folder:
        path = options.model or draw_model(Path(folder), options.shape, with_gguf=False)
        results = run(path, work, options.precision, [task])
    results |= {"model": options.model.name if options.model else f"random {options.shape}"}
    line = json.dumps(results | {"machine": machine()})
    print(table(results, task))
    print(line)
    if options.json:
        options.json.write_text(line + "\n")


def compile_for(processor: str) -> None:
    """Have this process compile kernels for one of PROCESSORS; call it before any is loaded."""
    if flag := PROCESSORS[processor]:
        build.FLAG_SETS = ((flag, "-fopenmp"), (flag,))
