"""Run every kernel under address and undefined-behaviour sanitizers; a program of its own.

python -m tests.kernels.cuda.sanitized FOLDER, with libasan preloaded, and its reports going to
files in FOLDER that begin with "report". Says "clean", then "noticed" once it has seen that a
broken index is reported.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from kernels.cuda import device as device_module
from kernels.cuda import wkv
from kernels.cuda.device import Device
from kernels.cuda.sampling import TokenChoice, sample_tokens
from rwkv_core.config import Choice
from rwkv_core.models import Model
from rwkv_core.models.loading import GENERATIONS, open_checkpoint
from rwkv_core.models.runtime import Runtime
from rwkv_core.strategy import parse_strategy
from tests.generations import RANDOM_WEIGHTS, random_tokens
from tests.kernels.cuda.cases import draw_wkv4, draw_wkv6, draw_wkv7
from tests.kernels.cuda.emulator import SANITIZERS, Emulator

# What is replaced in which file, and by what: a piece that the text fills in part is read whole.
BROKEN = ("pieces.cuh", " && t < count) held", ") held")


def run_wkv7(device: Device) -> None:
    inputs = [*(x.half() for x in draw_wkv7(1, 17, 2, 16)[:6]), torch.randn(1, 2, 16, 16)]
    given = tuple(inputs[:6]), inputs[6]
    y, after, kept, sa, _ = wkv.wkv7_forward(device, *given, keep=True, measure=False)
    wkv.wkv7_forward(device, *given, keep=False, measure=True)
    wkv.wkv7_backward(device, given[0], kept, sa, y, after)


def run_older(device: Device) -> None:
    for is_constant in (True, False):
        *six, state = draw_wkv6(2, 5, 3, 16, is_constant=is_constant)
        wkv.wkv6_forward(device, tuple(six), state, measure=True)
    *four, state = draw_wkv4(2, 5, 200)
    wkv.wkv4_forward(device, tuple(four), state, measure=True)


def run_models(device: Device, folder: Path) -> None:
    """Run whole plans: widths that are no multiple of a tile, in formats of every layout."""
    for generation, strategy, batches in (("7", "cpu fp16", (3, 9)), ("6", "cpu int4", (1,))):
        weights = RANDOM_WEIGHTS[generation](
            seed=0, n_layer=2, n_embd=48, head_size=16, vocab_size=37, dtype=torch.float32
        )
        torch.save(weights, folder / "model.pth")
        checkpoint = open_checkpoint(folder / "model.pth")
        operator = GENERATIONS[generation].select_operator(checkpoint.config)
        runtime = Runtime(Choice("CUDA", "for the test"), gpu=device)
        model = Model(checkpoint, parse_strategy(strategy), operator, "for the test", runtime)
        for batch in batches:
            model.forward(random_tokens(batch, 1, vocab_size=37))


def run_sampling(device: Device) -> None:
    adjusted = TokenChoice(0.8, 0.7, 5, seed=1, position=2, adjustments={0: 1.0, 99: 2.0})
    sample_tokens(device, torch.randn(2, 100), [adjusted, replace(adjusted, adjustments={})])


def break_an_index() -> None:
    """Let later compilations read a source whose index runs over the end."""
    read = device_module.read_sources

    def read_broken() -> dict[str, str]:
        sources = read()
        name, right, wrong = BROKEN
        assert right in sources[name]
        return sources | {name: sources[name].replace(right, wrong)}

    device_module.read_sources = read_broken


def errors(folder: Path) -> list[str]:
    """What sanitizers have found; that they are wary of fibers is no error."""
    reports = (path.read_text() for path in folder.glob("report*"))
    return [report for report in reports if "ERROR" in report or "runtime error" in report]


def main(folder: Path) -> None:
    emulator = Emulator(folder, SANITIZERS)
    run_wkv7(emulator.device())
    run_older(emulator.device())
    run_models(emulator.device(), folder)
    run_sampling(emulator.device())
    assert not errors(folder)
    sys.stdout.write("clean\n")
    break_an_index()
    run_wkv7(emulator.device())
    assert "heap-buffer-overflow" in errors(folder)[0]
    sys.stdout.write("noticed\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
