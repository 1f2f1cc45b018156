import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers_protocol import Peer, PeerError, Task, memory, serve

# An engine in a process of its own; it prints, as libraries do.
FAKE = """
from benchmarks.peers_protocol import load_and_serve, private_stdout
from tests.benchmarks.test_peers_protocol import FakeEngine
answers = private_stdout()
print("a library greets")
load_and_serve(FakeEngine, answers)
"""


class FakeEngine:
    """Answers every text with its ids."""

    def tasks(self) -> Mapping[str, Task]:
        return {"decode": self.decode}

    def decode(self, ids: list[int]) -> Any:
        sys.stdout.write("and speaks\n")
        if not ids:
            raise SystemExit("an empty text")
        return np.array(ids, dtype=np.float32)

    def facts(self) -> dict[str, Any]:
        return {"version": "fake 1"}


def start(program: str = FAKE) -> Peer:
    return Peer("fake", [sys.executable, "-c", program], {})


def test_requests_are_answered_in_turn_and_arrays_written(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    requests = [{"do": "decode", "ids": [4, 5], "result": str(file)}, {"do": "memory"}]
    answers = io.StringIO()
    serve(FakeEngine(), io.StringIO("\n".join(map(json.dumps, requests))), answers, load_s=2.0)
    ready, seconds, found = map(json.loads, answers.getvalue().splitlines())
    assert ready == {"load_s": 2.0, "tasks": ["decode"], "version": "fake 1"}
    assert seconds["seconds"] >= 0
    assert np.load(file).tolist() == [4, 5]
    assert set(found) == set(memory())


def test_a_process_answers_over_its_pipes_whatever_it_prints() -> None:
    with start() as peer:
        assert peer.facts["version"] == "fake 1"
        assert peer.array("decode", ids=[7, 8, 9]).tolist() == [7, 8, 9]
        assert peer.ask("memory")["rss_mib"] > 1


def test_the_last_words_of_a_process_that_ends_are_told() -> None:
    with start() as peer, pytest.raises(PeerError, match=r"fake ended(.|\n)*an empty text"):
        peer.ask("decode", ids=[])


def test_a_process_that_cannot_start_is_told() -> None:
    with pytest.raises(PeerError, match=r"status 3"):
        start("import sys; sys.exit(3)")


def test_memory_is_read_in_mib(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t 4096 kB\nVmRSS:\t 2048 kB\nRssAnon:\t 1024 kB\nEmpty:\n")
    assert memory(status) == {"rss_mib": 2.0, "peak_rss_mib": 4.0, "own_rss_mib": 1.0}
