"""Open a weights file: find it, refuse what is not one, give tensors by official name."""

from __future__ import annotations

import difflib
import hashlib
import pickle
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rwkv_core.config import Choice
from rwkv_core.errors import CheckpointError

SUFFIXES = (".pth", ".safetensors")
# Above this, reading every byte before the first token would cost seconds.
FULL_HASH_BYTES = 256 * 2**20
SAMPLES_PER_TENSOR = 16
SAMPLE_BYTES = 4096

_WRAPPERS = ("state_dict", "model")
_PREFIXES = re.compile(r"^(?:(?:_forward_module|module)\.)+")
_FETCH_AGAIN = "fetch the file again"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file that is read, and converted if need be, when asked for.

    Attributes:
        shape: after conversion to the official format.
        dtype: in which it is given out.
        read: makes the tensor; memory-mapped where nothing had to be converted.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @classmethod
    def of(cls, tensor: Tensor) -> StoredTensor:
        """Wrap a tensor that is at hand."""
        return cls(tuple(tensor.shape), tensor.dtype, lambda: tensor)


class Weights(Mapping[str, Tensor]):
    """A file's weights by official name; each is checked for NaN and infinity when read."""

    def __init__(
        self, tensors: Mapping[str, StoredTensor], file_name: str, *, is_checked: bool = True
    ) -> None:
        """Wrap tensors; file_name is for error messages."""
        self._tensors = dict(tensors)
        self._file_name = file_name
        self._is_checked = is_checked

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by name, without reading."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Dtype by name, without reading."""
        return {name: tensor.dtype for name, tensor in self._tensors.items()}

    def without(self, names: Collection[str]) -> Weights:
        """Leave tensors out."""
        kept = {name: tensor for name, tensor in self._tensors.items() if name not in names}
        return Weights(kept, self._file_name, is_checked=self._is_checked)

    def unchecked(self) -> Weights:
        """Give the same tensors out without a look at their values."""
        return Weights(self._tensors, self._file_name, is_checked=False)

    def __getitem__(self, name: str) -> Tensor:
        """Return one tensor, or raise CheckpointError where it holds NaN or infinity."""
        tensor = self._tensors[name].read()
        if not self._is_checked:
            return tensor
        # NaN reaches both ends of the range; one pass, no copy.
        low, high = torch.aminmax(tensor)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise CheckpointError(
                f"{self._file_name}: tensor {name} holds NaN or infinity; {_FETCH_AGAIN}"
            )
        return tensor

    def __iter__(self) -> Iterator[str]:
        """Iterate over names."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Count tensors."""
        return len(self._tensors)


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """A readable weights file; nothing is known yet of the model in it.

    Attributes:
        name: file name without its suffix.
        path: the file.
        file_bytes: size on disk.
        format: in which format it came, and how that was told.
        tensors: official name -> weight, in the file's dtype.
    """

    name: str
    path: Path
    file_bytes: int
    format: Choice
    tensors: Weights


def resolve_path(text: str | Path) -> Path:
    """Find the weights file that a user means.

    Args:
        text: a path; quotes around it, `~`, backslashes and a left-out .pth or
            .safetensors are understood.

    Raises:
        CheckpointError: no such file (near matches are named), or a folder.
    """
    cleaned = str(text).strip().strip("\"'").strip()
    if not cleaned:
        raise CheckpointError("no model path given; name a .pth or .safetensors file")
    try:
        path = Path(cleaned.replace("\\", "/")).expanduser()
        for candidate in (path, *(path.with_name(path.name + end) for end in SUFFIXES)):
            if candidate.is_file():
                return candidate
        raise CheckpointError(_not_found(path))
    except (OSError, RuntimeError, ValueError) as error:  # e.g. "~nobody", a name too long
        raise CheckpointError(f"cannot look up {cleaned[:200]!r}: {error}") from error


def _not_found(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"{path} does not exist, nor does its folder {folder}; check the path"
    found = sorted(file.name for file in folder.iterdir() if file.suffix in SUFFIXES)
    near = difflib.get_close_matches(path.name, found, n=5, cutoff=0.4) or found[:5]
    hint = f"did you mean {', '.join(near)}?" if near else "it holds no .pth or .safetensors file"
    what = "is a folder, not a weights file" if path.is_dir() else "does not exist"
    return f"{path} {what}; in {folder}: {hint}"


def open_weights(path: str | Path) -> WeightsFile:
    """Open a .pth or .safetensors file without reading its weights into memory.

    The format is told by content, not by suffix. A .pth is read with
    `weights_only=True`, so no code in it can run.

    Raises:
        CheckpointError: missing, broken, converted, or not a weights file.
    """
    file = resolve_path(path)
    try:
        tensors, how = _read_tensors(file)
    except CheckpointError as error:
        raise type(error)(f"{file.name}: {error}") from error
    return WeightsFile(
        name=file.name.removesuffix(".pth").removesuffix(".safetensors"),
        path=file,
        file_bytes=file.stat().st_size,
        format=how,
        tensors=Weights({k: StoredTensor.of(v) for k, v in tensors.items()}, file.name),
    )


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Hash weights so that two models can be told apart; the file format does not matter.

    Covers every name, dtype, shape and byte up to 256 MiB of weights. Above that, of each
    tensor larger than 64 KiB only 16 evenly spaced pieces of 4 KiB are hashed, so two
    large models that differ only between the pieces get the same fingerprint.

    Returns:
        sha256, 64 hex digits.
    """
    is_sampled = sum(tensor.nbytes for tensor in tensors.values()) > FULL_HASH_BYTES
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
        if is_sampled and data.nbytes > SAMPLES_PER_TENSOR * SAMPLE_BYTES:
            last = data.nbytes - SAMPLE_BYTES
            for piece in range(SAMPLES_PER_TENSOR):
                start = last * piece // (SAMPLES_PER_TENSOR - 1)
                digest.update(data[start : start + SAMPLE_BYTES])
        else:
            digest.update(data)
    return digest.hexdigest()


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], Choice]:
    """Map official names to memory-mapped tensors, or say why this is no weights file."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
        if head.startswith(b"PK"):
            content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
            return _unwrap(content), Choice("pth", "a zip archive, as torch.save writes")
        if head[8:9] == b"{":  # safetensors: 8 bytes of header length, then JSON
            with safe_open(file, framework="pt") as opened:
                content = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
                return _unwrap(content), Choice("safetensors", "a length and a JSON header")
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "refused, because it holds Python objects that are not tensors and could run "
            "code when loaded; get the official .pth or a .safetensors file"
        ) from error
    # torch reports broken archives as RuntimeError, broken pickles as almost anything.
    except (
        SafetensorError,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        reason = str(error).split("\n")[0].split(". ")[0] or type(error).__name__
        raise CheckpointError(f"truncated or damaged ({reason}); {_FETCH_AGAIN}") from error
    raise CheckpointError(_what_else(head))


def _what_else(head: bytes) -> str:
    """Name the usual things that are mistaken for weights."""
    start = head.lstrip().lower()
    if not head:
        return f"the file is empty; {_FETCH_AGAIN}"
    if start.startswith((b"<!doctype", b"<html")):
        return "this is a web page, not weights (a download link gone wrong); " + _FETCH_AGAIN
    if start.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the weights; run `git lfs pull`"
    if start.startswith(b"\x80"):
        return "this is a torch file from before version 1.6; load and torch.save it once again"
    return (
        f"this is neither a .pth nor a .safetensors file, it starts with {head[:16]!r}; "
        "choose an RWKV checkpoint"
    )


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
                f"entry {name!r} is a {type(value).__name__}, not a tensor; "
                "choose an RWKV checkpoint"
            )
        tensors[_PREFIXES.sub("", str(name))] = value.detach()
    return tensors
