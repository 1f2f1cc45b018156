"""Choose who runs a model: the packed plan in C++, or the network in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from kernels.build import BuildError, default_cache
from kernels.cpu_library import HEAD_SIZES
from kernels.cuda.device import Device, open_device
from kernels.cuda.program import load_kernels
from kernels.operators import Operator
from kernels.packed import packed_library
from kernels.sentences import Sentence
from rwkv_core.config import Choice, ModelConfig
from rwkv_core.strategy import Placement

Kernel = Literal["fastest", "torch"]

PACKED = "packed C++"
CUDA = "CUDA"


@dataclass(frozen=True)
class Runtime:
    """Who runs a model.

    Attributes:
        kernel: for the user, with the reason.
        threads: of packed products and plans; 0: not on the CPU.
        gpu: that runs the plan; None: not on a GPU. Without either the network runs in torch.
    """

    kernel: Choice
    threads: int = 0
    gpu: Device | None = None


def choose_runtime(
    config: ModelConfig,
    placement: Placement,
    operator: Operator,
    *,
    kernel: Kernel = "fastest",
    threads: int | None = None,
) -> Runtime:
    """Choose the packed plan where it can run, and say why where it cannot.

    Args:
        config: sizes.
        placement: where the layers run.
        operator: of the recurrence, which torch's path uses.
        kernel: "torch" to have torch's path all the same.
        threads: of the plan; as many as torch has by default.
    """
    reason = "asked for" if kernel == "torch" else why_not_packed(config, placement)
    if kernel != "torch" and (gpu := planned_gpu(config, placement)):
        try:
            device = open_device(gpu)
            load_kernels(device, 64 if config.has_exponents else config.head_size)
        except BuildError as error:
            reason = "" if str(error) in operator.reason else error.args[0]
        else:
            text = "a few launches per layer, recorded for each batch size; {how}"
            return Runtime(Choice(CUDA, Sentence(text, how=device.how)), gpu=device)
    if not reason:
        try:
            library, how = packed_library(default_cache())
        except BuildError as error:
            # Where the operator could not be built either, its reason says the same.
            reason = "" if str(error) in operator.reason else error.args[0]
        else:
            threads = max(1, threads or torch.get_num_threads())
            text = (
                "one call per token, weights in reading order, threads: {threads}; {vectors}; {how}"
            )
            why = Sentence(text, threads=threads, vectors=library.vectors, how=how)
            return Runtime(Choice(PACKED, why), threads)
    text = "torch's matrices: {reason}; {how}" if reason else "torch's matrices; {how}"
    return Runtime(Choice(operator.name, Sentence(text, reason=reason, how=operator.reason)))


def planned_gpu(config: ModelConfig, placement: Placement) -> torch.device | None:
    """Name the GPU that can run a model's plan: all of it lies there, in heads that have code."""
    places = set(placement.allocate(config.n_layer))
    place = places.pop()
    has_code = config.has_exponents or config.head_size in HEAD_SIZES
    if places or place.device.type != "cuda" or place.is_streamed or not has_code:
        return None
    return place.device


def why_not_packed(config: ModelConfig, placement: Placement) -> str:
    """Say why the plan cannot run a model; empty where it can."""
    places = set(placement.allocate(config.n_layer))
    if any(place.device.type != "cpu" for place in places):
        return "packed weights are for the CPU"
    if len(places) > 1 or any(place.is_streamed for place in places):
        return "packed weights are for strategies of one stage"
    if not config.has_exponents and config.head_size not in HEAD_SIZES:
        sizes = ", ".join(map(str, HEAD_SIZES))
        text = "heads of {size} have no packed code (only {sizes})"
        return Sentence(text, size=config.head_size, sizes=sizes)
    return ""
