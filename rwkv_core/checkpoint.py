"""Open a weights file: find it, refuse what is not one, check every name and shape."""

from __future__ import annotations

import difflib
import hashlib
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rwkv_core.config import ModelConfig, detect_config
from rwkv_core.errors import CheckpointError

SUFFIXES = (".pth", ".safetensors")
FLOAT_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
# Above this, reading every byte before the first token would cost seconds.
FULL_HASH_BYTES = 256 * 2**20
SAMPLES_PER_TENSOR = 16
SAMPLE_BYTES = 4096

_WRAPPERS = ("state_dict", "model")
_PREFIXES = re.compile(r"^(?:(?:_forward_module|module)\.)+")
_UNUSED = frozenset(f"blocks.0.att.{name}" for name in ("v0", "v1", "v2"))
_FETCH_AGAIN = "fetch the file again"


class FiniteTensors(Mapping[str, Tensor]):
    """Memory-mapped weights by name; each one is checked for NaN and infinity when read."""

    def __init__(self, tensors: Mapping[str, Tensor], file_name: str) -> None:
        """Wrap tensors; file_name is for error messages."""
        self._tensors = dict(tensors)
        self._file_name = file_name

    def __getitem__(self, name: str) -> Tensor:
        """Return one tensor, or raise CheckpointError where it holds NaN or infinity."""
        tensor = self._tensors[name]
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
class Checkpoint:
    """One readable weights file, sizes known and every shape checked.

    Attributes:
        name: file name without its suffix.
        path: the file.
        config: sizes of the model.
        fingerprint: sha256 of the weights, hex; see `fingerprint`.
        file_bytes: size on disk.
        tensors: official name -> weight, memory-mapped, in the file's dtype. Reading one
            raises CheckpointError where it holds NaN or infinity. Layer 0's v0, v1, v2,
            which no equation uses and some files omit, are left out.
    """

    name: str
    path: Path
    config: ModelConfig
    fingerprint: str
    file_bytes: int
    tensors: Mapping[str, Tensor]


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


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a .pth or .safetensors file without reading its weights into memory.

    The format is told by content, not by suffix. A .pth is read with
    `weights_only=True`, so no code in it can run.

    Raises:
        CheckpointError: missing, broken, converted, incomplete, or not a weights file.
        UnsupportedModelError: a readable file of another model.
    """
    file = resolve_path(path)
    try:
        tensors = _read_tensors(file)
        config = detect_config({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        _check_tensors(tensors, config)
    except CheckpointError as error:
        raise type(error)(f"{file.name}: {error}") from error
    tensors = {name: tensor for name, tensor in tensors.items() if name not in _UNUSED}
    return Checkpoint(
        name=file.name.removesuffix(".pth").removesuffix(".safetensors"),
        path=file,
        config=config,
        fingerprint=fingerprint(tensors),
        file_bytes=file.stat().st_size,
        tensors=FiniteTensors(tensors, file.name),
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


def _read_tensors(file: Path) -> dict[str, Tensor]:
    """Map official names to memory-mapped tensors, or say why this is no weights file."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
        if head.startswith(b"PK"):
            return _unwrap(torch.load(file, map_location="cpu", mmap=True, weights_only=True))
        if head[8:9] == b"{":  # safetensors: 8 bytes of header length, then JSON
            with safe_open(file, framework="pt") as opened:
                return _unwrap({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - not a dict
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


def expected_shapes(
    config: ModelConfig, *, w: int, a: int, v: int, g: int
) -> dict[str, tuple[int, ...]]:
    """List every tensor of an RWKV-7 checkpoint, without layer 0's unused v0, v1, v2.

    Args:
        config: sizes of the model.
        w: rank of the decay's low-rank matrices w1 and w2.
        a: rank of a1 and a2.
        v: rank of v1 and v2, which mix the first layer's value in.
        g: rank of the gate's g1 and g2.
    """
    channels, hidden = config.n_embd, config.n_ffn
    row = (1, 1, channels)
    shapes: dict[str, tuple[int, ...]] = {
        "emb.weight": (config.vocab_size, channels),
        "head.weight": (config.vocab_size, channels),
    }
    norms = ["blocks.0.ln0", "ln_out"]
    for layer in range(config.n_layer):
        block = f"blocks.{layer}"
        att = f"{block}.att"
        norms += [f"{block}.ln1", f"{block}.ln2", f"{att}.ln_x"]
        shapes |= {f"{att}.x_{name}": row for name in "rwkvag"}
        shapes |= {f"{att}.{name}": row for name in ("k_k", "k_a")}
        for name, rank in (("w", w), ("a", a), ("v", v)):
            if layer == 0 and name == "v":
                continue
            shapes[f"{att}.{name}0"] = row
            shapes[f"{att}.{name}1"] = (channels, rank)
            shapes[f"{att}.{name}2"] = (rank, channels)
        shapes[f"{att}.g1"] = (channels, g)
        shapes[f"{att}.g2"] = (g, channels)
        shapes[f"{att}.r_k"] = (config.n_head, config.head_size)
        for name in ("receptance", "key", "value", "output"):
            shapes[f"{att}.{name}.weight"] = (channels, channels)
        shapes[f"{block}.ffn.x_k"] = row
        shapes[f"{block}.ffn.key.weight"] = (hidden, channels)
        shapes[f"{block}.ffn.value.weight"] = (channels, hidden)
    for norm in norms:
        shapes |= {f"{norm}.weight": (channels,), f"{norm}.bias": (channels,)}
    return shapes


def _check_tensors(tensors: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Compare names, shapes and dtypes with what the sizes demand."""
    # Every layer has the same ranks; layer 1 is the first that has all four.
    layer = min(1, config.n_layer - 1)
    ranks = {name: _rank(tensors, f"blocks.{layer}.att.{name}1") for name in "wavg"}
    expected = expected_shapes(config, **ranks)
    if missing := sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(f"lacks {len(missing)} tensors ({_some(missing)}); {_FETCH_AGAIN}")
    if unknown := sorted(tensors.keys() - expected.keys() - _UNUSED):
        raise CheckpointError(
            f"holds {len(unknown)} tensors that RWKV-{config.generation} does not know "
            f"({_some(unknown)}); use a plain base checkpoint, with any adapter merged"
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"tensor {name} is {tuple(tensor.shape)} instead of {shape}; "
                "if the file was converted for another runtime, use the official one"
            )
        if tensor.dtype not in FLOAT_DTYPES:
            raise CheckpointError(
                f"tensor {name} has dtype {str(tensor.dtype).removeprefix('torch.')}; "
                "give a bf16, fp16 or fp32 checkpoint"
            )


def _rank(tensors: Mapping[str, Tensor], name: str) -> int:
    """Read a low-rank width; 0 where the tensor is absent, which is then found missing."""
    return tensors[name].shape[-1] if name in tensors and tensors[name].dim() else 0


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
