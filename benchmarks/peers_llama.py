"""llama.cpp as an engine of benchmarks.peers; runs in llama-cpp-python's own environment.

    python -m benchmarks.peers_llama run MODEL.gguf THREADS
    python -m benchmarks.peers_llama quantise F32.gguf RESULT.gguf KIND THREADS

Low-level calls only, so that nothing of Python's stands between two tokens.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers_protocol import Task, load_and_serve, private_stdout

CONTEXT_TOKENS = 4096
# llama.cpp's default for one piece of a text; all of a measured text fits.
PIECE_TOKENS = 512


class LlamaEngine:
    """One GGUF file on the CPU; see benchmarks.peers_protocol.Engine."""

    def __init__(self, path: str, threads: int) -> None:
        """Load the file; its weights stay mapped where llama.cpp does not repack them."""
        llama.llama_backend_init()
        settings = llama.llama_model_default_params()
        settings.n_gpu_layers = 0
        self._model = llama.llama_model_load_from_file(path.encode(), settings)
        if not self._model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self._vocab_size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))
        self._threads = threads
        self._single = self._open(1)
        # Opened when it is first asked for, so that its buffers do not count before.
        self._several: tuple[int, Any] = (0, None)

    def decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens one by one."""
        self._forget(self._single)
        token = (llama.llama_token * 1)()
        for token[0] in ids:
            self._step(self._single, llama.llama_batch_get_one(token, 1))
            logits = llama.llama_get_logits_ith(self._single, -1)
        return np.ctypeslib.as_array(logits, (self._vocab_size,)).copy()

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens at once; llama.cpp computes logits of the last of each piece alone."""
        self._forget(self._single)
        for start in range(0, len(ids), PIECE_TOKENS):
            piece = ids[start : start + PIECE_TOKENS]
            tokens = (llama.llama_token * len(piece))(*piece)
            self._step(self._single, llama.llama_batch_get_one(tokens, len(piece)))
        logits = llama.llama_get_logits_ith(self._single, -1)
        return np.ctypeslib.as_array(logits, (self._vocab_size,)).copy()

    def batch(self, ids: Sequence[int], size: int) -> NDArray[np.float32]:
        """Read sequences together."""
        if self._several[0] != size:
            self._several = (size, self._open(size))
        context = self._several[1]
        self._forget(context)
        batch = llama.llama_batch_init(size, 0, 1)
        batch.n_tokens = size
        for position in range(len(ids)):
            for row in range(size):
                batch.token[row] = ids[(position + row) % len(ids)]
                batch.pos[row] = position
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, row
                batch.logits[row] = 1
            self._step(context, batch)
            logits = llama.llama_get_logits(context)
        llama.llama_batch_free(batch)
        return np.ctypeslib.as_array(logits, (size, self._vocab_size)).copy()

    def tasks(self) -> Mapping[str, Task]:
        """Name all three."""
        return {"decode": self.decode, "prefill": self.prefill, "batch": self.batch}

    def facts(self) -> dict[str, Any]:
        """Name the version and what it was compiled for."""
        how = llama.llama_print_system_info().decode().strip()
        return {"version": f"llama-cpp-python {llama.__version__}", "how": how}

    def _open(self, sequences: int) -> Any:
        settings = llama.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = CONTEXT_TOKENS * sequences, sequences
        settings.n_batch = settings.n_ubatch = PIECE_TOKENS
        settings.n_threads = settings.n_threads_batch = self._threads
        context = llama.llama_init_from_model(self._model, settings)
        if not context:
            raise SystemExit("llama.cpp cannot make a context")
        return context

    @staticmethod
    def _forget(context: Any) -> None:
        llama.llama_memory_clear(llama.llama_get_memory(context), True)

    @staticmethod
    def _step(context: Any, batch: Any) -> None:
        status = llama.llama_decode(context, batch)
        if status:
            raise SystemExit(f"llama_decode answers {status}")


def quantise(source: str, result: str, kind: str, threads: int) -> None:
    """Write a GGUF file in another type, with llama.cpp's own quantiser and its own rules."""
    settings = llama.llama_model_quantize_default_params()
    settings.ftype = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{kind}")
    settings.nthread = threads
    status = llama.llama_model_quantize(source.encode(), result.encode(), ctypes.byref(settings))
    if status:
        raise SystemExit(f"llama.cpp cannot write {kind}: status {status}")


def main(what: str, *arguments: str) -> None:
    """Do what the module's docstring says."""
    if what == "quantise":
        source, result, kind, threads = arguments
        quantise(source, result, kind, int(threads))
        return
    answers = private_stdout()
    path, threads = arguments
    load_and_serve(lambda: LlamaEngine(path, int(threads)), answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
