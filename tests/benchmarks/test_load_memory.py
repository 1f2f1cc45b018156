import json
from pathlib import Path

import pytest

from benchmarks import load_memory
from benchmarks.load_memory import PeakSampler, clocked, main, measure, measure_all, together
from tests.benchmarks.test_prefill_memory import write_status
from tests.checkpoints import random_weights, write_pth


def test_the_peak_is_the_largest_sample(tmp_path: Path) -> None:
    def write(kib: int) -> Path:
        # In one step: the sampler reads all the while.
        return write_status(tmp_path / "next", kib).rename(tmp_path / "status")

    with PeakSampler(write(100)) as sampler:
        write(300)
        while sampler.peak < 300 * 1024:
            pass
        write(200)
    assert (sampler.before, sampler.peak) == (100 * 1024, 300 * 1024)


def test_a_load_is_measured_against_its_limit(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "m.pth", random_weights(n_layer=2))
    found = measure(path, "cpu fp32")
    assert found["strategy"] == "cpu fp32"
    assert found["is_within_limit"] is True
    assert found["limit_mib"] == pytest.approx(32.1, abs=0.1)


def test_a_load_is_timed_by_the_file(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "m.pth", random_weights(n_layer=2))
    found = clocked(path, "cpu fp32")
    assert found.keys() == {"new_memory_s", "load_s", "load_s_per_gb"}
    # Both are rounded; a small file takes many seconds for each of its GB.
    seconds, each = float(str(found["load_s"])), float(str(found["load_s_per_gb"]))
    assert each * path.stat().st_size / 1e9 == pytest.approx(seconds, abs=0.006)


def test_several_loads_are_one_row_with_their_spread() -> None:
    loads: list[dict[str, object]] = [
        {"load_s": seconds, "load_s_per_gb": 2 * seconds, "new_memory_s": 0.1}
        for seconds in (0.5, 0.2, 0.3)
    ]
    assert together(loads) == {
        "load_s": 0.3,
        "load_s_per_gb": 0.6,
        "new_memory_s": 0.1,
        "quickest_s": 0.2,
        "slowest_s": 0.5,
    }


@pytest.mark.parametrize("is_within", [True, False])
def test_the_command_writes_every_load_and_fails_beyond_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_within: bool
) -> None:
    def run(path: Path, strategy: str) -> dict[str, object]:
        return {"strategy": strategy, "is_within_limit": is_within or strategy != "cpu int8"}

    monkeypatch.setattr(load_memory, "measure_apart", run)
    out = tmp_path / "out.json"
    model = tmp_path / "m.pth"
    words = ["--model", str(model), "--strategy", "cpu fp32", "--strategy", "cpu int8"]
    assert main([*words, "--json", str(out)]) == (0 if is_within else 1)
    written = json.loads(out.read_text())
    assert [row["strategy"] for row in written["loads"]] == ["cpu fp32", "cpu int8"]
    assert written["machine"]["commit"]


def test_every_model_meets_every_strategy() -> None:
    models = {"a": Path("a"), "b": Path("b")}
    rows = measure_all(models, ["x", "y"], run=lambda path, strategy: {"strategy": strategy})
    assert [(row["file"], row["strategy"]) for row in rows] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("b", "y"),
    ]
