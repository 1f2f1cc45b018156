import json
from pathlib import Path

import pytest

from benchmarks import prefill_memory
from benchmarks.prefill_memory import MemorySampler, anonymous_bytes, flatness
from tests.generations import RANDOM_WEIGHTS

MIB = 2**20
ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "prefill_memory_generations.json"
DOCUMENT = ROOT / "docs" / "quality.md"


def write_status(path: Path, kib: int) -> Path:
    path.write_text(f"VmRSS:\t  900 kB\nRssAnon:\t  {kib} kB\nRssFile:\t 7 kB\n")
    return path


def test_anonymous_memory_is_read_in_bytes(tmp_path: Path) -> None:
    assert anonymous_bytes(write_status(tmp_path / "status", 12)) == 12 * 1024


def test_a_system_without_the_figure_is_named(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmRSS: 1 kB\n")
    with pytest.raises(ValueError, match="no RssAnon"):
        anonymous_bytes(tmp_path / "status")


def test_samples_are_taken_every_so_many_tokens(tmp_path: Path) -> None:
    sampler = MemorySampler(100, status=tmp_path / "status")
    for tokens in range(30, 331, 30):
        write_status(tmp_path / "status", tokens)
        sampler.on_progress(tokens)
    assert sampler.samples == [(120, 120 * 1024), (210, 210 * 1024), (300, 300 * 1024)]


def test_flatness_is_the_furthest_sample_from_the_median_after_the_warm_up() -> None:
    samples = [(5, 1 * MIB), (40, 100 * MIB), (60, 100 * MIB), (80, 96 * MIB), (100, 103 * MIB)]
    assert flatness(samples) == {
        "min_mib": 96.0,
        "max_mib": 103.0,
        "median_mib": 100.0,
        "flatness_percent": 4.0,
    }


def test_the_model_is_measured_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    flags = ["--strategy", "cpu fp32", "--tokens", "1500", "--every", "300", "--out", str(out)]
    prefill_memory.main(flags)
    results = json.loads(out.read_text())
    assert results["tokens"] == 1500
    assert [tokens for tokens, _ in results["samples"]] == [512, 768, 1024, 1280, 1500]
    assert results["tokens_per_s"] > 0


def test_every_generation_is_measured_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    prefill_memory.main(["--generations", "--tokens", "900", "--every", "300", "--out", str(out)])
    measured = json.loads(out.read_text())["generations"]
    assert measured.keys() == RANDOM_WEIGHTS.keys()
    assert all(len(figures["samples"]) == 3 for figures in measured.values())
    assert "samples" not in capsys.readouterr().out


def test_a_million_tokens_took_no_memory_in_any_generation_as_the_document_shows() -> None:
    results = json.loads(RESULTS.read_text())
    measured = results["generations"]
    assert measured.keys() == RANDOM_WEIGHTS.keys()
    assert prefill_memory.table(results) in DOCUMENT.read_text(encoding="utf-8")
    for figures in measured.values():
        assert figures["tokens"] == 1_000_000
        assert figures["flatness_percent"] < 1
