"""Find the weights that a user means."""

from __future__ import annotations

import difflib
from pathlib import Path

from rwkv_core.errors import CheckpointError

SUFFIXES = (".pth", ".safetensors", ".st", ".gguf")
INDEX_SUFFIX = ".index.json"
# What a folder of Hugging Face's layout holds, and so what a folder's path stands for.
FOLDER_FILES = (
    f"model.safetensors{INDEX_SUFFIX}",
    "model.safetensors",
    f"pytorch_model.bin{INDEX_SUFFIX}",
    "pytorch_model.bin",
)


def resolve_path(text: str | Path) -> Path:
    """Find the weights file that a user means.

    Args:
        text: a path; quotes around it, `~`, backslashes and a left-out .pth, .safetensors,
            .st or .gguf are understood, and a folder that holds model.safetensors,
            pytorch_model.bin or the index of either's shards.

    Returns:
        The weights file, or the index of its shards.

    Raises:
        CheckpointError: no such file (near matches are named), or a folder without weights.
    """
    cleaned = str(text).strip().strip("\"'").strip()
    if not cleaned:
        raise CheckpointError("no model path given; name a .pth, .safetensors or .gguf file")
    try:
        path = Path(cleaned.replace("\\", "/")).expanduser()
        endings = (path.with_name(path.name + end) for end in SUFFIXES if path.name)
        for candidate in (path, *endings, *(path / name for name in FOLDER_FILES)):
            if candidate.is_file():
                return candidate
        raise CheckpointError(_not_found(path))
    except (OSError, RuntimeError, ValueError) as error:  # e.g. "~nobody", a name too long
        raise CheckpointError(f"cannot look up {cleaned[:200]!r}: {error}") from error


def name_of(file: Path) -> str:
    """Name a model after its file, or after the folder where every model's file has one name."""
    if file.name.endswith(INDEX_SUFFIX) or file.name in FOLDER_FILES:
        # A link is named after where it lies: the Hub's cache keeps the files themselves as "blobs".
        folder = file.parent.resolve()
        if folder.parent.name == "snapshots":
            return folder.parent.parent.name.rpartition("--")[2]
        return folder.name or file.name
    return file.name.removesuffix(file.suffix) if file.suffix in SUFFIXES else file.name


def _not_found(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"{path} does not exist, nor does its folder {folder}; check the path"
    found = sorted(file.name for file in folder.iterdir() if file.suffix in SUFFIXES)
    near = difflib.get_close_matches(path.name, found, n=5, cutoff=0.4) or found[:5]
    hint = f"did you mean {', '.join(near)}?" if near else "it holds no weights file"
    what = "is a folder, not a weights file" if path.is_dir() else "does not exist"
    return f"{path} {what}; in {folder}: {hint}"


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes of a file, and when it was written, in nanoseconds; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
