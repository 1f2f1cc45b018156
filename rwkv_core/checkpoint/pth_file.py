"""Read a .pth file as torch.save writes it: a zip archive of a pickle and raw numbers.

A pickle can run code. This one is read by torch's restricted unpickler, which knows tensors
and plain containers and refuses any other name before it is looked up.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from rwkv_core.checkpoint.weights import FETCH_AGAIN, Contents, StoredTensor
from rwkv_core.config import Choice
from rwkv_core.errors import CheckpointError

_WRAPPERS = ("state_dict", "model")
_PREFIXES = re.compile(r"^(?:(?:_forward_module|module)\.)+")


def is_pth(head: bytes) -> bool:
    """Whether a file's first bytes are those of a zip archive."""
    return head.startswith(b"PK")


def read_pth(file: Path) -> Contents:
    """Map the tensors of a .pth file.

    Raises:
        CheckpointError: it holds more than tensors, no tensors, or is compressed.
        Exception: it is damaged; what torch and zipfile raise then has no common class.
    """
    with zipfile.ZipFile(file) as archive:
        # Mapped numbers are used as they lie in the file.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise CheckpointError(
                "its zip archive is compressed, torch.save writes it uncompressed; "
                "torch.load and torch.save it once again"
            )
    try:
        # torch warns of what it is about to refuse, or of itself; our sentence says it better.
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "refused, because it holds Python objects that are not tensors and could run "
            "code when loaded; get the official .pth or a .safetensors file"
        ) from error
    tensors = {name: StoredTensor.of(tensor) for name, tensor in _unwrap(content).items()}
    how = Choice("pth", "a zip archive, as torch.save writes")
    return Contents(tensors, how, files=(file,))


def _unwrap(content: object) -> dict[str, Tensor]:
    """Find the name -> tensor dictionary inside what trainers and converters save."""
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise CheckpointError(
            f"holds a {type(content).__name__} instead of named tensors; choose an RWKV checkpoint"
        )
    if "_strategy" in content or "_version" in content:
        raise CheckpointError(
            "was converted by the PyPI package rwkv (it has a '_strategy' or '_version' key), "
            "its weights are transposed; use the original .pth"
        )
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"entry {name!r} is no tensor but of type {type(value).__name__}; "
                "choose an RWKV checkpoint"
            )
        _check_plain(str(name), value)
        tensors[_PREFIXES.sub("", str(name))] = value.detach()
    return tensors


def _check_plain(name: str, value: Tensor) -> None:
    """Refuse tensors that are not simply numbers in the file."""
    is_plain = value.layout == torch.strided and value.device.type == "cpu"
    if not is_plain or value.is_quantized:
        raise CheckpointError(
            f"tensor {name} is sparse, quantised or not in the file; give plain weights"
        )
    # A few bytes can claim to be a tensor of any size by being read over and over.
    if value.numel() * value.itemsize > value.untyped_storage().nbytes():
        raise CheckpointError(f"tensor {name} is larger than its data; {FETCH_AGAIN}")
