"""Undo Hugging Face naming: flash-linear-attention's RWKV-7, transformers' RWKV-4 to 6.

flash-linear-attention (`RWKV7ForCausalLM`) keeps a low-rank pair as two linear layers, so both
matrices are transposed and the constant is the second one's bias; vectors lose their axes of
length 1; older files hold the six mixes as one tensor `x_x`. Checked against its
`utils/convert_from_rwkv7.py` (commit 20ceee5), `models/rwkv7/modeling_rwkv7.py` (0315a70: order
of x_x) and `layers/rwkv7.py` (epsilon of the group norm: head_dim * norm_eps).

transformers (`RwkvForCausalLM`) renames and nothing else; checked against its
`convert_rwkv_checkpoint_to_hf.py` (0851a87). Files of RWKV-5 and 6 for code kept beside the
model follow it: RWKV-6 as llama.cpp's converter reads it, RWKV-5 as `modeling_rwkv5.py` declares.
"""

from __future__ import annotations

import math
import re

from rwkv_core.checkpoint.weights import StoredTensor
from rwkv_core.errors import CheckpointError, UnsupportedModelError

# Of every layer norm of every generation.
LAYER_NORM_EPS = 1e-5

_FLA = re.compile(r"^model\.layers\.\d+\.attn\.(?:[wag]_lora\.lora\.|x_[rx]$|r_k$)")
_FLA_OTHER = re.compile(r"^model\.layers\.\d+\.attn\.(?:x_proj\.0\.|w_proj\.lora\.)")
_HYBRID = re.compile(r"\.self_attn\.(?:time_|r_k$|[wavg][012]$|[wavg]_lora\.|x_[rwkvag]$)")
_TRANSFORMERS = re.compile(r"^rwkv\.blocks\.\d+\.attention\.time_")

_FLA_PARTS = {
    "pre_norm": "ln0",
    "attn_norm": "ln1",
    "ffn_norm": "ln2",
    "attn.g_norm": "att.ln_x",
    "attn.r_proj": "att.receptance",
    "attn.k_proj": "att.key",
    "attn.v_proj": "att.value",
    "attn.o_proj": "att.output",
    "attn": "att",
}
_FLA_OUTSIDE = {
    "model.embeddings.": "emb.",
    "model.norm.": "ln_out.",
    "lm_head.": "head.",
}
_FLA_LOW_RANK = re.compile(r"attn\.([wavg])_lora\.lora\.(0\.weight|2\.weight|2\.bias)$")
_FLA_VECTOR = re.compile(r"\.(?:att\.(?:[wav]0|k_k|k_a|x_[rwkvag])|ffn\.x_k)$")
_FLA_MIXES = "rwkvag"
_TRANSFORMERS_PARTS = (
    (r"^rwkv\.", ""),
    (r"^embeddings\.", "emb."),
    (r"^(blocks\.\d+)\.pre_ln\.", r"\1.ln0."),
    (r"^(blocks\.\d+)\.attention\.", r"\1.att."),
    (r"^(blocks\.\d+)\.feed_forward\.", r"\1.ffn."),
    (r"\.time_mix_key$", ".time_mix_k"),
    (r"\.time_mix_value$", ".time_mix_v"),
    (r"\.time_mix_receptance$", ".time_mix_r"),
    (r"\.time_mix_gate$", ".time_mix_g"),
)


def undo_hugging_face(
    tensors: dict[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], str] | None:
    """Give tensors their official names, orientation and shape.

    Returns:
        The tensors and how the format was told; None where it is not this one.

    Raises:
        UnsupportedModelError: an RWKV inside another model, or with other parameters.
        CheckpointError: mixes that are not six.
    """
    if mark := _first(tensors, _HYBRID):
        raise UnsupportedModelError(
            f"this is a Transformer such as Qwen whose attention was replaced by RWKV (it holds "
            f"{mark}), which this version does not run; choose a plain RWKV file"
        )
    if mark := _first(tensors, _FLA_OTHER):
        raise UnsupportedModelError(
            f"this is flash-linear-attention's own form of RWKV-6 (it holds {mark}), which this "
            "version does not run; choose the official .pth of the same model"
        )
    if _first(tensors, _FLA):
        return _from_fla(tensors), "RWKV-7 in flash-linear-attention's names"
    if _first(tensors, _TRANSFORMERS):
        return {_from_transformers(name): t for name, t in tensors.items()}, "transformers' names"
    return None


def norm_eps(config: dict[str, object]) -> float | None:
    """Read the epsilon of the group norm from a `config.json`; None where it states none.

    Raises:
        UnsupportedModelError: layer norms with another epsilon than every released model's.
    """
    eps = config.get("norm_eps", config.get("layer_norm_epsilon", LAYER_NORM_EPS))
    if not isinstance(eps, int | float) or not math.isclose(eps, LAYER_NORM_EPS, rel_tol=1e-3):
        raise UnsupportedModelError(
            f"config.json asks for layer norms with epsilon {str(eps)[:40]}, this version has "
            f"{LAYER_NORM_EPS}; choose a model with the official one"
        )
    head_dim = config.get("head_dim")
    if config.get("model_type") == "rwkv7" and isinstance(head_dim, int) and head_dim > 0:
        return head_dim * float(eps)
    return None


def _first(tensors: dict[str, StoredTensor], mark: re.Pattern[str]) -> str | None:
    return next((name for name in tensors if mark.search(name)), None)


def _from_fla(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    official: dict[str, StoredTensor] = {}
    for fla_name, tensor in tensors.items():
        name = _fla_name(fla_name)
        if name.endswith(".att.x_x"):
            official |= split_mixes(name, tensor, [f"x_{letter}" for letter in _FLA_MIXES])
        elif _FLA_VECTOR.search(name):
            official[name] = tensor.reshaped(1, 1, tensor.numel)
        elif re.search(r"\.att\.[wavg][12]$", name):
            official[name] = tensor.transposed()
        else:
            official[name] = tensor
    return official


def _fla_name(name: str) -> str:
    for prefix, outside in _FLA_OUTSIDE.items():
        if name.startswith(prefix):
            return outside + name.removeprefix(prefix)
    found = re.match(r"model\.layers\.(\d+)\.(.+)$", name)
    if not found:
        return name
    layer, rest = found.groups()
    if low_rank := _FLA_LOW_RANK.match(rest):
        number = {"0.weight": 1, "2.weight": 2, "2.bias": 0}[low_rank[2]]
        return f"blocks.{layer}.att.{low_rank[1]}{number}"
    for part, own in _FLA_PARTS.items():
        if rest.startswith(f"{part}."):
            return f"blocks.{layer}.{own}.{rest.removeprefix(part + '.')}"
    return f"blocks.{layer}.{rest}"


def split_mixes(name: str, fused: StoredTensor, names: list[str]) -> dict[str, StoredTensor]:
    """Take apart mixes that were joined, (n, ..., C), to (1, 1, C) each.

    Args:
        name: of the joined tensor; the others get its prefix.
        fused: the joined tensor.
        names: of the parts, in their order.

    Raises:
        CheckpointError: there are not as many parts as names.
    """
    prefix = name.rpartition(".")[0]
    if len(fused.shape) < 2 or fused.shape[0] != len(names):
        raise CheckpointError(
            f"tensor {name} is {fused.shape} instead of {len(names)} joined mixes; "
            "fetch the file again"
        )
    shape = (1, 1, fused.numel // len(names))
    return {f"{prefix}.{own}": fused.part(index, shape) for index, own in enumerate(names)}


def _from_transformers(name: str) -> str:
    for pattern, official in _TRANSFORMERS_PARTS:
        name = re.sub(pattern, official, name)
    return name
