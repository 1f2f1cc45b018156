"""From a weights file to a network: which generation, which sizes, every name and shape checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from rwkv_core.checkpoint import Weights, fingerprint, open_weights
from rwkv_core.checkpoint.weights import FETCH_AGAIN, in_file
from rwkv_core.config import Choice, ModelConfig, detect_generation
from rwkv_core.errors import CheckpointError
from rwkv_core.models.blocks import Network
from rwkv_core.models.rwkv4 import RWKV4
from rwkv_core.models.rwkv5 import RWKV5
from rwkv_core.models.rwkv6 import RWKV6
from rwkv_core.models.rwkv7 import RWKV7
from rwkv_core.models.rwkv7a import RWKV7a
from rwkv_core.models.sizes import Shapes

# The one place where a generation is registered: name from config.detect_generation -> network.
GENERATIONS: dict[str, type[Network]] = {
    "4": RWKV4,
    "5.0": RWKV5,
    "5.1": RWKV5,
    "5.2": RWKV5,
    "6": RWKV6,
    "7": RWKV7,
    "7a": RWKV7a,
}
FLOAT_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One readable weights file, sizes known and every shape checked.

    Attributes:
        name: file name without its suffix.
        path: the file.
        config: sizes of the model.
        fingerprint: sha256 of the weights, hex; see rwkv_core.checkpoint.fingerprint.
        file_bytes: size on disk.
        format: in which format it came, and how that was told.
        tensors: official name -> weight, memory-mapped, in the file's dtype. Reading one
            raises CheckpointError where it holds NaN or infinity. Tensors that some files
            hold and no equation uses are left out.
        make_network: makes the network, empty; its parameters have the tensors' names.
    """

    name: str
    path: Path
    config: ModelConfig
    fingerprint: str
    file_bytes: int
    format: Choice
    tensors: Weights
    make_network: Callable[[], Network]


def open_checkpoint(path: str | Path, *, ln_x_eps: float | None = None) -> Checkpoint:
    """Open a weights file of any supported generation without reading its weights.

    Args:
        path: see rwkv_core.checkpoint.open_weights.
        ln_x_eps: epsilon of the group norm where it is neither the official 64e-5 nor what
            the file states.

    Raises:
        CheckpointError: missing, broken, incomplete, a mixture, or not a weights file.
        UnsupportedModelError: a readable file of another model.
    """
    file = open_weights(path)
    shapes = file.tensors.shapes
    eps = file.ln_x_eps if ln_x_eps is None else ln_x_eps
    try:
        config = detect_config(shapes)
        network = GENERATIONS[config.generation]
        if eps is not None:
            config = dataclasses.replace(config, ln_x_eps=eps)
        _refuse_mixtures(config, shapes)
        tensors = file.tensors.without(network.unused)
        with torch.device("meta"):
            expected = network.empty(config, shapes)
        _check_tensors(tensors, expected)
    except CheckpointError as error:
        raise in_file(file.path.name, error) from error
    return Checkpoint(
        name=file.name,
        path=file.path,
        config=config,
        fingerprint=fingerprint(tensors.unchecked()),
        file_bytes=file.file_bytes,
        format=file.format,
        tensors=tensors,
        make_network=lambda: network.empty(config, shapes),
    )


def detect_config(shapes: Shapes) -> ModelConfig:
    """Read generation and sizes from tensor names and shapes.

    Raises:
        UnsupportedModelError: not an RWKV model, or a generation without a runtime.
        CheckpointError: a tensor is missing or sizes contradict each other.
    """
    generation = detect_generation(shapes)
    return GENERATIONS[generation].read_config(generation, shapes)


def _refuse_mixtures(config: ModelConfig, shapes: Shapes) -> None:
    """Refuse files whose layers are those of two models, by generation or by width."""
    layers: dict[int, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        if found := re.match(r"blocks\.(\d+)\.(.+)$", name):
            layers.setdefault(int(found[1]), {})[f"blocks.0.{found[2]}"] = shape
    for layer, own in layers.items():
        if any(name.startswith("blocks.0.att.") for name in own):
            generation = detect_generation(own)
            if generation != config.generation:
                raise CheckpointError(
                    f"layer {layer} is of RWKV-{generation}, layer 0 of "
                    f"RWKV-{config.generation}; the file mixes two models, {FETCH_AGAIN}"
                )
        width = own.get("blocks.0.ln1.weight", (config.n_embd,))
        if len(width) == 1 and width[0] != config.n_embd:
            raise CheckpointError(
                f"layer {layer} has {width[0]} channels, emb.weight {config.n_embd}; the file "
                f"mixes two models, {FETCH_AGAIN}"
            )


def _check_tensors(tensors: Weights, network: Network) -> None:
    """Compare names, shapes and dtypes with the parameters of the empty network."""
    expected = {name: tuple(p.shape) for name, p in network.state_dict().items()}
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected)
    if missing and unknown:
        raise CheckpointError(
            f"lacks {_tensors(missing)} and holds {_tensors(unknown)} of another name, "
            "as if they were renamed; use the file as it was published"
        )
    if missing:
        raise CheckpointError(f"lacks {_tensors(missing)}; {FETCH_AGAIN}")
    if unknown:
        raise CheckpointError(
            f"holds {_tensors(unknown)}, which RWKV-{network.config.generation} does not know; "
            "use a plain base checkpoint, with any adapter merged"
        )
    shapes, dtypes = tensors.shapes, tensors.dtypes
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise CheckpointError(
                f"tensor {name} is {shapes[name]} instead of {shape}; "
                "if the file was converted for another runtime, use the official one"
            )
        if dtypes[name] not in FLOAT_DTYPES:
            raise CheckpointError(
                f"tensor {name} has dtype {str(dtypes[name]).removeprefix('torch.')}; "
                "give a bf16, fp16 or fp32 checkpoint"
            )


def _tensors(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' * (len(names) != 1)} ({_some(names)})"


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
