"""rwkv.cpp as an engine of benchmarks.peers: its library by ctypes, on files in its own format.

    python -m benchmarks.peers_rwkvcpp run LIBRARY MODEL.bin THREADS
    python -m benchmarks.peers_rwkvcpp write LIBRARY MODEL.pth RESULT.bin KIND

Kinds are FP32 and FP16, which are written here as rwkv.cpp's docs/FILE_FORMAT.md says, and what its
own quantiser makes of FP16, as its README does, such as Q8_0; embedding and head stay FP16.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers_protocol import Task, load_and_serve, private_stdout

MAGIC, VERSION = 0x67676D66, 101
# Of 16 to 512 tokens the quickest for it (0.1B, two threads): 277 to 315 a second.
CHUNK_TOKENS = 512
# Kept in 32 bits whatever the file's type, beside all vectors.
_FP32_PARTS = (".k_k", ".k_a", ".r_k", ".x_rwkvag", ".x_k", ".w0", ".a0", ".v0")
_LOW_RANKS = tuple(f"att.{name}{number}" for name in "wavg" for number in (1, 2))
_FLOATS, _IDS = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_uint32)


def open_library(path: str) -> ctypes.CDLL:
    """Load rwkv.cpp, as rwkv.h declares it."""
    library = ctypes.CDLL(path)
    declared: dict[str, tuple[Any, list[Any]]] = {
        "rwkv_init_from_file": (ctypes.c_void_p, [ctypes.c_char_p, *[ctypes.c_uint32] * 2]),
        "rwkv_eval": (ctypes.c_bool, [ctypes.c_void_p, ctypes.c_uint32, *[_FLOATS] * 3]),
        "rwkv_eval_sequence_in_chunks": (
            ctypes.c_bool,
            [ctypes.c_void_p, _IDS, ctypes.c_size_t, ctypes.c_size_t, *[_FLOATS] * 3],
        ),
        "rwkv_get_state_len": (ctypes.c_size_t, [ctypes.c_void_p]),
        "rwkv_get_logits_len": (ctypes.c_size_t, [ctypes.c_void_p]),
        "rwkv_get_system_info_string": (ctypes.c_char_p, []),
        "rwkv_quantize_model_file": (ctypes.c_bool, [ctypes.c_char_p] * 3),
    }
    for name, (result, arguments) in declared.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class RwkvCppEngine:
    """One file on the CPU; see benchmarks.peers_protocol.Engine."""

    def __init__(self, library: str, path: str, threads: int) -> None:
        """Load the file.

        Raises:
            SystemExit: rwkv.cpp cannot.
        """
        self._library = open_library(library)
        self._context = self._library.rwkv_init_from_file(path.encode(), threads, 0)
        if not self._context:
            raise SystemExit(f"rwkv.cpp cannot load {path}")
        self._state = np.zeros(self._library.rwkv_get_state_len(self._context), np.float32)
        self._logits = np.zeros(self._library.rwkv_get_logits_len(self._context), np.float32)

    def decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens one by one."""
        state, logits = (array.ctypes.data_as(_FLOATS) for array in (self._state, self._logits))
        before = None  # an empty state
        for token in ids:
            self._check(self._library.rwkv_eval(self._context, token, before, state, logits))
            before = state
        return self._logits.copy()

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens in chunks; logits are computed of the last alone."""
        state, logits = (array.ctypes.data_as(_FLOATS) for array in (self._state, self._logits))
        tokens = (ctypes.c_uint32 * len(ids))(*ids)
        self._check(
            self._library.rwkv_eval_sequence_in_chunks(
                self._context, tokens, len(ids), CHUNK_TOKENS, None, state, logits
            )
        )
        return self._logits.copy()

    def tasks(self) -> Mapping[str, Task]:
        """Name two; it reads one sequence at a time."""
        return {"decode": self.decode, "prefill": self.prefill}

    def facts(self) -> dict[str, Any]:
        """Name what it was compiled for; the library does not know its version."""
        how = self._library.rwkv_get_system_info_string().decode().strip()
        return {"version": "rwkv.cpp, see docs/performance.md", "how": how}

    @staticmethod
    def _check(is_done: bool) -> None:
        if not is_done:
            raise SystemExit("rwkv.cpp ended in an error")


def write_floats(path: Path, weights: Mapping[str, Tensor], *, is_half: bool) -> None:
    """Write RWKV-7 weights in rwkv.cpp's format.

    Args:
        path: of the file.
        weights: of an official checkpoint.
        is_half: whether matrices are written in FP16.
    """
    vocab_size, n_embd = weights["emb.weight"].shape
    n_layer = sum(name.endswith(".ln1.weight") for name in weights)
    with path.open("wb") as file:
        file.write(struct.pack("=6i", MAGIC, VERSION, vocab_size, n_embd, n_layer, is_half))
        for name, tensor in _renamed(weights).items():
            keeps = tensor.dim() < 2 or any(part in name for part in _FP32_PARTS)
            _write_tensor(file, name, tensor, is_half=is_half and not keeps)


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        layer, _, part = name.rpartition("att.")
        if name in {f"blocks.0.att.v{number}" for number in range(3)}:
            # Without use in the first layer, and its loader has no place for them.
            continue
        if part == "x_r":
            mixes = [weights[f"{layer}att.x_{one}"] for one in "rwkvag"]
            found[f"{layer}att.x_rwkvag"] = torch.cat(mixes)
        elif not part.startswith("x_"):
            found[name] = tensor.T if name.endswith(_LOW_RANKS) else tensor
    return found


def _write_tensor(file: IO[bytes], name: str, tensor: Tensor, *, is_half: bool) -> None:
    array = tensor.float().numpy().astype(np.float16 if is_half else np.float32)
    file.write(struct.pack("=3i", array.ndim, len(name.encode()), is_half))
    file.write(struct.pack(f"={array.ndim}i", *reversed(array.shape)))
    file.write(name.encode())
    file.write(np.ascontiguousarray(array).tobytes())


def write(library: str, source: str, result: str, kind: str) -> None:
    """Write a checkpoint as a file of this kind.

    Raises:
        SystemExit: its quantiser cannot.
    """
    path = Path(result)
    is_float = kind in ("FP32", "FP16")
    floats = path if is_float else path.with_name("rwkvcpp-FP16.bin")
    if not floats.exists():
        weights = torch.load(source, weights_only=True)
        write_floats(floats, weights, is_half=kind != "FP32")
    if not is_float:
        made = open_library(library).rwkv_quantize_model_file(
            str(floats).encode(), result.encode(), kind.encode()
        )
        if not made:
            raise SystemExit(f"rwkv.cpp cannot write {kind}")


def main(what: str, *arguments: str) -> None:
    """Do what the module's docstring says."""
    answers = private_stdout()
    if what == "write":
        write(*arguments)
        return
    library, path, threads = arguments
    load_and_serve(lambda: RwkvCppEngine(library, path, int(threads)), answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
