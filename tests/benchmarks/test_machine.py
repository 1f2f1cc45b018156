import json
from pathlib import Path

from benchmarks.machine import machine

CPUINFO = """processor : 0
model name : A Fast One @ 3 GHz
flags : fpu avx2 avx512f fma sse

processor : 1
model name : A Fast One @ 3 GHz
flags : fpu avx2 avx512f fma sse
"""


def test_the_processor_and_what_speeds_it_up_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    described = machine(path)
    assert described["cpu"] == "A Fast One @ 3 GHz"
    assert described["features"] == ["avx2", "fma", "avx512f"]


def test_a_machine_without_a_list_of_processors_is_described_too(tmp_path: Path) -> None:
    described = machine(tmp_path / "missing")
    assert described["cpu"]
    assert described["features"] == []


def test_the_description_is_json_and_holds_no_path() -> None:
    text = json.dumps(machine())
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
