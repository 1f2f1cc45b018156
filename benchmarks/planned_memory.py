"""Compare planned with measured memory: python -m benchmarks.planned_memory --help."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.load_memory import PeakSampler
from benchmarks.machine import machine
from benchmarks.prefill_memory import PROC_STATUS
from presets.limits import Limits
from rwkv_core.engine import Engine
from rwkv_core.generate import GenerationSettings
from rwkv_core.memory import plan_memory
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import Sizes, inventory_of_file, outline
from rwkv_core.switching import Running, Source, Switch
from rwkv_core.tokenizer import WorldTokenizer

ROOT = Path(__file__).parent.parent
SMALL = (("w", 64), ("a", 64), ("v", 32), ("g", 128))
SHAPES = {
    "RWKV-7 0.1B": Sizes("7", 12, 768, 65536, ranks=SMALL),
    "RWKV-7 0.4B": Sizes("7", 24, 1024, 65536, ranks=SMALL),
    "RWKV-4 0.4B": Sizes("4", 24, 1024, 65536),
    "RWKV-6 1.6B": Sizes("6", 24, 2048, 65536, 7168, (("mix", 32), ("decay", 64))),
}
STRATEGIES = ("cpu fp32", "cpu bf16", "cpu int8", "cpu int4")
LARGEST_ERROR = 0.1
PROMPT_TOKENS, ANSWER_TOKENS = 300, 16


def resident_file_bytes(status: Path = PROC_STATUS) -> int:
    """Read how much of its files, code above all, this process has in memory; Linux only."""
    found = [line for line in status.read_text().splitlines() if line.startswith("RssFile:")]
    return int(found[0].split()[1]) * 1024


def write_model(path: Path, sizes: Sizes) -> Path:
    """Write weights of a shape, drawn from a small pool: only their sizes matter here."""
    pool = torch.randn(2**20, generator=torch.Generator().manual_seed(0)).mul_(0.02).bfloat16()
    weights = {}
    for name, empty in outline(sizes).named_parameters():
        count = empty.numel()
        weights[name] = pool.repeat(-(-count // len(pool)))[:count].view(empty.shape)
    torch.save(weights, path)
    return path


def measure(path: Path, strategy: str, sessions: int) -> dict[str, object]:
    """Load a model in this process, let every conversation write, and compare with the plan."""
    # The page's imports are part of every program that serves it.
    import ui.inspector_tab
    from ui import build_app
    from ui.models_desk import Desk
    from ui.offers import Offers

    assert ui.inspector_tab
    plan = plan_memory(inventory_of_file(open_checkpoint(path)), strategy, sessions=sessions)
    code = resident_file_bytes()
    with PeakSampler() as sampler:
        model = load_model(path, strategy)
        with Engine(model, WorldTokenizer()) as engine:
            running = Running(Source(path, strategy), engine, plan)
            switch = Switch(running, engine.limits, 0)
            build_app(engine, desk=Desk(switch, Offers(), "nobody", Limits()))
            settings = GenerationSettings(max_tokens=ANSWER_TOKENS)
            ids = [1 + i % 60_000 for i in range(PROMPT_TOKENS)]
            streams = [engine.submit(f"s{i}", [i + 1, *ids], settings) for i in range(sessions)]
            for stream in streams:
                for _ in stream:
                    pass
    need = plan.needs["cpu"]
    planned, measured = need.total - need.mapped, code + sampler.peak
    return {
        "strategy": strategy,
        "sessions": sessions,
        "planned_mb": round(planned / 1e6, 1),
        "measured_mb": round(measured / 1e6, 1),
        "error_percent": round(100 * (planned / measured - 1), 1),
        "program_mb": round(need.runtime / 1e6, 1),
        "weights_mb": round((need.weights - need.mapped) / 1e6, 1),
        "state_mb": round(need.state / 1e6, 1),
        "workspace_mb": round(need.workspace / 1e6, 1),
        "packed": plan.is_packed,
    }


def measure_apart(path: Path, strategy: str, sessions: int) -> dict[str, object]:
    """Measure in a new process, whose memory nothing else has touched."""
    command = [sys.executable, "-m", "benchmarks.planned_memory", "--here", str(path)]
    command += ["--strategy", strategy, "--sessions", str(sessions)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the status is 1 where an error is too large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planned_memory")
    parser.add_argument("--shape", action="append", choices=SHAPES, help="may be repeated")
    parser.add_argument("--strategy", action="append", help="may be repeated")
    parser.add_argument("--sessions", type=int, action="append", help="conversations; 1 and 8")
    parser.add_argument("--json", type=Path, help="JSON file to write")
    parser.add_argument("--here", type=Path, metavar="MODEL", help="in this process, one figure")
    options = parser.parse_args(arguments)
    strategies, sessions = options.strategy or STRATEGIES, options.sessions or (1, 8)
    if options.here:
        print(json.dumps(measure(options.here, strategies[0], sessions[0])))
        return 0
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shape or SHAPES:
            path = write_model(Path(folder) / "model.pth", SHAPES[shape])
            for strategy in strategies:
                for count in sessions:
                    rows.append({"shape": shape, **measure_apart(path, strategy, count)})
                    print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"plans": rows, "machine": machine()}, indent=1) + "\n")
    return 0 if all(abs(float(str(r["error_percent"]))) < 100 * LARGEST_ERROR for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
