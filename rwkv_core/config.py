"""What a checkpoint is, decided once from its tensor names and shapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rwkv_core.errors import UnsupportedModelError

# Training divides by head_size_divisor = 8 and then uses eps 1e-5: 1e-5 * 8**2.
GROUP_NORM_EPS = 64e-5


# Part of a tensor's name -> whose it is. In this order: RWKV-2 has head_q too, RWKV-4a may.
_RELATIVES_OF_V4 = {
    "tiny_q": "an RWKV-4a checkpoint, with a small attention beside the recurrence",
    "att.qq": "an RWKV-4b checkpoint, with a small attention beside the recurrence",
    "att.time_w": "an RWKV-1 checkpoint",
    "att.time_mix": "an RWKV-2 checkpoint",
    "ffnPre": "an experiment of the time of RWKV-2 to 4, with a channel mix for a time mix",
    "pos_emb_x": "an RWKV-4 experiment with position embeddings",
    "head_q": "an RWKV-3 checkpoint or an RWKV-4 experiment, with a head that copies tokens",
}


class Choice(NamedTuple):
    """An automatic choice and the sentence that says why it was made."""

    value: str
    reason: str


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of one model, read from its tensors.

    Attributes:
        generation: "4", "5.0", "5.1", "5.2", "6", "7" or "7a".
        vocab_size: rows of the embedding, V.
        n_layer: blocks, L.
        n_embd: channels, C = n_head * head_size.
        n_ffn: width of the channel mix, F.
        n_head: heads per layer, H.
        head_size: keys per head, K (values per head are as many).
        ln_x_eps: epsilon of the group norm after the wkv read-out.
        has_exponents: whether the wkv state is RWKV-4's numerator, denominator and largest
            exponent per channel instead of a matrix per head; then H = 1, K = C.
    """

    generation: str
    vocab_size: int
    n_layer: int
    n_embd: int
    n_ffn: int
    n_head: int
    head_size: int
    ln_x_eps: float = GROUP_NORM_EPS
    has_exponents: bool = False

    @property
    def wkv_shape(self) -> tuple[int, ...]:
        """Shape of one layer's wkv state: (H, V, K), or (3, C) with exponents."""
        if self.has_exponents:
            return 3, self.n_embd
        return self.n_head, self.head_size, self.head_size

    @property
    def is_erasing(self) -> bool:
        """Whether a new value replaces what was held under its key (RWKV-7), or is added."""
        return self.generation.startswith("7")

    @property
    def state_bytes(self) -> int:
        """Bytes of one conversation's whole memory, float32."""
        return 4 * self.n_layer * (2 * self.n_embd + math.prod(self.wkv_shape))


def detect_generation(names: Mapping[str, tuple[int, ...]]) -> str:
    """Name the RWKV generation that a set of tensor names belongs to.

    Args:
        names: tensor name -> shape, official key format.

    Returns:
        "4", "5.0", "5.1", "5.2", "6", "7" or "7a".

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
            raise UnsupportedModelError(
                "this is an RWKV-7b checkpoint, an experiment with an attention over all earlier "
                "tokens beside the recurrence: its memory grows with the text, which a state of "
                "fixed size cannot hold; choose the RWKV-7 or 7a file of the same size"
            )
        return "7a" if "blocks.0.ffn.s_emb.weight" in names else "7"
    if "blocks.0.att.time_maa_x" in names:
        return "6"
    if "blocks.0.att.ln_x.weight" in names:
        return _v5_minor(names)
    _refuse_relatives_of_v4(names)
    if "blocks.0.att.time_decay" in names:
        return "4"
    found = ", ".join(sorted(names)[:4]) or "nothing"
    if any(name.endswith(".att.time_state") for name in names):
        raise UnsupportedModelError(
            f"this is a tuned state and no model (it holds {found}); give the model that it was "
            "tuned for, and this file with --state, or load it on the page's shelf"
        )
    raise UnsupportedModelError(
        "this file is not an RWKV language model: no blocks.0.att tensor of any generation, "
        f"found {found}; give an RWKV checkpoint in the official key format"
    )


def _refuse_relatives_of_v4(names: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse what came before RWKV-4 or beside it, by the tensors that their code declares."""
    for mark, model in _RELATIVES_OF_V4.items():
        found = next((name for name in names if f".{mark}." in f".{name}."), None)
        if found:
            raise UnsupportedModelError(
                f"this is {model} (it holds {found}), which this version does not run; "
                "choose a plain RWKV-4 or a later file"
            )
    decay = names.get("blocks.0.att.time_decay", ())
    if len(decay) == 2:
        raise UnsupportedModelError(
            f"this looks like an RWKV-3 checkpoint, judged by nothing but the shape {decay} of "
            "blocks.0.att.time_decay, and this version does not run it; choose a plain RWKV-4 or "
            "a later file"
        )


def _v5_minor(names: Mapping[str, tuple[int, ...]]) -> str:
    if "blocks.0.att.gate.weight" not in names:
        return "5.0"
    # 5.1 has one decay per head, at times with axes of length 1 behind.
    shape = names.get("blocks.0.att.time_decay", ())
    return "5.2" if math.prod(shape[1:]) > 1 else "5.1"
