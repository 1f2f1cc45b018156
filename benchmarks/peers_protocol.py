"""Requests and answers between benchmarks.peers and the engines, each a process of its own.

One line of JSON asks, one line answers. This file runs in the virtual environment of any peer, so
it needs nothing but NumPy.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
PROC_STATUS = Path("/proc/self/status")
# Fields of Linux's status file: now, at most, and without mapped files.
MEMORY = {"rss_mib": "VmRSS", "peak_rss_mib": "VmHWM", "own_rss_mib": "RssAnon"}


# Processors that engines are compiled for: the compiler's flag, where it is not what it has by default.
PROCESSORS = {"native": "", "avx2": "-march=x86-64-v3"}

Task = Callable[..., NDArray[np.float32]]


class Engine(Protocol):
    """What an engine's process is made of."""

    def tasks(self) -> Mapping[str, Task]:
        """Name what it can be asked for. Every text begins with an empty state.

        "decode" reads `ids` one by one and "prefill" at once; both give the logits after the
        last, (V,). "batch" reads `size` sequences together, one token of each at a time,
        sequence n the ids turned by n; the last logits, (size, V).
        """

    def facts(self) -> dict[str, Any]:
        """Say what runs: "version" and "how"."""


class PeerError(Exception):
    """An engine's process ended; the message has its last words."""


def memory(status: Path = PROC_STATUS) -> dict[str, float]:
    """Read the memory of this process, in MiB, as MEMORY names it; Linux only."""
    rows = (line.split() for line in status.read_text().splitlines())
    found = {row[0].rstrip(":"): row[1] for row in rows if len(row) > 1}
    return {name: round(int(found[field]) / 1024, 1) for name, field in MEMORY.items()}


def serve(engine: Engine, requests: IO[str], answers: IO[str], load_s: float) -> None:
    """Answer requests until there are no more.

    Args:
        engine: who does the work.
        requests: a line each: {"do": task, ...} with the task's arguments, and "result" where
            the array is wanted, a .npy file to write; or {"do": "memory"}.
        answers: a line each; the first says what runs. A task is answered with its "seconds".
        load_s: seconds it took to load.
    """
    tasks = engine.tasks()
    answer = {"load_s": round(load_s, 3), "tasks": list(tasks), **engine.facts()}
    print(json.dumps(answer), file=answers, flush=True)
    for line in requests:
        request = json.loads(line)
        what, file = request.pop("do"), request.pop("result", None)
        if what == "memory":
            answer = dict(memory())
        else:
            start = time.perf_counter()
            array = tasks[what](**request)
            answer = {"seconds": time.perf_counter() - start}
            if file:
                np.save(file, array)
        print(json.dumps(answer), file=answers, flush=True)


def private_stdout() -> IO[str]:
    """Keep stdout for answers; what libraries print from now on goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


class Peer:
    """A running engine; use it as a context.

    Attributes:
        name: for tables.
        facts: what it said when it was ready.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process and wait until it is ready.

        Args:
            name: for tables.
            command: words; it runs in the repository's root.
            environment: variables on top of this process's own.
        """
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.facts = self._read()

    def __enter__(self) -> Peer:
        """It runs already."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self.close()

    def ask(self, what: str, **request: Any) -> dict[str, Any]:
        """Send a request of serve's and wait for the answer.

        Raises:
            PeerError: the process ended instead.
        """
        assert self._process.stdin
        # Where the pipe is broken the process has ended, and reading says why.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": what, **request}) + "\n")
            self._process.stdin.flush()
        return self._read()

    def array(self, what: str, **request: Any) -> NDArray[np.float32]:
        """Ask for a task, and fetch its array."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.npy"
            self.ask(what, result=str(file), **request)
            found: NDArray[np.float32] = np.load(file)
        return found

    def close(self) -> None:
        """End the process: without requests it has nothing left to do."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            last = self._errors.read()[-2000:]
            self.close()
            raise PeerError(f"{self.name} ended with status {status}; its last words:\n{last}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def load_and_serve(load: Callable[[], Engine], answers: IO[str]) -> None:
    """Load an engine in this process, read one token with it, and serve stdin's requests.

    Args:
        load: makes the engine; timed, with the token.
        answers: from private_stdout, called before anything could print.
    """
    start = time.perf_counter()
    engine = load()
    if "decode" in engine.tasks():
        # Mapped files and packed weights are in place only after a first token.
        engine.tasks()["decode"](ids=[1])
    serve(engine, sys.stdin, answers, time.perf_counter() - start)
