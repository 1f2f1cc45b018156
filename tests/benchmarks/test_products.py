import json
from pathlib import Path

import pytest

from benchmarks.products import FORMATS, main, rate, report
from kernels.packed import multiply_registers


def test_a_rate_is_what_was_done_over_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 12.0])
    monkeypatch.setattr("benchmarks.products.time.perf_counter", lambda: next(now))
    done: list[int] = []
    assert rate(6 * 10**9, lambda: done.append(1)) == 3.0
    assert done == [1]


def test_registers_are_multiplied_by_every_thread() -> None:
    one, two = (multiply_registers("fp32", threads=threads) for threads in (1, 2))
    assert two == 2 * one > 10**6


def test_a_table_has_a_row_for_each_format() -> None:
    row = {"format": "int8", "inputs": "int8 by 32", "products": 390.2, "registers": 468.0}
    assert report([row | {"share": 0.834}]).splitlines()[2:] == [
        "| int8 | int8 by 32 | 390 | 468 | 0.83 |"
    ]


def test_all_formats_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = "--rows 640 --columns 320 --tokens 64 --threads 1 --rounds 1"
    main([*sizes.split(), "--json", str(tmp_path / "p.json")])
    found = json.loads((tmp_path / "p.json").read_text())
    assert [row["format"] for row in found["formats"]] == list(FORMATS)
    assert (found["rows"], found["columns"], found["tokens"], found["threads"]) == (640, 320, 64, 1)
    for row in found["formats"]:
        assert row["products"] > 0
        assert row["share"] == pytest.approx(row["products"] / row["registers"], abs=0.01)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(FORMATS)
