"""What a checkpoint is, decided once from its tensor names and shapes."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rwkv_core.errors import CheckpointError, UnsupportedModelError

SUPPORTED_GENERATIONS = ("7",)
# Training divides by head_size_divisor = 8 and then uses eps 1e-5: 1e-5 * 8**2.
GROUP_NORM_EPS = 64e-5


class Choice(NamedTuple):
    """An automatic choice and the sentence that says why it was made."""

    value: str
    reason: str


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of one model, read from its tensors.

    Attributes:
        generation: "7" for RWKV-7.
        vocab_size: rows of the embedding, V.
        n_layer: blocks, L.
        n_embd: channels, C = n_head * head_size.
        n_ffn: width of the channel mix, F.
        n_head: heads per layer, H.
        head_size: keys per head, K (values per head are as many).
        ln_x_eps: epsilon of the group norm after the wkv read-out.
    """

    generation: str
    vocab_size: int
    n_layer: int
    n_embd: int
    n_ffn: int
    n_head: int
    head_size: int
    ln_x_eps: float = GROUP_NORM_EPS

    @property
    def state_bytes(self) -> int:
        """Bytes of one conversation's whole memory, float32."""
        return 4 * self.n_layer * self.n_embd * (self.head_size + 2)


def detect_generation(names: Mapping[str, tuple[int, ...]]) -> str:
    """Name the RWKV generation that a set of tensor names belongs to.

    Args:
        names: tensor name -> shape, official key format.

    Returns:
        "4", "5.0", "5.1", "5.2", "6", "7", "7a" or "7b".

    Raises:
        UnsupportedModelError: a research checkpoint, or no RWKV language model at all.
    """
    if any("rosa" in name or name.startswith("e.") or ".enn." in name for name in names):
        raise UnsupportedModelError(
            "this is an RWKV-8 research checkpoint (it holds 'rosa' or 'enn' tensors); "
            "choose a released RWKV-7 file instead"
        )
    # v7 also has ln_x, so it is asked for first.
    if "blocks.0.att.r_k" in names or "blocks.0.att.k_k" in names:
        if "blocks.0.qkv.qq.weight" in names:
            return "7b"
        return "7a" if "blocks.0.ffn.s_emb.weight" in names else "7"
    if "blocks.0.att.time_maa_x" in names:
        return "6"
    if "blocks.0.att.ln_x.weight" in names:
        return _v5_minor(names)
    if "blocks.0.att.time_decay" in names:
        return "4"
    found = ", ".join(sorted(names)[:4]) or "nothing"
    raise UnsupportedModelError(
        "this file is not an RWKV language model: no blocks.0.att tensor of any generation, "
        f"found {found}; give an RWKV checkpoint in the official key format"
    )


def _v5_minor(names: Mapping[str, tuple[int, ...]]) -> str:
    if "blocks.0.att.gate.weight" not in names:
        return "5.0"
    # 5.1 has one decay per head, at times with axes of length 1 behind.
    shape = names.get("blocks.0.att.time_decay", ())
    return "5.2" if math.prod(shape[1:]) > 1 else "5.1"


def detect_config(shapes: Mapping[str, tuple[int, ...]]) -> ModelConfig:
    """Read generation and sizes from tensor names and shapes.

    Args:
        shapes: tensor name -> shape, official key format.

    Raises:
        UnsupportedModelError: not an RWKV model, or a generation without a runtime.
        CheckpointError: a tensor is missing or sizes contradict each other.
    """
    generation = detect_generation(shapes)
    if generation not in SUPPORTED_GENERATIONS:
        raise UnsupportedModelError(
            f"this is an RWKV-{generation} checkpoint; this version runs "
            f"RWKV-{', RWKV-'.join(SUPPORTED_GENERATIONS)}: choose such a file"
        )
    layers = {int(m[1]) for name in shapes if (m := re.match(r"blocks\.(\d+)\.", name))}
    missing = next((layer for layer in range(len(layers)) if layer not in layers), None)
    if missing is not None:
        raise CheckpointError(
            f"layer {missing} of {max(layers) + 1} is missing from the checkpoint; "
            "the file is incomplete, fetch it again"
        )
    for name in ("emb.weight", "blocks.0.att.r_k", "blocks.0.ffn.key.weight"):
        if name not in shapes:
            raise CheckpointError(f"tensor {name} is missing; fetch the checkpoint again")
        if len(shapes[name]) != 2 or 0 in shapes[name]:
            raise CheckpointError(
                f"tensor {name} is {shapes[name]} instead of a matrix; fetch the checkpoint again"
            )
    vocab_size, n_embd = shapes["emb.weight"]
    n_head, head_size = shapes["blocks.0.att.r_k"]
    if n_head * head_size != n_embd:
        raise CheckpointError(
            f"r_k says {n_head} heads of {head_size}, but emb.weight has {n_embd} channels; "
            "the file mixes two models"
        )
    n_ffn = shapes["blocks.0.ffn.key.weight"][0]
    return ModelConfig(generation, vocab_size, len(layers), n_embd, n_ffn, n_head, head_size)
