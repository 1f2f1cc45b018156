"""Strategy text, as the PyPI package rwkv writes it, to the place where a model runs."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import torch

from rwkv_core.config import Choice
from rwkv_core.errors import StrategyError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
RUNNABLE = ("cpu fp32", "cpu bf16")
EXAMPLES = (*RUNNABLE, "cuda fp16 *10 -> cpu bf16")

_DEVICE = re.compile(r"(cuda(?::\d+)?|cpu|mps|dml)(?= |$)")
_DTYPE = re.compile(r" (fp16|fp32|bf16)(i8|i4|i3)?(?= |$)")
_COUNT = re.compile(r" \*\d+(\+)?$")


@dataclass(frozen=True)
class Placement:
    """Where a model's weights live and in which type they multiply.

    Attributes:
        device: torch device of every weight.
        dtype: of the weights and of activations between them; the state stays float32.
    """

    device: torch.device
    dtype: torch.dtype


class _Stage(NamedTuple):
    device: str
    dtype: str
    quantization: str
    is_streamed: bool


def parse_strategy(text: str) -> Placement:
    """Read strategy text such as 'cpu fp32'.

    The whole grammar of the PyPI package is understood: stages joined by '->', each a
    device, one space, a dtype with i8 or nothing, and '*N' or '*N+' layers. What cannot
    run yet is refused by name rather than run differently. '*N' on a single stage changes
    nothing there and here: the last stage takes what is left over.

    Raises:
        StrategyError: not in the grammar (the place is underlined), or not runnable.
    """
    stages = []
    start = 0
    for part in text.split("->"):
        stages.append(_read_stage(text, start, part))
        start += len(part) + len("->")
    stage = stages[0]
    if reason := _why_not(stages):
        raise StrategyError(
            f"strategy {text.strip()!r} cannot run: {reason}; use {' or '.join(RUNNABLE)}"
        )
    return Placement(torch.device(stage.device), DTYPES[stage.dtype])


def choose_strategy() -> Choice:
    """Choose where to run when the user has not said, and say why."""
    gpu = "it has a GPU, which this version cannot use yet" if torch.cuda.is_available() else ""
    reason = "fp32 on the CPU runs on every machine and rounds least"
    return Choice(RUNNABLE[0], f"{reason}; {gpu}" if gpu else reason)


def _read_stage(text: str, start: int, part: str) -> _Stage:
    """Read one stage; start is where the part begins in the text."""
    start += len(part) - len(part.lstrip())
    part = part.strip()
    device = _DEVICE.match(part)
    if not device:
        raise _unreadable(text, start, part.split(" ")[0], "a device (cpu, cuda, cuda:N, mps, dml)")
    dtype = _DTYPE.match(part, device.end())
    if not dtype:
        rest = part[device.end() :]
        raise _unreadable(
            text, start + device.end(), rest, "one space and a dtype (fp32, bf16, fp16)"
        )
    count = _COUNT.match(part, dtype.end())
    if not count and dtype.end() < len(part):
        rest = part[dtype.end() :]
        raise _unreadable(
            text, start + dtype.end(), rest, "nothing more, or a layer count (' *N', ' *N+')"
        )
    return _Stage(device[1], dtype[1], dtype[2] or "", bool(count and count[1]))


def _unreadable(text: str, start: int, part: str, expected: str) -> StrategyError:
    start += len(part) - len(part.lstrip())
    underline = " " * start + "^" * max(1, len(part.strip()))
    examples = ", ".join(repr(example) for example in EXAMPLES)
    return StrategyError(
        f"cannot read this strategy; where it is underlined, expected is {expected}:\n"
        f"  {text}\n  {underline}\n"
        f"examples: {examples}; this version runs the first two"
    )


def _why_not(stages: list[_Stage]) -> str:
    """Say what is missing to run these stages; empty where nothing is."""
    stage = stages[0]
    if len(stages) > 1:
        return f"splitting layers over {len(stages)} stages is not supported yet"
    if stage.quantization:
        return f"{stage.quantization} weights are not supported yet"
    if stage.is_streamed:
        return "streaming layers ('*N+') is not supported yet"
    if stage.device.startswith("cuda") and not torch.cuda.is_available():
        return "torch sees no CUDA GPU here, and CUDA is not supported yet"
    if stage.device != "cpu":
        return f"the device {stage.device} is not supported yet"
    if stage.dtype == "fp16":
        return "fp16 overflows and is slow on a CPU"
    return ""
