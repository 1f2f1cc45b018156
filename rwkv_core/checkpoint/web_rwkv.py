"""Undo what the converters of web-rwkv and ai00 do to names and matrices (`.st` files).

They write every tensor as fp16, `time_faaaa` as `time_first`, `time_maa` as `time_mix`, repeat
RWKV-5.1's numbers per head over the head's channels, and swap the last two axes of the low-rank
matrices. Checked against `convert_safetensors.py` of ai00_server (commit 5ff7a6a). RWKV-4 files
come out as they were, and RWKV-5.0 is not converted at all: web-rwkv cannot run it.
"""

from __future__ import annotations

import re

from rwkv_core.checkpoint.weights import StoredTensor

_TURNED_V6 = re.compile(r"\.(?:time_maa_w[12]|time_decay_w[12])$")
_TURNED_V7 = re.compile(r"\.att\.[wavg][12]$")
# "time_mix_" is RWKV-5's own name of the mixes, so only what is sure to be RWKV-6 is renamed.
_MARK_V6 = "blocks.0.att.time_mix_x"


def undo_web_rwkv(tensors: dict[str, StoredTensor]) -> tuple[dict[str, StoredTensor], str] | None:
    """Give tensors their official names, orientation and shape.

    Returns:
        The tensors and how the format was told; None where it is not this one.
    """
    if _MARK_V6 in tensors:
        renamed = {_official_v6(name): tensor for name, tensor in tensors.items()}
        return _turn(renamed, _TURNED_V6), "RWKV-6 whose mixes are called time_mix"
    bonus = tensors.get("blocks.0.att.time_first")
    # Official files that say time_first have one number per head.
    if bonus and "blocks.0.att.gate.weight" in tensors and len(bonus.shape) == 2:
        if bonus.shape[1] > 1:
            return _official_v5(tensors), "RWKV-5 whose bonus per channel is called time_first"
        return None
    if _is_turned_v7(tensors):
        return _turn(tensors, _TURNED_V7), "RWKV-7 whose low-rank matrices are transposed"
    return None


def _official_v6(name: str) -> str:
    return name.replace(".time_mix_", ".time_maa_").replace(".time_first", ".time_faaaa")


def _official_v5(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    tensors = {name.replace(".time_first", ".time_faaaa"): t for name, t in tensors.items()}
    per_head = [name for name in tensors if re.search(r"\.att\.time_(?:decay|faaaa)$", name)]
    if all(_is_repeated(tensors[name]) for name in per_head):  # RWKV-5.1
        tensors |= {name: _first_column(tensors[name]) for name in per_head}
    return tensors


def _is_repeated(tensor: StoredTensor) -> bool:
    if len(tensor.shape) != 2:
        return False
    values = tensor[:]
    return bool((values == values[:, :1]).all())


def _first_column(tensor: StoredTensor) -> StoredTensor:
    return StoredTensor(tensor.shape[:1], tensor.dtype, lambda rows: tensor[rows][:, 0])


def _is_turned_v7(tensors: dict[str, StoredTensor]) -> bool:
    """Whether w1 is (rank, C) instead of (C, rank); a rank is smaller than C."""
    emb, w1 = tensors.get("emb.weight"), tensors.get("blocks.0.att.w1")
    if not emb or not w1 or len(emb.shape) != 2 or len(w1.shape) != 2:
        return False
    return w1.shape[1] == emb.shape[1] and w1.shape[0] < emb.shape[1]


def _turn(tensors: dict[str, StoredTensor], which: re.Pattern[str]) -> dict[str, StoredTensor]:
    return {
        name: tensor.transposed() if which.search(name) else tensor
        for name, tensor in tensors.items()
    }
