"""Choose tokens on a GPU, so that logits need not leave it. Meaning: rwkv_core/sampling.py."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kernels.cuda.device import Device

NOT_FINITE, ALL_BANNED = -1, -2
THREADS = 1024


@dataclass(frozen=True)
class TokenChoice:
    """How one conversation's token is chosen.

    Attributes:
        temperature: 0 takes the most likely token.
        top_p: keeps the most likely tokens that together reach this probability; 1 keeps all.
        top_k: keeps at most this many; 0 keeps all.
        seed: of the noise, 0 to 2**64 - 1.
        position: of the new token in its whole text.
        adjustments: what is taken from some tokens' logits; infinity bans a token.
    """

    temperature: float
    top_p: float
    top_k: int
    seed: int
    position: int
    adjustments: Mapping[int, float] = field(default_factory=dict)


class _Choice(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_double) for name in ("temperature", "top_p")),
        *((name, ctypes.c_int64) for name in ("top_k", "position")),
        ("seed", ctypes.c_uint64),
        *((name, ctypes.c_int64) for name in ("first", "last")),
    ]


def sample_tokens(device: Device, logits: Tensor, choices: Sequence[TokenChoice]) -> Tensor:
    """Choose a token for each conversation.

    Args:
        device: where the logits lie.
        logits: (B, V) float32, not changed.
        choices: of each.

    Returns:
        (B,) int64 on the device: ids, NOT_FINITE where logits hold NaN or infinity, ALL_BANNED
        where no token is left.

    Raises:
        BuildError: the kernel cannot be compiled here.
    """
    B, V = logits.shape
    where = device.torch_device
    items = (_Choice * B)()
    tokens: list[int] = []
    amounts: list[float] = []
    for item, choice in zip(items, choices, strict=True):
        assert all(0 <= token < V for token in choice.adjustments)
        first = len(tokens)
        tokens += choice.adjustments.keys()
        amounts += choice.adjustments.values()
        item.temperature, item.top_p, item.top_k = choice.temperature, choice.top_p, choice.top_k
        item.position, item.seed = choice.position, choice.seed
        item.first, item.last = first, len(tokens)
    on_device = torch.frombuffer(bytearray(items), dtype=torch.uint8).clone().to(where)
    adjusted = torch.tensor(tokens, dtype=torch.int64, device=where)
    taken = torch.tensor(amounts, dtype=torch.float64, device=where)
    scratch = torch.empty(B, 2, V, dtype=torch.float32, device=where)
    chosen = torch.empty(B, dtype=torch.int64, device=where)
    kernel = device.kernel("sampling.cu", "sample")
    tensors = (logits.contiguous(), on_device, adjusted, taken, scratch, chosen)
    device.launch(kernel, (B, 1), THREADS, *tensors, V)
    return chosen
