"""Read a memory to begin with from a file: ours, or a tuned state of another program.

State tuning learns one matrix memory per layer and nothing else. The programs agree on the
names, `blocks.<i>.att.time_state`, and on the shape (H, N, N), but not on the order:

| file | order | written by |
|---|---|---|
| .pth, .safetensors | (H, value, key) | RWKV-PEFT and RWKV-LM, for RWKV-6 and 7 alike |
| .st, .state | (H, key, value), fp16 | the converters of web-rwkv and ai00, from such a .pth |

Source: `RUN_RWKV7_STATE` and `RUN_CUDA_RWKV6_STATE` of RWKV-PEFT, which turn `time_state` for
an operator that wants (key, value); `convert_safetensors.py` of ai00, which turns it once;
`read_state` of web-rwkv and its `time_mix_v7.wgsl`, which read rows as keys. The PyPI package
rwkv reads the same order as RWKV-PEFT for RWKV-5 and 6.
"""

import dataclasses
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kernels.sentences import Sentence
from rwkv_core.checkpoint import DAMAGE
from rwkv_core.config import Choice, ModelConfig
from rwkv_core.errors import StateError
from rwkv_core.state import FILE_FORMAT, Memory, SavedMemory, State

Order = Literal["value-key", "key-value"]

# Names, sizes and shapes in the head of a file; a tuned state of 61 layers needs 8 kB.
MAX_HEAD_BYTES = 64 * 1024
_NAME = re.compile(r"(?:(?:_forward_module|module|model)\.)*blocks\.(\d+)\.att\.time_state")
_TURNED_SUFFIXES = (".st", ".state")
_REASONS: dict[Order, str] = {
    "value-key": "rows are values, as state tuning saves them",
    "key-value": "rows are keys, as web-rwkv and ai00 store them in .st, so they were turned",
}


def load_memory(path: Path, config: ModelConfig, fingerprint: str) -> SavedMemory:
    """Read a safetensors file of a saved memory, or of a tuned state, which has read nothing.

    Args:
        path: .safetensors saved by State.save or by state tuning; nothing else is opened.
        config: of the model that will use it.
        fingerprint: of that model's weights.

    Raises:
        StateError: unreadable, too large, another model's, not a state, or holding NaN or infinity.
    """
    _check_size(path, file_limit(config))
    try:
        with safe_open(path, framework="pt") as file:
            is_ours = (file.metadata() or {}).get("format") == FILE_FORMAT
            names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise StateError(
            "{file} is not a readable state file ({reason}); choose a .safetensors file "
            "saved by this playground",
            file=path.name,
            reason=error,
        ) from error
    if is_ours or not any(_NAME.fullmatch(name) for name in names):
        return SavedMemory.load(path, config, fingerprint)
    state, _ = load_initial_state(path, config, fingerprint)
    return SavedMemory(Memory(state, 0), "", "")


def file_limit(config: ModelConfig) -> int:
    """Bytes of the largest file that a memory of this model is saved in."""
    return config.state_bytes + 4 * config.vocab_size + MAX_HEAD_BYTES


def _check_size(path: Path, limit: int) -> None:
    """Look at a file's size and at that of its head, before anything else of it is read."""
    size = path.stat().st_size
    if size > limit:
        raise StateError(
            "{file} has {size:,} bytes, and a memory of this model at most {limit:,}; choose "
            "a file that this model saved",
            file=path.name,
            size=size,
            limit=limit,
        )
    with path.open("rb") as file:
        head = file.read(9)
    if len(head) < 9 or head[8:] != b"{" or int.from_bytes(head[:8], "little") > MAX_HEAD_BYTES:
        raise StateError(
            "{file} is not a memory; choose a .safetensors file saved by this playground",
            file=path.name,
        )


def load_initial_state(
    path: str | Path, config: ModelConfig, fingerprint: str, *, order: Order | None = None
) -> tuple[State, Choice]:
    """Read a saved or tuned state, B = 1, to begin a text from.

    A tuned state says neither which model it was tuned for nor its generation: sizes are
    compared, the rest is the user's to know. Its shifts are zero, as in tuning.

    Args:
        path: .safetensors saved by State.save, or a tuned state: .pth, .safetensors or .st.
        config: of the model that will use it.
        fingerprint: of that model's weights; only a state saved by State.save knows its own.
        order: of a tuned state's matrices; told by the suffix where None.

    Returns:
        The state, and what it is with how that was told.

    Raises:
        StateError: unreadable, another model's, not a state, or holding NaN or infinity.
    """
    path = Path(path).expanduser()
    metadata, content = _read(path)
    if metadata.get("format") == FILE_FORMAT:
        state, tokens, _ = State.load(path, config, fingerprint)
        why = Sentence("saved by this program after {tokens:,} tokens", tokens=tokens)
        return state, Choice(path.name, why)
    if config.has_exponents:
        raise StateError(
            "{file} holds matrices, and RWKV-{generation}, which is loaded, remembers none; "
            "state tuning is for RWKV-5 and later",
            file=path.name,
            generation=config.generation,
        )
    matrices = _stack(path.name, content, config)
    is_turned = path.suffix.lower() in _TURNED_SUFFIXES
    order = order or ("key-value" if is_turned else "value-key")
    if order == "key-value":
        matrices = matrices.transpose(-1, -2).contiguous()
    state = dataclasses.replace(State.zeros(config), wkv=matrices[:, None])
    return state, Choice(path.name, Sentence("a tuned state; {order}", order=_REASONS[order]))


def _read(path: Path) -> tuple[dict[str, str], Mapping[object, object]]:
    """Give a file's metadata and its entries; whatever code a pickle holds does not run."""
    try:
        with path.open("rb") as stream:
            is_safetensors = stream.read(9)[8:] == b"{"
        if is_safetensors:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                return file.metadata() or {}, tensors
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise StateError(
            "{file} is no state file, or holds Python objects that could run code when "
            "loaded; give the .pth or .safetensors that state tuning saved",
            file=path.name,
        ) from error
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StateError(
            "{file} is not a readable state file ({reason}); give the .pth, .safetensors or "
            ".st of a state",
            file=path.name,
            reason=reason,
        ) from error
    if not isinstance(content, dict):
        raise StateError(
            "{file} holds a {kind} instead of named tensors; give the file that state tuning saved",
            file=path.name,
            kind=type(content).__name__,
        )
    return {}, content


def _stack(name: str, content: Mapping[object, object], config: ModelConfig) -> Tensor:
    """Check a tuned state and stack its layers: (L, H, N, N) float32, in the file's order."""
    layers: dict[int, Tensor] = {}
    for key, value in content.items():
        match = _NAME.fullmatch(str(key))
        if match is None or not isinstance(value, Tensor) or not value.is_floating_point():
            raise StateError(
                "{file} holds {name!r}, which is no time_state of a layer; give a file that "
                "holds nothing else (weights are no state)",
                file=name,
                name=str(key)[:80],
            )
        layers[int(match[1])] = value
    shape = (config.n_head, config.head_size, config.head_size)
    shapes = sorted({tuple(value.shape) for value in layers.values()})
    if sorted(layers) != list(range(config.n_layer)) or shapes != [shape]:
        raise StateError(
            "{file} is a state of {layers} layers with matrices of {shapes} shape, but the "
            "model loaded (RWKV-{generation}) has {wanted} layers with {shape}; use the "
            "state with the model it was tuned for",
            file=name,
            layers=len(layers),
            shapes=" and ".join(map(str, shapes)) or "no",
            generation=config.generation,
            wanted=config.n_layer,
            shape=shape,
        )
    matrices = torch.stack([layers[index].float() for index in range(config.n_layer)])
    finite = torch.isfinite(matrices).flatten(1).all(1)
    if not finite.all():
        raise StateError(
            "layer {layer} of {file} holds NaN or infinity; the tuning went wrong there, or "
            "the file is damaged: use an earlier one",
            layer=int(finite.int().argmin()) + 1,
            file=name,
        )
    return matrices
