"""Which batches share a graph, and when one is recorded; CUDA's graphs are played."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
import torch

from kernels.cuda.buckets import BUCKETS, Graphs, bucket_of


def test_every_batch_has_the_nearest_bucket_above() -> None:
    for batch in range(1, 961):
        bucket = bucket_of(batch)
        assert bucket >= batch
        assert all(other < batch for other in BUCKETS if other < bucket)


def test_buckets_waste_at_most_a_third() -> None:
    assert max(bucket_of(batch) / batch for batch in range(1, 961)) < 1.5
    assert list(BUCKETS) == sorted(set(BUCKETS))


class PlayedGraph:
    """Stands for a CUDA graph: remembers that it was replayed."""

    log: list[str]

    def replay(self) -> None:
        self.log.append("replay")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []
    PlayedGraph.log = events

    @contextmanager
    def graph(_: object, capture_error_mode: str) -> Generator[None]:
        assert capture_error_mode == "thread_local"
        events.append("record")
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", PlayedGraph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return events


def test_a_bucket_is_launched_then_recorded_then_replayed(log: list[str]) -> None:
    graphs = Graphs(torch.device("cuda"))
    for _ in range(4):
        graphs.run(8, lambda: log.append("launch"))
    assert log == ["launch", "record", "launch", "replay", "replay", "replay"]
    graphs.run(16, lambda: log.append("other"))
    assert log[-1] == "other"
    graphs.clear()
    graphs.run(8, lambda: log.append("again"))
    assert log[-1] == "again"


def test_where_recording_fails_launches_go_on_and_the_reason_is_kept(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, capture_error_mode: str) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    graphs = Graphs(torch.device("cuda"))
    for _ in range(3):
        graphs.run(8, lambda: log.append("launch"))
    assert log == ["launch"] * 3
    assert "recording failed: operation not permitted" in graphs.why_not


def test_other_devices_record_nothing(log: list[str]) -> None:
    graphs = Graphs(torch.device("cpu"))
    for _ in range(3):
        graphs.run(1, lambda: log.append("launch"))
    assert log == ["launch"] * 3
