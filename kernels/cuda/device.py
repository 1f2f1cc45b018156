"""A GPU and its kernels: compiled on first use, kept between runs, launched on PyTorch's stream."""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from kernels.build import BuildError, default_cache
from kernels.cuda.driver import Argument, Driver, load_driver
from kernels.cuda.nvrtc import OPTIONS, choose_architecture, load_nvrtc
from kernels.sentences import Sentence

SOURCE_FOLDER = Path(__file__).parent
# What a kernel's INPUT is called for tensors of a type.
INPUTS = {torch.float32: "float", torch.float16: "Half", torch.bfloat16: "BFloat"}
# Compute capability from which kernels may begin before those ahead of them have ended.
OVERLAP_SINCE = 90
Defines = Mapping[str, str | int]


class Compiler(Protocol):
    """Makes programs; see kernels.cuda.nvrtc.Nvrtc."""

    version: str

    def compile(
        self,
        source: str,
        name: str,
        headers: Mapping[str, str],
        architecture: str,
        defines: Defines,
    ) -> bytes:
        """Compile one source."""


def read_sources() -> dict[str, str]:
    """Read the CUDA sources and headers, by name."""
    paths = sorted(SOURCE_FOLDER.glob("*.cu*"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def build_image(
    compiler: Compiler, source: str, architecture: str, defines: Defines, cache: Path
) -> bytes:
    """Compile one source file, or find it compiled already.

    Args:
        compiler: NVRTC.
        source: file name in kernels/cuda.
        architecture: as of kernels.cuda.nvrtc.choose_architecture.
        defines: macros.
        cache: folder for results, keyed by sources, compiler, architecture and macros.

    Raises:
        BuildError: the compiler's last lines.
    """
    sources = read_sources()
    headers = {name: text for name, text in sources.items() if name.endswith(".cuh")}
    parts = [source, sources[source], *headers.items(), compiler.version, architecture]
    digest = hashlib.sha256(repr([*parts, sorted(defines.items()), OPTIONS]).encode())
    target = cache / digest.hexdigest()[:20] / f"{Path(source).stem}.{architecture}"
    with suppress(OSError):
        return target.read_bytes()
    image = compiler.compile(sources[source], source, headers, architecture, defines)
    # Where nothing can be kept, the next start compiles again; that takes a second or two.
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(image)
        os.replace(file.name, target)  # noqa: PTH105 (Path.replace is the same call)
    return image


class Device:
    """One GPU.

    Attributes:
        torch_device: its name in PyTorch.
        how: a sentence that says how its kernels are made.
    """

    def __init__(
        self,
        torch_device: torch.device,
        driver: Driver,
        compiler: Compiler,
        architecture: str,
        *,
        cache: Path,
        stream: Callable[[], int],
    ) -> None:
        """Put driver and compiler together.

        Args:
            torch_device: where tensors lie.
            driver: launches.
            compiler: makes programs.
            architecture: to compile for.
            cache: folder for compiled programs.
            stream: says on which CUDA stream to launch.
        """
        self.torch_device = torch_device
        text = "CUDA kernels for {architecture} by NVRTC {version}"
        self.how = Sentence(text, architecture=architecture, version=compiler.version)
        self._driver, self._compiler, self._stream = driver, compiler, stream
        self._architecture, self._cache = architecture, cache
        number = architecture.partition("_")[2]
        self._may_overlap = number.isdigit() and int(number) >= OVERLAP_SINCE
        self._modules: dict[object, ctypes.c_void_p] = {}
        self._functions: dict[object, ctypes.c_void_p] = {}

    def kernel(self, source: str, name: str, **defines: str | int) -> ctypes.c_void_p:
        """Get a kernel, which is compiled and loaded the first time.

        Args:
            source: file name in kernels/cuda.
            name: of the kernel.
            defines: macros of the source.

        Raises:
            BuildError: it cannot be compiled or loaded.
        """
        key = (source, *sorted(defines.items()))
        found = self._functions.get((name, key))
        if found is None:
            if key not in self._modules:
                arguments = (self._compiler, source, self._architecture, defines, self._cache)
                self._modules[key] = self._driver.load(build_image(*arguments))
            found = self._driver.function(self._modules[key], name)
            self._functions[name, key] = found
        return found

    def launch(
        self,
        kernel: ctypes.c_void_p,
        grid: tuple[int, int],
        threads: int,
        *arguments: Argument,
        overlaps: bool = False,
    ) -> None:
        """Start a kernel on the current stream; a grid of no blocks is left out.

        Args:
            kernel: from `kernel`.
            grid: blocks, along x and y.
            threads: of a block.
            arguments: see Driver.launch.
            overlaps: the kernel calls wait_for_previous, so it may begin before it must.

        Raises:
            LaunchError: the driver says no.
        """
        tensors = (x for x in arguments if isinstance(x, Tensor))
        assert all(x.device == self.torch_device and x.is_contiguous() for x in tensors)
        if grid[0] and grid[1]:
            overlaps = overlaps and self._may_overlap
            self._driver.launch(kernel, grid, threads, arguments, self._stream(), overlaps=overlaps)


def open_device(device: torch.device) -> Device:
    """Prepare a GPU that PyTorch sees, once per process.

    Args:
        device: "cuda", which is the current one, or "cuda:1".

    Raises:
        BuildError: kernels cannot be compiled or launched here; says why.
    """
    if torch.version.cuda is None:
        raise BuildError("this PyTorch is the build for the CPU alone")
    try:
        return _open(torch.cuda.current_device() if device.index is None else device.index)
    except RuntimeError as error:
        # A host that lends GPUs has none while a program starts.
        message = str(error).partition("\n")[0]
        raise BuildError(
            Sentence("PyTorch cannot use the GPU: {message}", message=message)
        ) from error


@lru_cache
def _open(index: int) -> Device:
    driver, nvrtc = load_driver(index), load_nvrtc()
    capability = torch.cuda.get_device_capability(index)

    def stream() -> int:
        handle: int = torch.cuda.current_stream(index).cuda_stream
        return handle

    return Device(
        torch.device("cuda", index),
        driver,
        nvrtc,
        choose_architecture(capability, nvrtc.architectures),
        cache=default_cache(),
        stream=stream,
    )
