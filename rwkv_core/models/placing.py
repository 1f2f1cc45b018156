"""Give a network its weights, where and in which type the strategy wants them."""

from __future__ import annotations

import torch
from torch import Tensor

from rwkv_core.models.blocks import Lookup, Network
from rwkv_core.models.loading import Checkpoint
from rwkv_core.strategy import Placement


def build_network(checkpoint: Checkpoint, placement: Placement) -> Network:
    """Make the network and give it the checkpoint's weights in the placement's dtype.

    Matrices take the placement's dtype; vectors and norms stay float32, where rounding hurts.
    Lookup tables stay as they are in the file.
    """
    with torch.device("meta"):
        network = checkpoint.make_network()
    tables = {
        f"{name}.weight" for name, part in network.named_modules() if isinstance(part, Lookup)
    }
    weights = {
        name: tensor
        if name in tables
        else tensor.to(placement.dtype if is_matrix(name, tensor) else torch.float32)
        for name, tensor in checkpoint.tensors.items()
    }
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()


def is_matrix(name: str, tensor: Tensor) -> bool:
    """Whether a parameter takes part in matrix products: `.weight`, or a low-rank w1, w2 ..."""
    leaf = name.rpartition(".")[2]
    return tensor.dim() >= 2 and (leaf == "weight" or leaf[-1] in "12")
