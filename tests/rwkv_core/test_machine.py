from pathlib import Path

import pytest

from rwkv_core.machine import look_at_machine


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "cpuinfo").write_text("model name\t: Test CPU\nflags\t: fpu avx2 fma sse\n")
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable: 1500 kB\n")
    return tmp_path


def test_what_linux_says_is_read(proc: Path, tmp_path: Path) -> None:
    machine = look_at_machine(proc, tmp_path / "none")
    assert machine.cpu.value == "Test CPU"
    assert machine.instructions.value == "avx2, fma"
    assert (machine.memory_bytes, machine.free_bytes) == (2_048_000, 1_536_000)
    assert machine.available["cpu"] == 1_536_000
    assert machine.gpu.reason


def test_a_containers_limit_counts(proc: Path) -> None:
    (proc / "memory.max").write_text("1000000\n")
    (proc / "memory.current").write_text("400000\n")
    machine = look_at_machine(proc, proc)
    assert (machine.memory_bytes, machine.free_bytes) == (1_000_000, 600_000)
    (proc / "memory.stat").write_text("anon 300000\ninactive_file 100000\n")
    assert look_at_machine(proc, proc).free_bytes == 700_000
    (proc / "memory.max").write_text("max\n")
    assert look_at_machine(proc, proc).memory_bytes == 2_048_000


def test_a_system_without_these_files_is_no_error(tmp_path: Path) -> None:
    machine = look_at_machine(tmp_path, tmp_path)
    assert machine.cpu.value
    assert machine.free_bytes == 0
