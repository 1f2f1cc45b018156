"""One short text that tells two sets of weights apart, whatever file they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from rwkv_core.checkpoint.weights import StoredTensor, Weights

# Above this, reading every byte before the first token would cost seconds.
FULL_HASH_BYTES = 256 * 2**20
SAMPLES_PER_TENSOR = 16
SAMPLE_BYTES = 4096
READ_WHOLE_BYTES = 2**20


def fingerprint(
    weights: Weights | Mapping[str, Tensor], *, full_hash_bytes: int = FULL_HASH_BYTES
) -> str:
    """Hash weights so that two models can be told apart; the file format does not matter.

    Covers every name, dtype, shape and byte up to 256 MiB of weights. Above that, of each
    tensor larger than 64 KiB only 16 evenly spaced pieces of 4 KiB are hashed, so two
    large models that differ only between the pieces get the same fingerprint. Reads piece by
    piece: no whole tensor is in memory.

    Args:
        weights: name -> tensor.
        full_hash_bytes: up to so many bytes of weights, every one counts.

    Returns:
        sha256, 64 hex digits.
    """
    stored = {
        name: weights.stored(name)
        if isinstance(weights, Weights)
        else StoredTensor.of(weights[name])
        for name in sorted(weights)
    }
    is_sampled = sum(tensor.nbytes for tensor in stored.values()) > full_hash_bytes
    digest = hashlib.sha256()
    for name, tensor in stored.items():
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        is_large = tensor.nbytes > SAMPLES_PER_TENSOR * SAMPLE_BYTES
        for piece in _samples(tensor) if is_sampled and is_large else _pieces(tensor):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(tensor: StoredTensor) -> Iterator[memoryview]:
    return (_bytes(block) for _, block in tensor.blocks())


def _samples(tensor: StoredTensor) -> Iterator[memoryview]:
    """Read evenly spaced pieces, and of the tensor no more rows than hold them."""
    row_bytes = tensor.nbytes // tensor.shape[0]
    last = tensor.nbytes - SAMPLE_BYTES
    # Where rows have to be turned, each reading reads the whole.
    source = tensor[:] if tensor.nbytes <= READ_WHOLE_BYTES else tensor
    for piece in range(SAMPLES_PER_TENSOR):
        start = last * piece // (SAMPLES_PER_TENSOR - 1)
        first = start // row_bytes
        end = (start + SAMPLE_BYTES - 1) // row_bytes + 1
        start -= first * row_bytes
        yield _bytes(source[first:end])[start : start + SAMPLE_BYTES]


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
