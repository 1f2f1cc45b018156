"""Finished models that a new one learns from, beside the text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rwkv_core.errors import CheckpointError
from rwkv_core.models.loading import Checkpoint, open_checkpoint
from rwkv_core.state import State


class Teacher:
    """A model that is read and never trained, any generation and any size.

    It is no nn.Module, so the module that holds it neither trains nor saves it.

    Attributes:
        head: (V, C) float32, what turns the stream into logits.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, *, is_compiled: bool = False
    ) -> None:
        """Load the weights in float32.

        Args:
            checkpoint: the model.
            device: where it will run.
            is_compiled: use torch.compile.
        """
        self._network = checkpoint.make_network()
        self._network.load_state_dict({n: x.float() for n, x in checkpoint.tensors.items()})
        self._network.to(device).eval().requires_grad_(False)
        self._wkv = self._network.select_operator(checkpoint.config, [device])
        self._read = torch.compile(self._forward, dynamic=False) if is_compiled else self._forward
        self.head = self._network.head.weight

    def _forward(self, tokens: Tensor) -> Tensor:
        state = State.zeros(self._network.config, tokens.shape[0], tokens.device)
        x, _ = self._network(tokens, state, self._wkv.run)
        return x  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    @torch.no_grad()
    def stream(self, tokens: Tensor) -> Tensor:
        """Read (B, T) tokens from the empty state; the normed stream (B, T, C)."""
        return self._read(tokens)

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Read (B, T) tokens on any device; (B, T, V) float32 on the teacher's own."""
        return self._network.logits(self._read(tokens.to(self.head.device)))


def open_teachers(
    paths: Sequence[Path], vocab_size: int, device: torch.device, *, is_compiled: bool = False
) -> list[Teacher]:
    """Open model files that share a vocabulary.

    Args:
        paths: as open_checkpoint takes them.
        vocab_size: tokens that each must know.
        device: where they will run.
        is_compiled: use torch.compile.

    Raises:
        CheckpointError: a file is no model, or has another vocabulary.
    """
    teachers = []
    for path in paths:
        checkpoint = open_checkpoint(path)
        if checkpoint.config.vocab_size != vocab_size:
            raise CheckpointError(
                f"{path} knows {checkpoint.config.vocab_size} tokens instead of {vocab_size}; "
                "models can only be averaged over one vocabulary, so give files that were "
                "trained with the same tokenizer"
            )
        teachers.append(Teacher(checkpoint, device, is_compiled=is_compiled))
    return teachers
