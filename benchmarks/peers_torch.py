"""Engines of benchmarks.peers that run on torch: ours, the package rwkv, and the probe.

python -m benchmarks.peers_torch ours|all-rows|rwkv|probe THREADS PROCESSOR [MODEL.pth STRATEGY]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers_protocol import Engine, Task, load_and_serve, private_stdout
from benchmarks.speed import bytes_read, compile_for, load_peer, memory_read, zero_share
from rwkv_core.models import Model, load_model
from rwkv_core.models.packed import Packed


class OurEngine:
    """Our runtime; see benchmarks.peers_protocol.Engine."""

    def __init__(self, path: str, strategy: str, *, skips: bool = True) -> None:
        """Load a checkpoint; without skips, weights that meet a zero are read all the same."""
        self._model: Model = load_model(path, strategy)
        self._skips = skips
        if not skips:
            self._model.read_all_weights()

    def decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens one by one."""
        state = None
        for token in ids:
            logits, state = self._model.forward([token], state)
        return logits[0].numpy()

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens as the playground does, in its own pieces."""
        return self._model.prefill(list(ids))[0][0].numpy()

    def batch(self, ids: Sequence[int], size: int) -> NDArray[np.float32]:
        """Read sequences together."""
        tokens = torch.tensor(ids)
        every = torch.stack([tokens.roll(-row) for row in range(size)])
        state = self._model.initial_state(size)
        for step in range(len(ids)):
            logits, state = self._model.forward(every[:, step : step + 1], state)
        return logits.numpy()

    def zeros(self) -> NDArray[np.float32]:
        """Find zero_share; torch computes it, so that more memory is taken."""
        return np.array(zero_share(self._model), dtype=np.float32)

    def tasks(self) -> Mapping[str, Task]:
        """Name the three that are measured, and zeros."""
        return {
            "decode": self.decode,
            "prefill": self.prefill,
            "batch": self.batch,
            "zeros": self.zeros,
        }

    def facts(self) -> dict[str, Any]:
        """Say what was chosen."""
        choices = self._model.choices.items()
        return {
            "version": "this commit",
            "how": "; ".join(f"{kind}: {word} ({reason})" for kind, (word, reason) in choices),
            "weights_mib": round(self._model.weight_bytes / 2**20, 1),
            "bytes_per_token": bytes_read(self._model, 0.0),
            "skippable_bytes": bytes_read(self._model, 0.0) - bytes_read(self._model, self._skips),
            "skipped_from": max(
                part.weight.skipped_from
                for name, part in self._model.network.named_modules()
                if isinstance(part, Packed) and name.endswith(".ffn.value")
            ),
        }


class RwkvEngine:
    """The PyPI package rwkv; see benchmarks.peers_protocol.Engine."""

    def __init__(self, path: str, strategy: str) -> None:
        """Load a checkpoint; the package wants its state made by itself."""
        self._model = load_peer(Path(path), strategy.removeprefix("cpu "))

    def decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens one by one."""
        state = None
        for token in ids:
            logits, state = self._model.forward([token], state)
        return _as_numpy(logits)

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read tokens at once."""
        return _as_numpy(self._model.forward(list(ids), None)[0])

    def tasks(self) -> Mapping[str, Task]:
        """Name two; the package reads one sequence at a time."""
        return {"decode": self.decode, "prefill": self.prefill}

    def facts(self) -> dict[str, Any]:
        """Name the version."""
        return {"version": f"rwkv {version('rwkv')}", "how": "TorchScript on, as by default"}


def _as_numpy(logits: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = logits.float().numpy()
    return found


class ProbeEngine:
    """Reads memory with our kernel that does nothing else, over a buffer that no cache holds."""

    def __init__(self) -> None:
        """Fill the buffer, so that every page is there."""
        self._read, self._bytes = memory_read()

    def probe(self) -> NDArray[np.float32]:
        """Measure bytes per second; a single number."""
        start = time.perf_counter()
        self._read()
        return np.array(self._bytes / (time.perf_counter() - start), dtype=np.float32)

    def tasks(self) -> Mapping[str, Task]:
        """Name the probe."""
        return {"probe": self.probe}

    def facts(self) -> dict[str, Any]:
        """Say what the probe does."""
        return {"version": "this commit", "how": f"read_memory, {self._bytes / 2**20:.0f} MiB"}


ENGINES: Mapping[str, Callable[..., Engine]] = {
    "ours": OurEngine,
    "all-rows": partial(OurEngine, skips=False),
    "rwkv": RwkvEngine,
    "probe": ProbeEngine,
}


def main(what: str, threads: str, processor: str, *arguments: str) -> None:
    """Do what the module's docstring says."""
    answers = private_stdout()
    compile_for(processor)
    torch.set_num_threads(int(threads))
    load_and_serve(lambda: ENGINES[what](*arguments), answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
