"""What a checkpoint holds, told from a few sizes or from its header: no weight is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import nn

from rwkv_core.config import ModelConfig
from rwkv_core.errors import SettingsError
from rwkv_core.models.blocks import Lookup, Matrix, Network
from rwkv_core.models.loading import GENERATIONS, Checkpoint, detect_config
from rwkv_core.models.placing import SPARSE, is_matrix
from rwkv_core.models.rwkv5 import BONUS_NAMES
from rwkv_core.models.sizes import Shapes

Kind = Literal["table", "matrix", "sparse", "low_rank", "vector"]

_RANKS = {"6": ("decay", "mix"), "7": ("a", "g", "v", "w")}


@dataclass(frozen=True)
class Sizes:
    """The few numbers that every tensor's shape follows from.

    Attributes:
        generation: "4", "5.0", "5.1", "5.2", "6" or "7".
        layers: blocks, L.
        width: channels, C.
        vocabulary: rows of the embedding, V.
        ffn: width of the channel mix, F; 0 for 4 * C.
        ranks: of the low-rank matrices, name and columns: "mix" and "decay" in RWKV-6; "w",
            "a", "v" and "g" in RWKV-7.
        head_size: K.
    """

    generation: str
    layers: int
    width: int
    vocabulary: int
    ffn: int = 0
    ranks: tuple[tuple[str, int], ...] = ()
    head_size: int = 64


class Entry(NamedTuple):
    """One tensor of a layer: what it is used for, its shape, its type when read from the file.

    Quantised rows that are looked up in the file also have the bytes that they take there.
    """

    kind: Kind
    shape: tuple[int, ...]
    dtype: torch.dtype
    quantized_bytes: int | None = None


# Tensors that are alike are counted together.
Layer = tuple[tuple[Entry, int], ...]


@dataclass(frozen=True)
class Inventory:
    """What a model is made of.

    Attributes:
        config: sizes.
        layers: what each layer holds, tables left out.
        last: what belongs to the final norm and the head.
        tables: what is looked up and stays in the file: the embedding, and RWKV-7a's own.
        bits: that a number takes in the file, on average.
    """

    config: ModelConfig
    layers: tuple[Layer, ...]
    last: Layer
    tables: Layer
    bits: float

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        every = (*self.layers, self.last, self.tables)
        return sum(_numbers(entry) * count for layer in every for entry, count in layer)


def _numbers(entry: Entry) -> int:
    return torch.Size(entry.shape).numel()


def outline(sizes: Sizes) -> Network:
    """Make the network of these sizes, without weights.

    Raises:
        SettingsError: a generation without a runtime, sizes that do not fit, or a rank too few
            or too many.
    """
    _check(sizes)
    shapes = _telling_shapes(sizes)
    config = detect_config(shapes)
    with torch.device("meta"):
        return GENERATIONS[config.generation].empty(config, shapes)


@lru_cache(maxsize=256)
def inventory_of_sizes(sizes: Sizes, dtype: torch.dtype = torch.bfloat16) -> Inventory:
    """List what a file of these sizes holds; errors as of `outline`.

    Args:
        sizes: of the model.
        dtype: of its tensors in the file.
    """
    # Two layers tell all: only the first differs from the others.
    few = outline(_with_layers(sizes, min(2, sizes.layers)))
    found = _inventory(few, lambda _: dtype, 8 * dtype.itemsize)
    layers = (*found.layers[:1], *found.layers[1:] * (sizes.layers - 1))
    config = detect_config(_telling_shapes(sizes))
    return replace(found, config=config, layers=layers)


def inventory_of_file(checkpoint: Checkpoint) -> Inventory:
    """List what an opened checkpoint holds, whose header alone is read."""
    with torch.device("meta"):
        network = checkpoint.make_network()
    dtypes: Mapping[str, torch.dtype] = checkpoint.tensors.dtypes
    quantized = checkpoint.tensors.quantized_bytes
    return _inventory(network, dtypes.__getitem__, checkpoint.tensors.bits, quantized)


def _inventory(
    network: Network,
    dtype_of: Callable[[str], torch.dtype],
    bits: float,
    quantized_bytes: Mapping[str, int] = MappingProxyType({}),
) -> Inventory:
    parts: dict[str, Counter[Entry]] = {}
    for path, owner in network.named_modules():
        # Each module's own, as looking every name up takes longer than all the rest.
        for name, parameter in owner.named_parameters(path, recurse=False):
            kind = _kind_of(owner, name, parameter)
            layer = re.match(r"blocks\.(\d+)\.", name)
            place = "tables" if kind == "table" else layer[1] if layer else "last"
            in_file = quantized_bytes.get(name) if kind == "table" else None
            entry = Entry(kind, tuple(parameter.shape), dtype_of(name), in_file)
            parts.setdefault(place, Counter())[entry] += 1
    frozen = {place: tuple(sorted(found.items(), key=str)) for place, found in parts.items()}
    layers = tuple(frozen[str(layer)] for layer in range(network.config.n_layer))
    return Inventory(network.config, layers, frozen["last"], frozen["tables"], bits)


def _kind_of(owner: nn.Module, name: str, parameter: torch.Tensor) -> Kind:
    if isinstance(owner, Lookup):
        return "table"
    if not is_matrix(name, parameter):
        return "vector"
    if not isinstance(owner, Matrix):
        return "low_rank"
    return "sparse" if SPARSE.match(name) else "matrix"


def _check(sizes: Sizes) -> None:
    known = [name for name in GENERATIONS if name != "7a"]
    if sizes.generation not in known:
        raise SettingsError(
            f"generation {sizes.generation!r} is none of {', '.join(known)}; correct the sizes"
        )
    if min(sizes.layers, sizes.width, sizes.vocabulary) < 1 or sizes.width % sizes.head_size:
        raise SettingsError(
            f"{sizes.layers} layers of {sizes.width} channels in heads of {sizes.head_size} with "
            f"{sizes.vocabulary} tokens make no model; correct the sizes"
        )
    expected, found = _RANKS.get(sizes.generation, ()), tuple(sorted(dict(sizes.ranks)))
    if found != expected:
        raise SettingsError(
            f"RWKV-{sizes.generation} has the ranks {', '.join(expected) or 'none'}, "
            f"not {', '.join(found) or 'none'}; correct the sizes"
        )


def _with_layers(sizes: Sizes, layers: int) -> Sizes:
    return Sizes(**{**vars(sizes), "layers": layers})


def _telling_shapes(sizes: Sizes) -> Shapes:
    """Shapes of those tensors from which a generation reads its sizes and ranks."""
    C, V, ranks = sizes.width, sizes.vocabulary, dict(sizes.ranks)
    heads, ffn = (C // sizes.head_size, sizes.head_size), sizes.ffn or 4 * C
    shapes: dict[str, tuple[int, ...]] = {
        "emb.weight": (V, C),
        "blocks.0.ffn.key.weight": (ffn, C),
        "blocks.0.att.key.weight": (C, C),
    }
    shapes |= {f"blocks.{layer}.ln1.weight": (C,) for layer in range(sizes.layers)}
    if sizes.generation == "4":
        shapes["blocks.0.att.time_decay"] = (C,)
    elif sizes.generation == "6":
        shapes["blocks.0.att.time_maa_x"] = (1, 1, C)
        shapes["blocks.0.att.time_faaaa"] = heads
        shapes["blocks.0.att.time_maa_w1"] = (C, 5 * ranks["mix"])
        shapes["blocks.0.att.time_decay_w1"] = (C, ranks["decay"])
    elif sizes.generation == "7":
        shapes["blocks.0.att.r_k"] = heads
        layer = min(1, sizes.layers - 1)
        shapes |= {f"blocks.{layer}.att.{kind}1": (C, rank) for kind, rank in ranks.items()}
    else:
        # 5.0 keeps the bonus's logarithm; one number for each head until 5.2.
        bonus = BONUS_NAMES[1] if sizes.generation == "5.0" else BONUS_NAMES[0]
        per_head = heads if sizes.generation == "5.2" else heads[:1]
        shapes["blocks.0.att.ln_x.weight"] = (C,)
        shapes |= {f"blocks.0.att.{name}": per_head for name in ("time_decay", bonus)}
        if sizes.generation != "5.0":
            shapes["blocks.0.att.gate.weight"] = (C, C)
    return shapes
