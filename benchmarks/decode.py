"""Compare our speed with the PyPI package rwkv: python -m benchmarks.decode --help.

Both run in one process on one random checkpoint, in turn, so that a busy or a hot machine slows
both. The figure is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from rwkv_core.models import Model, load_model
from tests.checkpoints import Ranks, random_weights, write_pth


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
        rounds: how often both take their turn, after one that warms up.
    """

    decode_tokens: int = 48
    prefill_tokens: int = 512
    rounds: int = 7


def paired(
    ours: Callable[[], None],
    theirs: Callable[[], None],
    tokens: int,
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Time two ways of doing the same work in turn: A, B, A, B.

    Args:
        ours: the work, our way.
        theirs: the same work, their way.
        tokens: read by one call.
        rounds: calls of each, after one untimed call of each.
        clock: seconds.

    Returns:
        tokens_per_s of both (medians), the ratio ours / theirs (median of neighbours), and
        all ratios.
    """
    speeds: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        start = clock()
        ours()
        middle = clock()
        theirs()
        end = clock()
        if number:
            speeds.append((tokens / (middle - start), tokens / (end - middle)))
    ratios = [a / b for a, b in speeds]
    return {
        "ours_tokens_per_s": round(statistics.median(a for a, _ in speeds), 2),
        "rwkv_tokens_per_s": round(statistics.median(b for _, b in speeds), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def load_peer(path: Path, dtype: str) -> Any:
    """Load a checkpoint with the package rwkv, its TorchScript on as by default."""
    # Read when the package is imported.
    os.environ["RWKV_V7_ON"] = "1"
    from rwkv.model import RWKV

    # The package appends .pth by itself.
    return RWKV(model=str(path.with_suffix("")), strategy=f"cpu {dtype}")


def compare(model: Model, peer: Any, work: Work) -> dict[str, Any]:
    """Compare decode and prefill; also how far the logits lie apart, so that speed is fair.

    Args:
        model: ours.
        peer: a model of the package rwkv with the same weights; one dtype at a time, since it
            keeps the dtype in a global.
        work: what to time.
    """
    draw = torch.Generator().manual_seed(0)
    size = (max(work.decode_tokens, work.prefill_tokens),)
    ids = torch.randint(1, model.config.vocab_size, size, generator=draw).tolist()
    text = ids[: work.prefill_tokens]

    def decode(forward: Callable[..., Any]) -> None:
        state = None
        for token in ids[: work.decode_tokens]:
            _, state = forward([token], state)

    ours, theirs = model.forward(text)[0][0], peer.forward(text, None)[0].float()
    return {
        "logits_apart": float((ours - theirs).abs().max()),
        "logits_size": float(theirs.abs().max()),
        "decode": paired(
            lambda: decode(model.forward),
            lambda: decode(peer.forward),
            work.decode_tokens,
            rounds=work.rounds,
        ),
        "prefill": paired(
            lambda: _drop(model.prefill(text)),
            lambda: _drop(peer.forward(text, None)),
            len(text),
            rounds=work.rounds,
        ),
    }


def _drop(_: object) -> None:
    """Forget a result."""


def run(shape: Shape, work: Work, dtypes: Sequence[str]) -> dict[str, Any]:
    """Write one random checkpoint and compare on it, one dtype after the other."""
    ranks = Ranks(w=64, a=64, v=32, g=128)
    results: dict[str, Any] = {"shape": asdict(shape), "work": asdict(work)}
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(**asdict(shape), ranks=ranks, dtype=torch.bfloat16)
        path = write_pth(Path(folder) / "random.pth", weights)
        del weights
        for dtype in dtypes:
            model, peer = load_model(path, f"cpu {dtype}"), load_peer(path, dtype)
            results[dtype] = compare(model, peer, work)
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
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    shape = Shape(options.layers, options.embd, options.vocab)
    work = Work(options.decode_tokens, options.prefill_tokens, options.rounds)
    results = run(shape, work, options.dtypes) | {"machine": machine()}
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
