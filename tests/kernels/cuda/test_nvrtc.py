"""The runtime compiler: what is chosen, found, and said when something is wrong."""

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from kernels.build import BuildError
from kernels.cuda import nvrtc
from kernels.cuda.nvrtc import Nvrtc, choose_architecture, load_nvrtc


@pytest.mark.parametrize(
    ("capability", "supported", "expected"),
    [
        ((9, 0), (75, 80, 90), "sm_90"),
        ((8, 9), (75, 80, 86, 89, 90), "sm_89"),
        # An older compiler's program, which the GPU's newer driver finishes.
        ((12, 0), (75, 80, 86, 90), "compute_90"),
        ((8, 7), (75, 80, 86, 90), "compute_86"),
    ],
)
def test_the_architecture_is_the_gpus_or_the_nearest_below(
    capability: tuple[int, int], supported: tuple[int, ...], expected: str
) -> None:
    assert choose_architecture(capability, supported) == expected


def test_a_gpu_older_than_the_compiler_knows_is_named() -> None:
    with pytest.raises(BuildError, match=r"7\.0, NVRTC compiles for 7\.5 and newer; install"):
        choose_architecture((7, 0), (75, 80, 90))


def test_a_compiler_error_is_told_by_its_last_lines() -> None:
    try:
        compiler = load_nvrtc()
    except BuildError as error:
        pytest.skip(str(error))
    with pytest.raises(BuildError, match=r'a\.cu\(1\): error: identifier "nonsense"'):
        compiler.compile("__global__ void f() { nonsense; }", "a.cu", {}, "sm_90", {})
    with pytest.raises(BuildError, match="invalid value for --gpu-architecture"):
        compiler.compile("", "a.cu", {}, "sm_1", {})


def test_headers_and_macros_reach_the_source() -> None:
    try:
        compiler = load_nvrtc()
    except BuildError as error:
        pytest.skip(str(error))
    source = '#include "b.cuh"\nextern "C" __global__ void f(int* x) { *x = two() + MORE; }'
    headers = {"b.cuh": "__device__ int two() { return 2; }"}
    made = compiler.compile(source, "a.cu", headers, "compute_90", {"MORE": 3})
    assert b".visible .entry f(" in made


def test_without_the_library_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(place: str) -> ctypes.CDLL:
        raise OSError(place)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(BuildError, match="install the package nvidia-cuda-nvrtc"):
        load_nvrtc()


def test_a_library_that_does_not_answer_is_told() -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            function = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 6)
            if name == "nvrtcGetErrorString":
                return type("Words", (), {"__call__": lambda self, code: b"out of order"})()
            return lambda *_: function()

    with pytest.raises(BuildError, match="NVRTC does not work here: out of order"):
        Nvrtc(Broken())  # type: ignore[arg-type]  # stands for a library


def test_pytorchs_own_version_is_tried_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    folder = tmp_path / "nvidia" / "cuda_nvrtc" / "lib"
    folder.mkdir(parents=True)
    (folder / "libnvrtc.so.12").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "platform", "linux")
    places = list(nvrtc._places())
    assert places == [str(folder / "libnvrtc.so.12"), "libnvrtc.so.12", "libnvrtc.so.13"]
