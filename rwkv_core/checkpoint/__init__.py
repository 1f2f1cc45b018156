"""Open a weights file of any format, and give its tensors by official name and orientation.

First the file is read (`pth_file`, `safetensors_file`, `gguf_file`, `sharded`), then the names
and axes are made official (`web_rwkv`, `hugging_face`, `gguf_names`). Both are told by content,
never by suffix, and both work tensor by tensor, when one is asked for. What a model must hold is
checked later, against the network itself (rwkv_core.models.loading).
"""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError

from rwkv_core.checkpoint.fingerprints import fingerprint
from rwkv_core.checkpoint.gguf_file import is_gguf, read_gguf
from rwkv_core.checkpoint.gguf_names import undo_gguf
from rwkv_core.checkpoint.hugging_face import norm_eps, undo_hugging_face
from rwkv_core.checkpoint.paths import INDEX_SUFFIX, name_of, resolve_path
from rwkv_core.checkpoint.pth_file import is_pth, read_pth
from rwkv_core.checkpoint.safetensors_file import is_safetensors, read_safetensors
from rwkv_core.checkpoint.sharded import read_json, read_sharded
from rwkv_core.checkpoint.web_rwkv import undo_web_rwkv
from rwkv_core.checkpoint.weights import (
    FETCH_AGAIN,
    Contents,
    StoredTensor,
    Weights,
    WeightsFile,
    in_file,
)
from rwkv_core.errors import CheckpointError

__all__ = [
    "DAMAGE",
    "StoredTensor",
    "Weights",
    "WeightsFile",
    "fingerprint",
    "open_weights",
    "resolve_path",
]

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.\w+$")
# What torch, zipfile, safetensors and pickle raise for damaged files has no narrower class.
DAMAGE = (
    SafetensorError,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
)


def open_weights(path: str | Path) -> WeightsFile:
    """Open a weights file without reading its weights into memory.

    Args:
        path: a .pth, .safetensors, .st or .gguf file, the index of its shards, or a folder in
            Hugging Face's layout; see resolve_path and docs/checkpoints.md.

    Raises:
        CheckpointError: missing, broken, or not a weights file.
        UnsupportedModelError: readable, and of a model that does not run here.
    """
    file = resolve_path(path)
    try:
        contents = _read_official(file)
    except CheckpointError as error:
        raise in_file(file.name, error) from error
    return WeightsFile(
        name=name_of(file),
        path=file,
        file_bytes=sum(part.stat().st_size for part in contents.files),
        format=contents.format,
        tensors=Weights(contents.tensors, file.name),
        ln_x_eps=contents.ln_x_eps,
    )


def _read_official(file: Path) -> Contents:
    """Read the file or its shards, and make the names official."""
    if file.name.endswith(INDEX_SUFFIX):
        contents = read_sharded(file, _read)
    else:
        part = _PART.search(file.name)
        if part and int(part[2]) > 1:
            raise CheckpointError(
                f"this is part {int(part[1])} of {int(part[2])}; name the folder of the parts, or "
                f"their index ('...{INDEX_SUFFIX}')"
            )
        contents = _read(file)
    # Its converters write nothing else, and RWKV-5's bonus means another thing in a .pth.
    is_safetensors_file = contents.format.value.startswith("safetensors")
    if is_safetensors_file and (undone := undo_web_rwkv(contents.tensors)):
        return _renamed(contents, "web-rwkv", undone)
    if undone := undo_hugging_face(contents.tensors):
        config = file.parent / "config.json"
        eps = norm_eps(read_json(config)) if config.is_file() else None
        return replace(_renamed(contents, "Hugging Face", undone), ln_x_eps=eps)
    return contents


def _renamed(
    contents: Contents, whose: str, undone: tuple[dict[str, StoredTensor], str]
) -> Contents:
    tensors, reason = undone
    how = contents.format
    how = how._replace(value=f"{how.value}, {whose}", reason=f"{how.reason}; {reason}")
    return replace(contents, tensors=tensors, format=how)


def _read(file: Path) -> Contents:
    """Map one file's tensors, or say why it is no weights file."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
        if is_gguf(head):
            return undo_gguf(read_gguf(file))
        if is_pth(head):
            return read_pth(file)
        if is_safetensors(head):
            return read_safetensors(file)
    except DAMAGE as error:
        reason = str(error).split("\n")[0].split(". ")[0] or type(error).__name__
        raise CheckpointError(f"truncated or damaged ({reason[:200]}); {FETCH_AGAIN}") from error
    raise CheckpointError(_what_else(head))


def _what_else(head: bytes) -> str:
    """Name the usual things that are mistaken for weights."""
    start = head.lstrip().lower()
    if not head:
        return f"the file is empty; {FETCH_AGAIN}"
    if start.startswith((b"<!doctype", b"<html")):
        return "this is a web page, not weights (a download link gone wrong); " + FETCH_AGAIN
    if start.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the weights; run `git lfs pull`"
    if start.startswith(b"\x80"):
        return "this is a torch file from before version 1.6; load and torch.save it once again"
    if head.startswith((b"fmgg", b"lmgg", b"tjgg")):
        return "this is an older ggml file such as rwkv.cpp writes; use the original .pth"
    return (
        f"this is neither a .pth nor a .safetensors nor a .gguf file, it starts with "
        f"{head[:16]!r}; choose an RWKV checkpoint"
    )
