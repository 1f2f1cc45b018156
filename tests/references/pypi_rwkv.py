"""Run the PyPI package rwkv, in processes of its own: it reads the environment at import.

Such a process stays, since to import torch takes longer than most of what is asked of it. It reads
a request from each line, and answers with a line of JSON: null, or what went wrong.
"""

import atexit
import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
NAME = "tests.references.pypi_rwkv"


class PackageProcess:
    """The package, imported under given switches."""

    def __init__(self, **switches: str) -> None:
        """Begin to import it; the switches are environment variables."""
        defaults = {"RWKV_V7_ON": "0", "RWKV_CUDA_ON": "0", "RWKV_JIT_ON": "1"}
        self._said: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long
        self._process = subprocess.Popen(
            [sys.executable, "-m", NAME],
            cwd=ROOT,
            env=os.environ | defaults | switches,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        atexit.register(self._end)

    def ask(self, request: dict[str, Any]) -> None:
        """Have `answer` do something, and wait for its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise AssertionError(f"the package's process ended: {self._said.read()[-2000:]}")
        wrong = json.loads(line)
        assert wrong is None, wrong

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()


package_process = functools.cache(PackageProcess)


def run_package(
    model_path: Path,
    parts: Sequence[Sequence[int]],
    result: Path,
    *,
    strategy: str = "cpu fp32",
    **switches: str,
) -> dict[str, NDArray[np.float32]]:
    """Read the parts in order, after an empty state.

    Args:
        model_path: a .pth file.
        parts: ids, at least one in each.
        result: a file to write.
        strategy: as the package takes it.
        switches: environment variables; RWKV_V7_ON must be "1" for RWKV-7 and "0", as where it is
            not given, for RWKV-4, 5 and 6.

    Returns:
        `logits` (one row per part) and the state after the last: `time_mix_shift` (L, C), `wkv`
        (L, H, V, K), or (L, 3, C) for RWKV-4, and `channel_mix_shift` (L, C).
    """
    request = {"model": str(model_path), "parts": parts, "result": str(result)}
    package_process(**switches).ask(request | {"strategy": strategy})
    return dict(np.load(result))


def answer(request: dict[str, Any]) -> None:
    """Read the parts in order and write the result."""
    # Imported here: the package compiles itself at import, in the process that asked for it.
    from rwkv.model import RWKV

    # The package appends .pth by itself.
    model = RWKV(model=request["model"].removesuffix(".pth"), strategy=request["strategy"])
    is_v7 = os.environ["RWKV_V7_ON"] == "1"
    rows, state = [], model.generate_zero_state() if is_v7 else None
    for part in request["parts"]:
        logits, state = model.forward(part, state)
        rows.append(logits.float().numpy().copy())
    assert state is not None
    results = as_ours([part.float().numpy() for part in state], is_v7) | {"logits": np.stack(rows)}
    np.savez(Path(request["result"]), **results)


def as_ours(state: list[NDArray[np.float32]], is_v7: bool) -> dict[str, NDArray[np.float32]]:
    """Bring the package's flat list, 3 or 5 tensors per layer, into our shapes."""
    # RWKV-4's second tensor is a vector, the others' a matrix per head.
    per_layer = 5 if state[1].ndim == 1 else 3
    first, *middle, last = (np.stack(state[part::per_layer]) for part in range(per_layer))
    wkv = np.stack(middle, axis=1) if per_layer == 5 else middle[0]
    if per_layer == 3 and not is_v7:
        # Rows are keys there.
        wkv = np.swapaxes(wkv, -1, -2)
    return {"time_mix_shift": first, "wkv": wkv, "channel_mix_shift": last}


def main() -> None:
    """Answer every line of the standard input."""
    # The package prints what it does, and collects garbage after every layer, which would take
    # longer than all the rest.
    answers, sys.stdout = sys.stdout, sys.stderr
    gc.collect = lambda generation=2: 0
    for line in sys.stdin:
        try:
            answer(json.loads(line))
            wrong = None
        except Exception:
            wrong = traceback.format_exc()[-2000:]
        answers.write(json.dumps(wrong) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
