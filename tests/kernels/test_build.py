"""Compiling the kernels: the cache, and what is said when it cannot be done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kernels
from kernels import build, operators
from kernels.build import BuildError, build_library
from kernels.cpu_library import cpu_library


@pytest.fixture
def compiler() -> str:
    found = next((name for name in build.COMPILERS if shutil.which(name)), None)
    if found is None:
        pytest.skip("no C++ compiler on this machine")
    return found


def test_a_second_build_finds_the_first(tmp_path: Path, compiler: str) -> None:
    first, how = build_library("wkv7.cpp", tmp_path)
    made = first.stat().st_mtime_ns
    again, _ = build_library("wkv7.cpp", tmp_path)
    assert again == first
    assert again.stat().st_mtime_ns == made
    assert "C++" in how


def test_other_source_means_another_library(
    tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = build_library("wkv7.cpp", tmp_path / "cache")
    changed = shutil.copytree(build.SOURCE_FOLDER, tmp_path / "cpu")
    with (changed / "vec.h").open("a") as file:
        file.write("// changed\n")
    monkeypatch.setattr(build, "SOURCE_FOLDER", changed)
    second, _ = build_library("wkv7.cpp", tmp_path / "cache")
    assert second != first


def test_a_compiler_error_is_told_by_its_last_lines(
    tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "broken.cpp").write_text("int main() { return nonsense; }\n")
    monkeypatch.setattr(build, "SOURCE_FOLDER", tmp_path / "cpu")
    with pytest.raises(BuildError, match="failed"):
        build_library("broken.cpp", tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_compiler_that_takes_too_long_is_told(
    tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("ninja", 1, output=b"[0/1] c++ ...")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(BuildError, match=r"failed: \[0/1\] c\+\+"):
        build_library("wkv7.cpp", tmp_path)


def test_without_a_compiler_torch_takes_over_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BuildError, match=r"install g\+\+"):
        build_library("wkv7.cpp", tmp_path)
    cpu_library.cache_clear()
    try:
        operator = operators.select_wkv7(64)
    finally:
        cpu_library.cache_clear()
    assert operator.name == "torch"
    assert "no C++ compiler" in operator.reason


@pytest.mark.skipif(os.name == "nt", reason="files have no such permission on Windows")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, compiler: str) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file, not a folder")
    with pytest.raises(BuildError, match="cannot write to cache"):
        build_library("wkv7.cpp", blocked)


def test_importing_kernels_compiles_nothing() -> None:
    script = "import subprocess; subprocess.run = None; import kernels; print(kernels.__file__)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).samefile(kernels.__file__)
