"""A GPU played by the CPU: kernels/cuda compiled with emulator.h, launched through driver.py."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch

from kernels.build import BuildError
from kernels.cuda.device import Defines, Device
from kernels.cuda.driver import Driver

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-fno-gnu-unique", "-fvisibility=hidden", "-w")
SANITIZERS = (
    "-O0",
    "-fsanitize=address,undefined",
    "-fsanitize-recover=address",
    "-fno-sanitize-recover=undefined",
    "-g1",
)
_KERNEL = re.compile(r"__global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(")


class HostCompiler:
    """Takes NVRTC's place: an image is the path of a library for this machine."""

    def __init__(self, folder: Path, flags: tuple[str, ...] = ()) -> None:
        self.folder, self.flags = folder, flags
        header = (FOLDER / "emulator.h").read_bytes()
        self.version = hashlib.sha256(header + repr(flags).encode()).hexdigest()[:8]

    def compile(
        self,
        source: str,
        name: str,
        headers: Mapping[str, str],
        architecture: str,
        defines: Defines,
    ) -> bytes:
        """Compile one source, whose kernels are then found by name."""
        macros = [f"-D{key}={value}" for key, value in defines.items()]
        flags = [*FLAGS, *self.flags, *macros]
        digest = hashlib.sha256(repr([source, *headers.items(), flags]).encode()).hexdigest()
        folder = self.folder / digest[:16]
        folder.mkdir(parents=True, exist_ok=True)
        for header, text in headers.items():
            (folder / header).write_text(text)
        known = "".join(f"\nEMULATE({kernel})" for kernel in _KERNEL.findall(source))
        file = folder / f"{Path(name).stem}.cpp"
        file.write_text(f'#line 1 "{name}"\n{source}{known}\n')
        return bytes(compile_library(file, flags, "-include", str(FOLDER / "emulator.h"))) + b"\0"


def compile_library(source: Path, flags: list[str], *more: str, folder: Path | None = None) -> Path:
    """Run the C++ compiler; returns the library beside the source, or in a folder."""
    compiler = shutil.which("c++")
    if compiler is None:
        raise BuildError("no C++ compiler on this machine")
    target = (folder or source.parent) / f"{source.stem}.so"
    command = [compiler, *flags, *more, str(source), "-o", str(target), "-ldl"]
    # What is preloaded for this process would slow down the compiler.
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(done.stderr[-2000:])
    return target


class Emulator:
    """The driver of driver.cpp, and devices on it."""

    def __init__(self, folder: Path, flags: tuple[str, ...] = ()) -> None:
        """Compile the driver into a folder."""
        self.folder, self.flags = folder, flags
        every = [*FLAGS, "-fvisibility=default", *flags]
        self.library = ctypes.CDLL(
            str(compile_library(FOLDER / "driver.cpp", every, folder=folder))
        )

    def device(self, name: str = "cpu") -> Device:
        """Make a device whose memory is the CPU's."""
        compiler = HostCompiler(self.folder, self.flags)
        driver = Driver(self.library, 0)
        where = torch.device(name)
        return Device(where, driver, compiler, "host", cache=self.folder, stream=lambda: 0)

    def set_order(self, order: int) -> None:
        """Let a block's threads take turns ascending (0), descending (1), mixed (2), by warp (3)."""
        self.library.emulator_set_order(order)


@lru_cache
def emulator(folder: Path) -> Emulator:
    """Make the emulator of a test run."""
    return Emulator(folder)
