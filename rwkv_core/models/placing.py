"""Give a network its weights, where and in which form the strategy wants them."""

from __future__ import annotations

import re
from collections import deque

import torch
from torch import Tensor, nn

from rwkv_core.checkpoint import StoredTensor
from rwkv_core.models.blocks import Lookup, Matrix, Network, QuantizedLookup
from rwkv_core.models.loading import Checkpoint
from rwkv_core.models.packed import Packer, low_rank_module, packer
from rwkv_core.quantization import QuantizedMatrix
from rwkv_core.strategy import Place, Placement

# How often upstream halves the stream of RWKV-4 to 6 so that fp16 does not overflow.
RESCALE_EVERY = 6
_RESCALED = re.compile(r"blocks\.(\d+)\.(?:att\.output|ffn\.value)\.weight$")

# Its inputs have gone through a squared ReLU; see kernels.plan.Plan.nonzero.
SPARSE = re.compile(r"blocks\.\d+\.ffn\.value\.weight$")


def build_network(
    checkpoint: Checkpoint,
    placement: Placement,
    *,
    pack_threads: int = 0,
    gpu: torch.device | None = None,
) -> Network:
    """Make the network and give it the checkpoint's weights, one after the other.

    Args:
        checkpoint: where the weights come from.
        placement: where they go.
        pack_threads: threads of packed matrices' products, whose format is the strategy's or
            the file's (see models.packed); 0: matrices are torch's.
        gpu: that packed matrices are for, instead of the CPU.

    Matrices take the type of their layer's place; vectors and norms stay float32, where
    rounding hurts. The embedding and other tables stay as they are in the file, in the CPU's
    memory. Whatever is converted is so in pieces, so that beside the network there is never
    more than a few megabytes. Where fp16 occurs, generations that upstream rescales are
    rescaled the same way.
    """
    with torch.device("meta"):
        network = checkpoint.make_network()
    # Packed products are of floats of 32 bits, which do not overflow.
    is_packed = pack_threads > 0 or gpu is not None
    if placement.has_fp16 and network.is_rescaled and not is_packed:
        network.rescale_every = RESCALE_EVERY
    places = placement.allocate(checkpoint.config.n_layer)
    make = packer(checkpoint.config, pack_threads, gpu)
    for name in checkpoint.tensors:
        tensor = checkpoint.tensors.stored(name)
        if network.rescale_every and (found := _RESCALED.match(name)):
            tensor = _divided(tensor, 2 ** (int(found[1]) // network.rescale_every))
        owner = network.get_submodule(name.rpartition(".")[0])
        if is_packed and is_matrix(name, tensor) and not isinstance(owner, Lookup):
            _pack(network, name, tensor, _place_of(name, places), make)
        else:
            _put(network, name, tensor, _place_of(name, places))
    return network.requires_grad_(False).eval()


def _place_of(name: str, places: list[Place]) -> Place:
    """Find a tensor's place: its layer's, or the last one's for the final norm and the head."""
    layer = re.match(r"blocks\.(\d+)\.", name)
    return places[int(layer[1])] if layer else places[-1]


def _pack(network: Network, name: str, tensor: StoredTensor, place: Place, make: Packer) -> None:
    """Put a packed matrix where an empty one, or an empty low-rank parameter, is."""
    path, _, leaf = name.rpartition(".")
    owner = network.get_submodule(path)
    if not isinstance(owner, Matrix):
        delattr(owner, leaf)
        packed = low_rank_module(tensor, lambda rows: make(tensor, rows, place, True, False))
        owner.add_module(leaf, packed)
        return
    parent, _, child = path.rpartition(".")
    matrix = make(tensor, tensor, place, False, SPARSE.match(name) is not None)
    setattr(network.get_submodule(parent), child, matrix)


def _put(network: Network, name: str, tensor: StoredTensor, place: Place) -> None:
    """Replace one empty parameter, or one empty matrix by a quantised one."""
    path, _, leaf = name.rpartition(".")
    owner = network.get_submodule(path)
    if isinstance(owner, Lookup):
        _put_table(network, path, tensor)
        return
    is_streamed = place.is_streamed and isinstance(owner, Matrix)
    device = torch.device("cpu") if is_streamed else place.device
    if place.format != "float" and is_matrix(name, tensor):
        if isinstance(owner, Matrix):
            parent, _, leaf = path.rpartition(".")
            owner = network.get_submodule(parent)
            matrix: nn.Module = QuantizedMatrix(tensor, place.format, place.dtype)
        else:
            matrix = low_rank_module(tensor, lambda w: QuantizedMatrix(w, "int8", place.dtype))
        delattr(owner, leaf)
        owner.add_module(leaf, matrix.to(device))
        return
    dtype = place.dtype if is_matrix(name, tensor) else torch.float32
    placed = _convert(tensor, device, dtype)
    if is_streamed and place.device.type == "cuda":
        placed = placed.pin_memory()
    owner.register_parameter(leaf, nn.Parameter(placed, requires_grad=False))


def _put_table(network: Network, path: str, tensor: StoredTensor) -> None:
    """Replace an empty table by what is mapped."""
    if tensor.quantized is None:
        table = nn.Parameter(tensor[:], requires_grad=False)
        network.get_submodule(path).register_parameter("weight", table)
        return
    # Read once for the check of its values.
    deque(tensor.blocks(), maxlen=0)
    lookup = QuantizedLookup(tensor.quantized, tensor.shape[1])
    network.set_submodule(path, lookup)


def _divided(tensor: StoredTensor, divisor: int) -> StoredTensor:
    return tensor.each_row(lambda rows: rows / divisor)


def _convert(stored: StoredTensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Give a tensor its type and device, piece by piece where that makes a second copy of it."""
    if stored.dtype == dtype:
        return stored[:].to(device)
    placed = torch.empty(stored.shape, dtype=dtype, device=device)
    for rows, block in stored.blocks():
        placed[rows] = block
    return placed


def is_matrix(name: str, tensor: StoredTensor | Tensor) -> bool:
    """Whether a parameter takes part in matrix products: `.weight`, or a low-rank w1, w2 ..."""
    leaf = name.rpartition(".")[2]
    return len(tensor.shape) >= 2 and (leaf == "weight" or leaf[-1] in "12")
