"""Writers of other projects' weight formats, for tests.

Each follows the rules of that project's own converter, from official names to its own. None is
made by turning our reader around.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

Tensors = dict[str, Tensor]

# ai00_server, assets/scripts/convert_safetensors.py
WEB_RWKV_RENAMED = {
    "time_faaaa": "time_first",
    "time_maa": "time_mix",
    "lora_A": "lora.0",
    "lora_B": "lora.1",
}
WEB_RWKV_TRANSPOSED = [
    "time_mix_w1",
    "time_mix_w2",
    "time_decay_w1",
    "time_decay_w2",
    "w1",
    "w2",
    "a1",
    "a2",
    "g1",
    "g2",
    "v1",
    "v2",
    "time_state",
    "lora.0",
]


def as_web_rwkv(weights: Mapping[str, Tensor], *, generation: str) -> Tensors:
    """Convert as web-rwkv and ai00 do, to fp16."""
    n_embd, converted = weights["emb.weight"].shape[1], {}
    for name, value in weights.items():
        if generation == "5.1" and ("time_decay" in name or "time_faaaa" in name):
            heads = value.reshape(-1)
            value = heads.unsqueeze(1).repeat(1, n_embd // len(heads))
        for old, new in WEB_RWKV_RENAMED.items():
            name = name.replace(old, new)
        value = value.half()
        if any(part in name for part in WEB_RWKV_TRANSPOSED):
            value = value.transpose(value.dim() - 2, value.dim() - 1)
        converted[name.lower()] = value.contiguous()
    return converted


def as_fla(weights: Mapping[str, Tensor], *, has_fused_mixes: bool = False) -> Tensors:
    """Convert RWKV-7 as flash-linear-attention's utils/convert_from_rwkv7.py does.

    Args:
        weights: official names.
        has_fused_mixes: whether the six mixes are one tensor, as its first version had them.
    """
    modules = {
        "att": "attn",
        "ffn": "ffn",
        "ln0": "pre_norm",
        "ln1": "attn_norm",
        "ln2": "ffn_norm",
    }
    projections = {
        "receptance": "r_proj", "key": "k_proj", "value": "v_proj", "ln_x": "g_norm",
        "output": "o_proj",
    }  # fmt: skip
    outside = {
        "emb.weight": "model.embeddings.weight", "ln_out.weight": "model.norm.weight",
        "ln_out.bias": "model.norm.bias", "head.weight": "lm_head.weight",
    }  # fmt: skip
    converted: Tensors = {}
    for name, value in weights.items():
        if name in outside:
            converted[outside[name]] = value
            continue
        if name in {f"blocks.0.att.v{n}" for n in range(3)}:
            continue
        _, layer, module, part, *rest = name.split(".")
        if module == "att" and part[0] in "wavg" and part[1:] in {"0", "1", "2"}:
            converted[
                f"model.layers.{layer}.attn.{part[0]}_lora.lora."
                + {"0": "2.bias", "1": "0.weight", "2": "2.weight"}[part[1]]
            ] = value.squeeze() if part[1] == "0" else value.T.contiguous()
            continue
        if module == "att":
            part = projections.get(part, part)
        if value.shape[:2] == (1, 1) and not (module == "att" and part.startswith("x_")):
            value = value.squeeze()
        converted[".".join(["model.layers", layer, modules[module], part, *rest])] = value
    if has_fused_mixes:
        for layer in {name.split(".")[2] for name in converted if ".layers." in name}:
            prefix = f"model.layers.{layer}.attn.x_"
            mixes = [converted.pop(prefix + letter).flatten() for letter in "rwkvag"]
            converted[prefix + "x"] = torch.stack(mixes)
    return converted


def as_transformers(weights: Mapping[str, Tensor]) -> Tensors:
    """Convert as transformers' convert_rwkv_checkpoint_to_hf.py does; RWKV-5 has a gate too."""
    converted = {}
    for name, value in weights.items():
        for old, new in {
            "emb.": "embeddings.", "blocks.0.ln0": "blocks.0.pre_ln", ".att.": ".attention.",
            ".ffn.": ".feed_forward.",
        }.items():  # fmt: skip
            name = name.replace(old, new)
        for letter, word in {
            "k": "key", "v": "value", "r": "receptance", "g": "gate",
        }.items():  # fmt: skip
            if name.endswith(f".time_mix_{letter}"):
                name = name.removesuffix(letter) + word
        converted[name if name == "head.weight" else f"rwkv.{name}"] = value
    return converted


def write_folder(
    folder: Path, tensors: Mapping[str, Tensor], config: dict[str, object], *, shards: int = 1
) -> Path:
    """Write Hugging Face's layout: config.json, and one file or shards with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        own = names[shard::shards]
        save_file({name: tensors[name] for name in own}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(own, file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


# llama.cpp keeps these in F32 whatever the file's type, as all vectors.
GGUF_F32 = ("time_mix_w1", "time_mix_w2", "time_mix_decay_w", "time_mix_first", "lerp_fused")
Kind = gguf.GGMLQuantizationType


def write_gguf(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    generation: str,
    kind: Kind = Kind.F32,
    rescale_every: int = 6,
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write as llama.cpp's conversion/rwkv.py does, matrices in the given type."""
    architecture = f"rwkv{generation}"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_layer_norm_eps(1e-5)
    writer.add_context_length(1048576)
    writer.add_token_list([f"token {number}".encode() for number in range(5)])
    writer.add_token_types([1, 2, 3, 4, 5])
    if generation == "6":
        writer.add_wkv_head_size(weights["blocks.0.att.time_faaaa"].shape[1])
        writer.add_rescale_every_n_layers(rescale_every)
        converted = _gguf_v6(weights, rescale_every)
    else:
        writer.add_wkv_head_size(weights["blocks.0.att.r_k"].shape[1])
        converted = _gguf_v7(weights)
    for key, value in (metadata or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint32(key, value)  # type: ignore[arg-type]  # callers give numbers
    for name, value in converted.items():
        array = np.ascontiguousarray(value.float().numpy())
        is_f32 = array.ndim == 1 or any(part in name for part in GGUF_F32)
        own = Kind.F32 if is_f32 or array.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] else kind
        writer.add_tensor(name, gguf.quantize(array, own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str, renamed: Mapping[str, str]) -> str:
    """Rename as gguf-py's tensor map does."""
    for old, new in {
        "blocks.0.ln0": "token_embd_norm", "emb": "token_embd", "ln_out": "output_norm",
        "head": "output",
    }.items():  # fmt: skip
        if name.startswith(f"{old}."):
            return name.replace(old, new, 1)
    _, layer, module, *rest = name.split(".")
    if module in {"ln1", "ln2"}:
        return f"blk.{layer}.{'attn_norm' if module == 'ln1' else 'attn_norm_2'}.{rest[0]}"
    part = renamed.get(f"{module}.{rest[0]}", rest[0])
    kind = rest[1] if len(rest) > 1 else "weight"
    return f"blk.{layer}.{'time_mix' if module == 'att' else 'channel_mix'}_{part}.{kind}"


def _gguf_v6(weights: Mapping[str, Tensor], rescale_every: int) -> Tensors:
    renamed = {
        "att.ln_x": "ln", "att.time_faaaa": "first", "att.time_decay": "decay",
        "att.time_decay_w1": "decay_w1", "att.time_decay_w2": "decay_w2",
        "att.time_maa_w1": "w1", "att.time_maa_w2": "w2", "att.time_maa_x": "lerp_x",
        "ffn.time_maa_k": "lerp_k", "ffn.time_maa_r": "lerp_r",
    }  # fmt: skip
    converted: Tensors = {}
    for name, value in weights.items():
        layer = name.split(".")[1]
        if name.startswith("blocks.") and ".att.time_maa_" in name and name[-1] in "wkvrg":
            if name.endswith("_w"):
                parts = [weights[f"{name[:-1]}{letter}"].squeeze()[None] for letter in "wkvrg"]
                converted[f"blk.{layer}.time_mix_lerp_fused.weight"] = torch.stack(parts)[:, None]
            continue
        if name.endswith(("time_maa_w1", "time_decay_w1", "time_decay_w2")):
            value = value.T
        elif name.endswith("time_maa_w2"):
            value = value.permute(0, 2, 1)
        elif name.endswith(("time_decay", "time_maa_x", "time_maa_k", "time_maa_r")):
            value = value.squeeze()
        elif name.endswith(("att.output.weight", "ffn.value.weight")) and rescale_every:
            value = value / 2 ** (int(layer) // rescale_every)
        converted[_gguf_name(name, renamed)] = value
    return converted


def _gguf_v7(weights: Mapping[str, Tensor]) -> Tensors:
    renamed = {"att.ln_x": "ln", "ffn.x_k": "lerp_k"}
    converted: Tensors = {}
    for name, value in weights.items():
        layer, part = name.split(".")[1], name.rpartition(".")[2]
        if ".att.x_" in name:
            if name.endswith("x_r"):
                parts = [weights[f"{name[:-1]}{letter}"] for letter in "rwkvag"]
                converted[f"blk.{layer}.time_mix_lerp_fused.weight"] = torch.stack(parts)
            continue
        if layer == "0" and part in {"v0", "v1", "v2"}:
            continue
        is_low_rank = part[0] in "wavg" and part[1:] in {"1", "2"} and ".att." in name
        value = value.squeeze()
        value = value.T if is_low_rank else value.flatten() if part == "r_k" else value
        new = _gguf_name(name, renamed)
        if layer == "0" and "time_mix_a" in new:
            converted[new.replace("time_mix_a", "time_mix_v")] = value
        converted[new] = value
    return converted
