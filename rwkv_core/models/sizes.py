"""Read a model's sizes from the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rwkv_core.config import ModelConfig
from rwkv_core.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]


def matrix_shape(shapes: Shapes, name: str) -> tuple[int, int]:
    """Look up a matrix.

    Raises:
        CheckpointError: it is missing, empty, or no matrix.
    """
    if name not in shapes:
        raise CheckpointError(f"tensor {name} is missing; fetch the checkpoint again")
    shape = shapes[name]
    if len(shape) != 2 or 0 in shape:
        raise CheckpointError(
            f"tensor {name} is {shape} instead of a matrix; fetch the checkpoint again"
        )
    return shape[0], shape[1]


def count_layers(shapes: Shapes) -> int:
    """Count the blocks.

    Raises:
        CheckpointError: one before the last is missing.
    """
    layers = {int(m[1]) for name in shapes if (m := re.match(r"blocks\.(\d+)\.", name))}
    missing = next((layer for layer in range(len(layers)) if layer not in layers), None)
    if missing is not None:
        raise CheckpointError(
            f"layer {missing} of {max(layers) + 1} is missing from the checkpoint; "
            "the file is incomplete, fetch it again"
        )
    return len(layers)


def common_sizes(
    generation: str,
    shapes: Shapes,
    *,
    n_head: int,
    head_size: int,
    has_exponents: bool = False,
) -> ModelConfig:
    """Make the config of a generation that has read its heads.

    Raises:
        CheckpointError: a tensor is missing or sizes contradict each other.
    """
    vocab_size, n_embd = matrix_shape(shapes, "emb.weight")
    n_ffn, _ = matrix_shape(shapes, "blocks.0.ffn.key.weight")
    if n_head * head_size != n_embd:
        raise CheckpointError(
            f"its heads, {n_head} of {head_size}, are not the {n_embd} channels of emb.weight; "
            "the file mixes two models"
        )
    return ModelConfig(
        generation,
        vocab_size,
        count_layers(shapes),
        n_embd,
        n_ffn,
        n_head,
        head_size,
        has_exponents=has_exponents,
    )
