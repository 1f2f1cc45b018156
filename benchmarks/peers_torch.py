"""Engines of benchmarks.peers that run on torch: ours, the package rwkv, and the probe.

python -m benchmarks.peers_torch ours|rwkv|probe THREADS [MODEL.pth STRATEGY]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.decode import load_peer, memory_read
from benchmarks.peers_protocol import Engine, Task, load_and_serve, private_stdout
from rwkv_core.models import Model, load_model

PROBE_REPEATS = 3


class OurEngine:
    """Our runtime; see benchmarks.peers_protocol.Engine."""

    def __init__(self, path: str, strategy: str) -> None:
        """Load a checkpoint."""
        self._model: Model = load_model(path, strategy)

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
        }


def zero_share(model: Model, tokens: int = 32) -> float:
    """Find which share of the channel mixes' activations is zero, 0 to 1, on random tokens."""
    shares: list[float] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], raw: Tensor) -> None:
        # What is negative the squared ReLU makes zero.
        shares.append((raw <= 0).float().mean().item())

    named = model.network.named_modules()
    hooks = [part.register_forward_hook(note) for name, part in named if name.endswith("ffn.key")]
    model.trace(random_ids(tokens, model.config.vocab_size))
    for hook in hooks:
        hook.remove()
    return sum(shares) / len(shares)


def random_ids(count: int, vocab_size: int) -> list[int]:
    """Draw ids, always the same; never 0, which ends a text."""
    draw = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(1, vocab_size, (count,), generator=draw).tolist()
    return ids


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
        """Measure bytes per second, the best of a few reads; a single number."""
        seconds = []
        for _ in range(PROBE_REPEATS):
            start = time.perf_counter()
            self._read()
            seconds.append(time.perf_counter() - start)
        return np.array(self._bytes / min(seconds), dtype=np.float32)

    def tasks(self) -> Mapping[str, Task]:
        """Name the probe."""
        return {"probe": self.probe}

    def facts(self) -> dict[str, Any]:
        """Say what the probe does."""
        how = f"kernels.read_memory, {self._bytes / 2**20:.0f} MiB, best of {PROBE_REPEATS}"
        return {"version": "this commit", "how": how}


ENGINES: Mapping[str, Callable[..., Engine]] = {
    "ours": OurEngine,
    "rwkv": RwkvEngine,
    "probe": ProbeEngine,
}


def main(what: str, threads: str, *arguments: str) -> None:
    """Do what the module's docstring says."""
    answers = private_stdout()
    torch.set_num_threads(int(threads))
    load_and_serve(lambda: ENGINES[what](*arguments), answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
