"""LAMBADA figures that the makers of RWKV models published, to set ours beside."""

from __future__ import annotations

from typing import NamedTuple

from rwkv_core.config import ModelConfig

_PILE_CARD = "model card of BlinkDL/rwkv-4-pile-{}, huggingface.co"


class Published(NamedTuple):
    """One model's figures over all 5,153 passages.

    Attributes:
        name: what a file of the model has in its name.
        shape: generation, layers, channels, vocabulary.
        perplexity: of the last word.
        accuracy: share of passages whose last word is the likeliest, 0 to 1.
        source: who says so.
    """

    name: str
    shape: tuple[str, int, int, int]
    perplexity: float
    accuracy: float
    source: str


# Cards read in November 2026; the figure of 3B is that of its ctx4096 file (20221008-8023: 5.24).
PUBLISHED = (
    Published("RWKV-4-Pile-169M", ("4", 12, 768, 50277), 29.33, 0.3299, _PILE_CARD.format("169m")),
    Published("RWKV-4-Pile-430M", ("4", 24, 1024, 50277), 13.04, 0.4516, _PILE_CARD.format("430m")),
    Published("RWKV-4-Pile-1B5", ("4", 24, 2048, 50277), 7.04, 0.5643, _PILE_CARD.format("1b5")),
    Published("RWKV-4-Pile-3B", ("4", 32, 2560, 50277), 5.25, 0.6396, _PILE_CARD.format("3b")),
    Published("RWKV-4-Pile-7B", ("4", 32, 4096, 50277), 4.38, 0.6718, _PILE_CARD.format("7b")),
    Published("RWKV-4-Pile-14B", ("4", 40, 5120, 50277), 3.81, 0.7105, _PILE_CARD.format("14b")),
    Published("RWKV-x070-Pile-168M", ("7", 12, 768, 50304), 14.2, 0.456, "README of RWKV-LM"),
    Published("RWKV-x070-World-1.5B-v3", ("7", 24, 2048, 65536), 4.13, 0.694, "README of RWKV-LM"),
)


def find_published(name: str, config: ModelConfig) -> tuple[Published | None, str]:
    """Look for figures to compare a model's with.

    Args:
        name: of the checkpoint, its file's without suffix.
        config: its sizes.

    Returns:
        The row, and in words how far it is about this model.
    """
    shape = (config.generation, config.n_layer, config.n_embd, config.vocab_size)
    alike = [row for row in PUBLISHED if row.shape == shape]
    for row in alike:
        if row.name.lower() in name.lower():
            return row, f"published for {row.name}, as this file is named"
    if alike:
        row = alike[0]
        return row, f"published for {row.name}, of this shape; another model if trained otherwise"
    return None, "no published figure"
