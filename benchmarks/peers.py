"""Our runtime beside llama.cpp, rwkv.cpp and the package rwkv: python -m benchmarks.peers --help.

All run the same seeded random weights, each in a process of its own that waits while another
works. Turns are short and many, since memory shared with other machines changes its pace within
seconds: the figure to trust is the median of the ratios within a turn, and a plain read of memory
stands before and after every turn of every engine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.peers_files import (
    SHAPES,
    VOCAB_SIZE,
    draw_model,
    prepare_llama,
    quantise,
    run_command,
)
from benchmarks.peers_protocol import PROCESSORS, Peer, PeerError
from benchmarks.peers_report import (
    OURS,
    bandwidth_share,
    bytes_of_token,
    disagreements,
    most_over,
    relative_l2,
    summarise,
    table,
)
from benchmarks.speed import random_ids

# GGUF types that are as exact as our format.
LLAMA_KINDS = {
    "fp32": ("F32",),
    "bf16": ("BF16", "F16"),
    "int8": ("Q8_0",),
    "int4": ("Q4_0", "Q4_K_M"),
}
# The same of rwkv.cpp, which has no BF16.
RWKV_CPP_KINDS = {"fp32": "FP32", "bf16": "FP16", "int8": "Q8_0", "int4": "Q4_0"}
# On a CPU the package rwkv runs RWKV-7 in these alone.
RWKV_PRECISIONS = ("fp32", "bf16")
# Our own runtime, made to read the weights that meet a zero too.
ALL_ROWS = "all-rows"
PEERS = ("llama.cpp", "rwkv", ALL_ROWS)
# Logits are compared after so many tokens.
COMPARED_TOKENS = 16
# Between two engines, so that threads of the last one, which spin a little, sleep.
PAUSE_S = 0.05
# Asked once more, before it is timed: the states of several conversations are much memory to take
# from the system for a few tokens, and what one engine has given back is quicker to have for the next.
TWICE = "batch"


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        decode_tokens: read one by one in a turn.
        decode_turns: of a round; the other tasks have one.
        prefill_tokens: read at once.
        batch: sequences read together.
        batch_tokens: of each of them.
        rounds: how often all tasks are done, after one that warms up.
    """

    decode_tokens: int = 12
    decode_turns: int = 8
    prefill_tokens: int = 512
    batch: int = 8
    batch_tokens: int = 12
    rounds: int = 7

    def turns(self) -> list[tuple[str, dict[str, Any], int]]:
        """Write a round's turns: the task, its request, and how many tokens it reads."""
        decode = {"ids": random_ids(self.decode_tokens, VOCAB_SIZE)}
        prefill = {"ids": random_ids(self.prefill_tokens, VOCAB_SIZE)}
        batch = {"ids": random_ids(self.batch_tokens, VOCAB_SIZE), "size": self.batch}
        return [
            *[("decode", decode, self.decode_tokens)] * self.decode_turns,
            ("prefill", prefill, self.prefill_tokens),
            ("batch", batch, self.batch * self.batch_tokens),
        ]


def take_turns(
    engines: Sequence[Peer], probe: Peer, work: Work, *, pause_s: float = PAUSE_S
) -> list[dict[str, Any]]:
    """Time all engines: A, B, C, A, B, C, for one task after the other.

    Args:
        engines: that wait; one without a task is left out of it.
        probe: answers "probe" with bytes per second; asked before and after every engine.
        work: what to do.
        pause_s: between two.

    Returns:
        For each turn: "round", "task", and of every engine "tokens_per_s" and "bandwidth_gb_s", the
        mean of the probes at its two sides.
    """
    rows = []
    for number in range(work.rounds + 1):
        for task, request, tokens in work.turns():
            able = [engine for engine in engines if task in engine.facts["tasks"]]
            speeds, probes = {}, [_bandwidth(probe, pause_s)]
            for engine in able:
                if task == TWICE:
                    engine.ask(task, **request)
                time.sleep(pause_s)
                speeds[engine.name] = round(tokens / engine.ask(task, **request)["seconds"], 3)
                probes.append(_bandwidth(probe, pause_s))
            if number:
                means = [round((a + b) / 2, 2) for a, b in pairwise(probes)]
                beside = dict(zip(speeds, means, strict=True))
                row = {"round": number, "task": task, "tokens_per_s": speeds}
                rows.append(row | {"bandwidth_gb_s": beside})
    return rows


def _bandwidth(probe: Peer, pause_s: float) -> float:
    time.sleep(pause_s)
    return float(probe.array("probe")) / 1e9


class Runs:
    """Starts engines on the files of one model.

    Attributes:
        model: the .pth file; its GGUF twins lie beside it.
    """

    def __init__(
        self,
        model: Path,
        llama_python: Path | None,
        threads: int,
        processor: str = "native",
        rwkv_cpp: Path | None = None,
    ) -> None:
        """Remember the files; None for a llama.cpp or rwkv.cpp that is not wanted."""
        self.model, self._python, self._threads = model, llama_python, threads
        self._rwkv_cpp = rwkv_cpp
        self._processor = processor
        # The same for all: so many threads, and libgomp's waiting ones spin a little, then sleep.
        self._environment = {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "active",
            "GOMP_SPINCOUNT": "100000",
        }

    def torch(self, what: str, *arguments: str) -> Peer:
        """Start one of benchmarks.peers_torch."""
        words = ["-m", "benchmarks.peers_torch", what, str(self._threads), self._processor]
        words += arguments
        return Peer(what, [sys.executable, *words], self._environment)

    def llama(self, kind: str) -> Peer:
        """Start llama.cpp on a GGUF file of this type."""
        assert self._python
        source = self.model.with_name("model-F32.gguf")
        file = quantise(self._python, source, kind, self._threads)
        words = ["-m", "benchmarks.peers_llama", "run", str(file), str(self._threads)]
        return Peer(f"llama.cpp {kind}", [str(self._python), *words], self._environment)

    def rwkv_cpp(self, kind: str) -> Peer:
        """Start rwkv.cpp on a file of this kind."""
        library = str(self._rwkv_cpp)
        file = self.model.with_name(f"rwkvcpp-{kind}.bin")
        words = [sys.executable, "-m", "benchmarks.peers_rwkvcpp"]
        if not file.exists():
            run_command([*words, "write", library, str(self.model), str(file), kind])
        words += ["run", library, str(file), str(self._threads)]
        return Peer(f"rwkv.cpp {kind}", words, self._environment)

    def all(self, precision: str, peers: Sequence[str], stack: ExitStack) -> list[Peer]:
        """Start ours and its peers in one precision; the stack ends them."""
        model, strategy = str(self.model), f"cpu {precision}"
        engines = [stack.enter_context(self.torch(OURS, model, strategy))]
        if ALL_ROWS in peers:
            engines.append(stack.enter_context(self.torch(ALL_ROWS, model, strategy)))
        if "llama.cpp" in peers:
            engines += [stack.enter_context(self.llama(kind)) for kind in LLAMA_KINDS[precision]]
        if self._rwkv_cpp is not None:
            engines.append(stack.enter_context(self.rwkv_cpp(RWKV_CPP_KINDS[precision])))
        if "rwkv" in peers and precision in RWKV_PRECISIONS:
            engines.append(stack.enter_context(self.torch("rwkv", model, strategy)))
        return engines


def compare(
    model: Path, llama_python: Path | None, options: argparse.Namespace, work: Work
) -> dict[str, Any]:
    """Run everything on one model.

    Args:
        model: from draw_model.
        llama_python: from prepare_llama.
        options: of the command.
        work: what to time.

    Returns:
        Bandwidth probe, share of zeros, and for every precision what ran, every raw figure and
        the medians.
    """
    library = options.rwkv_cpp
    runs = Runs(model, llama_python, options.threads, options.processor, library)
    ids = random_ids(COMPARED_TOKENS, VOCAB_SIZE)
    with runs.torch(OURS, str(model), "cpu fp32") as reference:
        expected = reference.array("prefill", ids=ids)
        zeros = float(reference.array("zeros"))
    results: dict[str, Any] = {"channel_mix_zeros": round(zeros, 4), "precisions": {}}
    for precision in options.precision:
        with ExitStack() as stack:
            probe = stack.enter_context(runs.torch("probe"))
            engines = runs.all(precision, options.against, stack)
            results["probe"] = probe.facts
            print(f"{precision}: {', '.join(peer.name for peer in engines)}", file=sys.stderr)
            off = {
                engine.name: {
                    task: relative_l2(engine.array(task, ids=ids), expected)
                    for task in ("decode", "prefill")
                }
                for engine in engines
            }
            rounds = take_turns(engines, probe, work)
            sizes = {
                engine.name: bytes_of_token(engine.facts, zeros)
                for engine in engines
                if "bytes_per_token" in engine.facts
            }
            results["precisions"][precision] = {
                "engines": {
                    engine.name: engine.facts
                    | {"memory": engine.ask("memory"), "logits_off": off[engine.name]}
                    for engine in engines
                },
                "medians": summarise(rounds),
                "share_of_memory": {
                    name: bandwidth_share(rounds, name, size) for name, size in sizes.items()
                },
                "most_over_it": most_over(rounds, sizes[OURS]),
                "rounds": rounds,
            }
    return results


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--shape", choices=SHAPES, default="0.1b")
    parser.add_argument(
        "--precision", type=_several(LLAMA_KINDS), default=list(LLAMA_KINDS), help="fp32,int8,..."
    )
    parser.add_argument(
        "--against", type=_several(PEERS), default=list(PEERS), help=",".join(PEERS)
    )
    parser.add_argument(
        "--rwkv-cpp", type=_file, help="librwkv.so of rwkv.cpp, which then runs too"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--processor",
        choices=PROCESSORS,
        default="native",
        help="that ours and llama.cpp are compiled for: this one, or any with AVX2",
    )
    parser.add_argument("--rounds", type=int, default=Work.rounds)
    parser.add_argument("--decode-tokens", type=int, default=Work.decode_tokens)
    parser.add_argument("--prefill-tokens", type=int, default=Work.prefill_tokens)
    parser.add_argument("--batch", type=int, default=Work.batch)
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path("build/peers"),
        help="folder with llama.cpp, compiled there if it is not",
    )
    parser.add_argument("--json", type=Path, help="JSON file to write")
    return parser.parse_args(arguments)


def _file(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return path


def _several(allowed: Sequence[str] | dict[str, Any]) -> Any:
    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(allowed)}")
        return names

    return read


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all that the command's words ask for; what compare finds, and the circumstances."""
    work = Work(
        options.decode_tokens,
        prefill_tokens=options.prefill_tokens,
        batch=options.batch,
        rounds=options.rounds,
    )
    with tempfile.TemporaryDirectory() as folder:
        has_llama = "llama.cpp" in options.against
        python = prepare_llama(options.peers, options.processor) if has_llama else None
        model = draw_model(Path(folder), options.shape, with_gguf=has_llama)
        return {
            "shape": options.shape,
            "threads": options.threads,
            "processor": options.processor,
            "work": asdict(work),
            **compare(model, python, options, work),
            "machine": machine(),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the figures; the status is not 0 where logits disagree."""
    options = parse(arguments)
    try:
        results = run(options)
    except PeerError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(results))
    print(f"zero activations in channel mixes: {results['channel_mix_zeros']:.1%}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    wrong = disagreements(results)
    print("\n".join(wrong) or "logits agree within each format's rounding")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
