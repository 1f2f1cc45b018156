"""Read a .safetensors (or .st) file: a length, a JSON header, raw numbers."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from rwkv_core.checkpoint.weights import Contents, StoredTensor
from rwkv_core.config import Choice


def is_safetensors(head: bytes) -> bool:
    """Whether a file's first bytes are eight of length and the start of a JSON object."""
    return head[8:9] == b"{"


def read_safetensors(file: Path) -> Contents:
    """Map the tensors of a .safetensors file.

    Raises:
        SafetensorError: it is damaged; sizes are checked against the file before it is mapped.
    """
    with safe_open(file, framework="pt") as opened:
        names = opened.keys()
        tensors = {name: StoredTensor.of(opened.get_tensor(name)) for name in names}
    return Contents(tensors, Choice("safetensors", "a length and a JSON header"), files=(file,))
