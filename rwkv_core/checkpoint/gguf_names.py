"""Undo what llama.cpp's converter does to RWKV-6 and RWKV-7: names, axes, joined mixes, scale.

Checked against `conversion/rwkv.py` of llama.cpp and the tensor names of the package gguf 0.19:
low-rank matrices are transposed, axes of length 1 dropped, `r_k` is flat, the mixes are joined
(RWKV-7: r w k v a g, RWKV-6: w k v r g), layer 0 of RWKV-7 gets unused v0 v1 v2, and in RWKV-6
`output` and `value` of layer i are divided by 2^(i // rescale_every_n_layers), as fp16 needs it.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from rwkv_core.checkpoint.gguf_file import GgufContents, Value
from rwkv_core.checkpoint.hugging_face import LAYER_NORM_EPS, split_mixes
from rwkv_core.checkpoint.weights import FETCH_AGAIN, Contents, StoredTensor
from rwkv_core.errors import CheckpointError, UnsupportedModelError

_OUTSIDE = {
    "token_embd": "emb",
    "token_embd_norm": "blocks.0.ln0",
    "output_norm": "ln_out",
    "output": "head",
}
# What both generations have, and what they have apart; all after "blk.<layer>.".
_COMMON = {
    "attn_norm": "ln1",
    "attn_norm_2": "ln2",
    "time_mix_ln": "att.ln_x",
    **{f"time_mix_{name}": f"att.{name}" for name in ("receptance", "key", "value", "output")},
    **{f"channel_mix_{name}": f"ffn.{name}" for name in ("key", "value")},
}
_V6 = {
    "time_mix_gate": "att.gate",
    "channel_mix_receptance": "ffn.receptance",
    "time_mix_decay": "att.time_decay",
    "time_mix_first": "att.time_faaaa",
    **{f"time_mix_w{n}": f"att.time_maa_w{n}" for n in (1, 2)},
    **{f"time_mix_decay_w{n}": f"att.time_decay_w{n}" for n in (1, 2)},
    **{f"time_mix_lerp_{name}": f"att.time_maa_{name}" for name in "xwkvrg"},
    **{f"channel_mix_lerp_{name}": f"ffn.time_maa_{name}" for name in "kr"},
}
_V7 = {
    **{f"time_mix_{kind}{n}": f"att.{kind}{n}" for kind in "wavg" for n in range(3)},
    **{f"time_mix_{name}": f"att.{name}" for name in ("k_k", "k_a", "r_k")},
    "channel_mix_lerp_k": "ffn.x_k",
}
_MIXES = {"rwkv6": [f"time_maa_{name}" for name in "wkvrg"], "rwkv7": [f"x_{n}" for n in "rwkvag"]}
# Official names without ".weight": parameters of a block itself.
_VECTOR = re.compile(r"\.(?:time_maa_[xwkvrg]|time_decay|x_k|[wav]0|k_k|k_a)$")
_TURNED = re.compile(r"\.(?:time_maa_w[12]|time_decay_w[12]|[wavg][12])$")
_PARAMETER = re.compile(r"\.(?:time_\w+|x_k|[wavg][012]|k_k|k_a|r_k)$")
_SCALED = re.compile(r"blocks\.(\d+)\.(?:att\.output|ffn\.value)\.weight$")
_HYBRIDS = ("rwkv6qwen2", "arwkv7")


def undo_gguf(file: GgufContents) -> Contents:
    """Give a GGUF file's tensors their official names, orientation, shape and scale.

    Raises:
        UnsupportedModelError: of another architecture, or one of several parts.
        CheckpointError: metadata or a joined tensor is damaged.
    """
    architecture = str(file.metadata.get("general.architecture"))[:40]
    _check_supported(architecture, file.metadata)
    names = _COMMON | (_V6 if architecture == "rwkv6" else _V7)
    tensors: dict[str, StoredTensor] = {}
    for gguf_name, tensor in file.contents.tensors.items():
        layer, _, rest = gguf_name.removeprefix("blk.").partition(".")
        if rest == "time_mix_lerp_fused.weight":
            joined = f"blocks.{layer}.att.lerp_fused"
            tensors |= split_mixes(joined, tensor, _MIXES[architecture])
        else:
            name = _official(gguf_name, names)
            tensors[name] = _official_shape(name, tensor, file.metadata, architecture)
    reason = f"{file.contents.format.reason} and names the architecture {architecture}"
    return replace(
        file.contents, tensors=tensors, format=file.contents.format._replace(reason=reason)
    )


def _check_supported(architecture: str, metadata: dict[str, Value]) -> None:
    if architecture in _HYBRIDS:
        raise UnsupportedModelError(
            f"this is a Qwen whose attention was replaced by RWKV (GGUF architecture "
            f"{architecture}), which this version does not run; choose a plain RWKV file"
        )
    if architecture not in _MIXES:
        raise UnsupportedModelError(
            f"this is a GGUF file of the architecture {architecture!r}, not an RWKV language "
            "model that this version reads (rwkv6, rwkv7); choose such a file"
        )
    if metadata.get("split.count", 0) not in (0, 1):
        raise UnsupportedModelError(
            f"this is one of {metadata['split.count']} parts of a GGUF file; join them with "
            "llama-gguf-split --merge"
        )
    eps = metadata.get(f"{architecture}.attention.layer_norm_epsilon", LAYER_NORM_EPS)
    if not isinstance(eps, float) or not math.isclose(eps, LAYER_NORM_EPS, rel_tol=1e-3):
        raise UnsupportedModelError(
            f"this file asks for layer norms with epsilon {eps}, this version has "
            f"{LAYER_NORM_EPS}; choose a model with the official one"
        )


def _official(name: str, names: dict[str, str]) -> str:
    """Rename one tensor; a name that nobody knows stays, to be refused by it."""
    outside, _, kind = name.partition(".")
    if outside in _OUTSIDE:
        return f"{_OUTSIDE[outside]}.{kind}"
    found = re.match(r"blk\.(\d+)\.(\w+)\.(weight|bias)$", name)
    if not found or found[2] not in names:
        return name
    official = f"blocks.{found[1]}.{names[found[2]]}"
    return official if _PARAMETER.search(official) else f"{official}.{found[3]}"


def _official_shape(
    name: str, tensor: StoredTensor, metadata: dict[str, Value], architecture: str
) -> StoredTensor:
    if _VECTOR.search(name):
        return tensor.reshaped(1, 1, tensor.numel)
    if _TURNED.search(name):
        return tensor.transposed()
    if name.endswith(".r_k"):
        size = _count(metadata, f"{architecture}.wkv.head_size")
        return tensor.reshaped(tensor.numel // size, size)
    if (scaled := _SCALED.match(name)) and architecture == "rwkv6":
        key = "rwkv6.rescale_every_n_layers"
        every = _count(metadata, key) if metadata.get(key) else 0
        exponent = int(scaled[1]) // every if every else 0
        # Exact: a power of two.
        return tensor.each_row(lambda rows: rows * 2**exponent) if exponent else tensor
    return tensor


def _count(metadata: dict[str, Value], key: str) -> int:
    value = metadata.get(key)
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(f"its metadata {key} is {value}, not a count; {FETCH_AGAIN}")
    return value
