"""Read weights that are spread over several files, listed in an index.

The index is Hugging Face's `model.safetensors.index.json` (or `pytorch_model.bin.index.json`):
`{"weight_map": {tensor name: file name}}`, the files beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rwkv_core.checkpoint.weights import FETCH_AGAIN, Contents, StoredTensor
from rwkv_core.config import Choice
from rwkv_core.errors import CheckpointError

# The largest model's index is some 100 kB.
MAX_JSON_BYTES = 2**26


def read_json(file: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        CheckpointError: too large, damaged, or no object.
    """
    if file.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(
            f"{file.name} has {file.stat().st_size} bytes, more than the {MAX_JSON_BYTES} of any "
            f"index or configuration; {FETCH_AGAIN}"
        )
    try:
        content = json.loads(file.read_bytes())
    # Deep nesting is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.name} is not JSON ({error}); {FETCH_AGAIN}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.name} is not a JSON object; {FETCH_AGAIN}")
    return content


def read_sharded(index: Path, read: Callable[[Path], Contents]) -> Contents:
    """Read every shard that an index lists, and compare their tensors with it.

    Args:
        index: the index file.
        read: reads one shard.

    Raises:
        CheckpointError: a shard is missing, lies elsewhere, or does not hold what is listed.
    """
    shards = _shards(index)
    missing = [name for name in shards if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of its {len(shards)} shards are missing ({', '.join(missing[:4])}); "
            "fetch them into the same folder"
        )
    tensors: dict[str, StoredTensor] = {}
    for name, listed in shards.items():
        contents = read(index.parent / name)
        found = contents.tensors
        if difference := sorted(listed ^ found.keys()):
            raise CheckpointError(
                f"shard {name} and the index disagree about {len(difference)} tensors "
                f"({', '.join(difference[:4])}); fetch both again"
            )
        tensors |= found
    how = Choice(
        f"{contents.format.value} in {len(shards)} files", "an index that lists the files' tensors"
    )
    return Contents(tensors, how, files=tuple(index.parent / name for name in shards))


def _shards(index: Path) -> dict[str, set[str]]:
    """Read which file holds which tensors; a file must lie beside the index."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"the index lists no tensors ('weight_map'); {FETCH_AGAIN}")
    shards: dict[str, set[str]] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
            raise CheckpointError(
                f"the index places tensor {tensor} in {str(name)[:80]!r}, which is no name of a "
                "file beside it; get the index from where the model was published"
            )
        shards.setdefault(name, set()).add(tensor)
    return shards
