from pathlib import Path

import pytest

from benchmarks.prefill_memory import MemorySampler, anonymous_bytes, flatness

MIB = 2**20


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
