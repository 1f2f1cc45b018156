"""Strategy text, as the PyPI package rwkv writes it, to the place where each layer runs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch

from kernels.sentences import Sentence
from rwkv_core.config import Choice
from rwkv_core.errors import StrategyError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
EXAMPLES = ("cpu fp32", "cpu int8", "cuda fp16 *10 -> cpu bf16")

Format = Literal["float", "int8", "int4"]

_DEVICE = re.compile(r"(cuda(?::\d+)?|cpu|mps|dml)(?= |$)")
_DTYPE = re.compile(r" (?:(fp16|fp32|bf16)(i8|i4|i3)?|(int8|int4))(?= |$)")
_COUNT = re.compile(r" \*(\d{1,6})(\+)?$")
_QUANTIZED: dict[str, Format] = {"i8": "int8", "i4": "int4", "int8": "int8", "int4": "int4"}


@dataclass(frozen=True)
class Stage:
    """A run of layers in one place.

    Attributes:
        device: torch device of the weights.
        dtype: in which matrix products run; the stream, norms and the state stay float32.
        format: how the matrices are stored; see rwkv_core.quantization.
        count: layers asked for; None: a share of what is left.
        is_streamed: only `count` layers keep their matrices on the device, the others of this
            stage are copied there whenever they are used.
    """

    device: torch.device
    dtype: torch.dtype
    format: Format = "float"
    count: int | None = None
    is_streamed: bool = False


@dataclass(frozen=True)
class Place:
    """Where one layer, or the head, runs; fields as of Stage."""

    device: torch.device
    dtype: torch.dtype
    format: Format = "float"
    is_streamed: bool = False

    def __str__(self) -> str:
        weights = "" if self.format == "float" else f" with {self.format} weights"
        streamed = ", streamed" if self.is_streamed else ""
        return f"{self.device} {_name(self.dtype)}{weights}{streamed}"


@dataclass(frozen=True)
class Placement:
    """Where a whole model runs.

    Attributes:
        stages: in order; the embedding always stays in the CPU's memory.
    """

    stages: tuple[Stage, ...]

    @property
    def has_fp16(self) -> bool:
        """Whether any product runs in fp16, which can overflow."""
        return any(stage.dtype == torch.float16 for stage in self.stages)

    def allocate(self, n_layer: int) -> list[Place]:
        """Give every layer its place, and the last one to the final norm and the head.

        The rule is the PyPI package's: stages with a count take so many, the others equal
        shares of what is left, the last one also the remainder; with a streamed stage, all
        that is left goes to it.

        Returns:
            n_layer + 1 places.
        """
        total = n_layer + 1
        counts = _allocate(self.stages, total)
        places = []
        for stage, count in zip(self.stages, counts, strict=True):
            resident = min(count, stage.count or 0) if stage.is_streamed else count
            for index in range(count):
                is_streamed = stage.is_streamed and index >= resident
                places.append(Place(stage.device, stage.dtype, stage.format, is_streamed))
        return places

    def describe(self, n_layer: int) -> str:
        """Say in one line which layers run where: "layers 1-3 cpu fp32; ..."."""
        parts, start = [], 1
        for text, group in groupby(map(str, self.allocate(n_layer))):
            end = start + len(list(group))
            layers = range(start, min(end, n_layer + 1))
            names = [f"layers {layers[0]}-{layers[-1]}"] if len(layers) > 1 else []
            names += [f"layer {start}"] if len(layers) == 1 else []
            names += ["head"] if end > n_layer + 1 else []
            parts.append(f"{' and '.join(names)} {text}")
            start = end
        return "; ".join(parts)


def _allocate(stages: Sequence[Stage], total: int) -> list[int]:
    counts = [0] * len(stages)
    left = total
    for index, stage in enumerate(stages):
        counts[index] = min(stage.count or 0, left)
        left -= counts[index]
    streamed = next((i for i, stage in enumerate(stages) if stage.is_streamed), None)
    if streamed is not None:
        counts[streamed] += left
        return counts
    free = [index for index, stage in enumerate(stages) if stage.count is None]
    for place, index in enumerate(free):
        counts[index] = left // (len(free) - place)
        left -= counts[index]
    counts[-1] += left
    return counts


def parse_strategy(text: str, *, must_be_here: bool = True) -> Placement:
    """Read strategy text such as 'cpu fp32' or 'cuda fp16 *10 -> cpu bf16'.

    The whole grammar of the PyPI package is understood: stages joined by '->', each a
    device, one space, a dtype with i8 or nothing, and '*N' or '*N+' layers. Added are the
    dtypes 'int8' and 'int4': so many bits a weight, products in fp32 on a CPU and in fp16
    elsewhere; 'fp16i8' is int8 with fp16 products, 'fp16i4' int4.

    Args:
        text: of the strategy.
        must_be_here: whether to refuse devices that this machine lacks.

    Raises:
        StrategyError: not in the grammar (the place is underlined), or not runnable here.
    """
    stages = []
    start = 0
    for part in text.split("->"):
        stages.append(_read_stage(text, start, part))
        start += len(part) + len("->")
    if sum(stage.is_streamed for stage in stages) > 1:
        raise _cannot_run(text, "only one stage can stream layers ('*N+')")
    for stage in stages:
        if must_be_here and (reason := _why_not(stage.device)):
            raise _cannot_run(text, reason)
    return Placement(tuple(stages))


# A file whose numbers take fewer bits on average is a quantised one: 16 is the next type's.
QUANTIZED_BELOW = 12


def choose_strategy(bits: float = 16) -> Choice:
    """Choose where to run when the user has not said, and say why.

    Args:
        bits: that a number takes in the file, on average.
    """
    if bits < QUANTIZED_BELOW:
        return Choice("cpu int8", quantized_reason(bits))
    reason = "the CPU runs every model on every machine"
    if torch.cuda.is_available():
        reason += "; for the GPU that is here start with --strategy 'cuda fp16'"
    return Choice(EXAMPLES[0], reason)


def quantized_reason(bits: float) -> Sentence:
    """Say why a quantised file is not made longer again."""
    return Sentence(
        "the file's own weights take {bits} bits, and at 8 bits a weight what the model says "
        "changes very little",
        bits=f"{bits:.1f}",
    )


def explain(placement: Placement, n_layer: int, reason: str) -> dict[str, Choice]:
    """Name the chosen devices, types and weight formats, each with its own reason.

    Args:
        placement: where the model runs.
        n_layer: its layers.
        reason: why these devices.
    """
    places = placement.allocate(n_layer)
    devices = list(dict.fromkeys(str(place.device) for place in places))
    dtypes = list(dict.fromkeys(place.dtype for place in places))
    formats = list(dict.fromkeys(place.format for place in places))
    if len(set(places)) > 1:
        where = placement.describe(n_layer)
        reason = Sentence("{reason}: {where}", reason=reason, where=where)
    choices = {
        "device": Choice(" and ".join(devices), reason),
        "dtype": Choice(
            " and ".join(str(dtype).removeprefix("torch.") for dtype in dtypes),
            "; ".join(_DTYPE_REASONS[dtype] for dtype in dtypes),
        ),
    }
    if formats != ["float"]:
        choices["weights"] = Choice(
            " and ".join(formats), "; ".join(_FORMAT_REASONS[name] for name in formats)
        )
    return choices


_DTYPE_REASONS = {
    torch.float32: "fp32 rounds least",
    torch.bfloat16: "bf16 takes half of fp32's memory and rounds products to 8 bits",
    torch.float16: "fp16 takes half of fp32's memory, rounds to 11 bits and ends at 65,504",
}
_FORMAT_REASONS: dict[str, str] = {
    "float": "the others as they are",
    "int8": "a quarter of fp32's memory, rounded to 1/127 of each row's largest weight",
    "int4": "a seventh of fp32's memory, rounded to 15 steps in groups of 32",
}


def _name(dtype: torch.dtype) -> str:
    return next(name for name, value in DTYPES.items() if value == dtype)


def _read_stage(text: str, start: int, part: str) -> Stage:
    """Read one stage; start is where the part begins in the text."""
    start += len(part) - len(part.lstrip())
    part = part.strip()
    device = _DEVICE.match(part)
    if not device:
        raise _unreadable(text, start, part.split(" ")[0], "a device (cpu, cuda, cuda:N, mps, dml)")
    dtype = _DTYPE.match(part, device.end())
    if not dtype:
        rest = part[device.end() :]
        expected = "one space and a dtype (fp32, bf16, fp16, int8, int4)"
        raise _unreadable(text, start + device.end(), rest, expected)
    count = _COUNT.match(part, dtype.end())
    if not count and dtype.end() < len(part):
        rest = part[dtype.end() :]
        raise _unreadable(
            text, start + dtype.end(), rest, "nothing more, or a layer count (' *N', ' *N+')"
        )
    if device[1] == "dml":
        raise _cannot_run(text, "DirectML (dml) is not supported")
    if dtype[2] == "i3":
        raise _cannot_run(text, "3-bit weights (i3) exist nowhere, not even in the package rwkv")
    compute = dtype[1] or ("fp32" if device[1] == "cpu" else "fp16")
    return Stage(
        torch.device(device[1]),
        DTYPES[compute],
        _QUANTIZED.get(dtype[2] or dtype[3] or "", "float"),
        int(count[1]) if count else None,
        bool(count and count[2]),
    )


def _unreadable(text: str, start: int, part: str, expected: str) -> StrategyError:
    start += len(part) - len(part.lstrip())
    underline = " " * start + "^" * max(1, len(part.strip()))
    examples = ", ".join(repr(example) for example in EXAMPLES)
    return StrategyError(
        "cannot read this strategy; where it is underlined, expected is {expected}:\n  "
        "{text}\n  {underline}\nexamples: {examples}",
        expected=expected,
        text=text,
        underline=underline,
        examples=examples,
    )


def _cannot_run(text: str, reason: str) -> StrategyError:
    return StrategyError(
        "strategy {text!r} cannot run: {reason}; use 'cpu fp32', or 'cpu int8' for a quarter "
        "of the memory",
        text=text.strip(),
        reason=reason,
    )


def _why_not(device: torch.device) -> str:
    """Say why a device cannot be used here; empty where it can."""
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not found:
            return "torch sees no CUDA GPU here"
        if (device.index or 0) >= found:
            form = "torch sees CUDA GPUs up to cuda:{last} here, not {device}"
            return Sentence(form, last=found - 1, device=device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        return "torch sees no Apple GPU (mps) here"
    return ""
