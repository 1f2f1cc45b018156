"""NVIDIA's driver, through ctypes: loads compiled programs and launches them."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from torch import Tensor

from kernels.build import BuildError
from kernels.sentences import Sentence

Argument = Tensor | ctypes.Structure | int | None


# CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION.
_OVERLAPS = 6


class _Attribute(ctypes.Structure):
    # The value is a union of 64 bytes, of which a flag takes the first four.
    _fields_ = [("id", ctypes.c_int64), ("flag", ctypes.c_int * 16)]


class _Config(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    ]


class LaunchError(RuntimeError):
    """The driver refused a launch, or a kernel before it has failed."""


class Driver:
    """The driver's functions for one GPU.

    Launches are made on the GPU's primary context, which PyTorch uses too. PyTorch makes it the
    thread's current one only in some calls, so every launch does.
    """

    def __init__(self, library: ctypes.CDLL, index: int) -> None:
        """Prepare one GPU.

        Args:
            library: libcuda, or one with the same functions.
            index: of the GPU.

        Raises:
            BuildError: the driver does not give it.
        """
        self._library = library
        self._context = ctypes.c_void_p()
        device = ctypes.c_int()
        library.cuLaunchKernelEx.argtypes = [ctypes.c_void_p] * 4
        library.cuCtxSetCurrent.argtypes = [ctypes.c_void_p]
        self._check(library.cuInit(0), BuildError)
        self._check(library.cuDeviceGet(ctypes.byref(device), index), BuildError)
        retained = library.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), device)
        self._check(retained, BuildError)

    def load(self, image: bytes) -> ctypes.c_void_p:
        """Load a compiled program.

        Raises:
            BuildError: it is not for this GPU or driver.
        """
        module = ctypes.c_void_p()
        self._enter(BuildError)
        self._check(self._library.cuModuleLoadData(ctypes.byref(module), image), BuildError)
        return module

    def function(self, module: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        """Find a kernel in a program.

        Raises:
            BuildError: it is not there.
        """
        found = ctypes.c_void_p()
        self._enter(BuildError)
        result = self._library.cuModuleGetFunction(ctypes.byref(found), module, name.encode())
        self._check(result, BuildError)
        return found

    def launch(
        self,
        function: ctypes.c_void_p,
        grid: tuple[int, int],
        threads: int,
        arguments: tuple[Argument, ...],
        stream: int,
        *,
        overlaps: bool = False,
    ) -> None:
        """Start a kernel; it runs after what is on the stream already.

        Args:
            function: the kernel.
            grid: blocks, along x and y.
            threads: of a block.
            arguments: tensors and None are pointers, int is 64 bits, bool is C's int, structures
                go by value.
            stream: a CUDA stream's handle.
            overlaps: the kernel itself waits for what is before it (programmatic dependent
                launch), and so begins early; for compute capability 9 and newer.

        Raises:
            LaunchError: the driver says no.
        """
        values = [_as_c(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._enter(LaunchError)
        attribute = _Attribute(_OVERLAPS)
        attribute.flag[0] = 1
        config = _Config(
            grid[0], grid[1], 1, threads, 1, 1, 0,
            stream, ctypes.pointer(attribute), int(overlaps),
        )  # fmt: skip
        result = self._library.cuLaunchKernelEx(ctypes.byref(config), function, pointers, None)
        self._check(result, LaunchError)

    def _enter(self, error: type[Exception]) -> None:
        self._check(self._library.cuCtxSetCurrent(self._context), error)

    def _check(self, result: int, error: type[Exception]) -> None:
        if result:
            words = ctypes.c_char_p()
            self._library.cuGetErrorString(result, ctypes.byref(words))
            text = (words.value or b"unknown error").decode(errors="replace")
            form = "NVIDIA's driver says: {text} ({code})"
            raise error(Sentence(form, text=text, code=result))


def load_driver(index: int) -> Driver:
    """Load the driver for one GPU.

    Raises:
        BuildError: there is no driver, or no such GPU.
    """
    name = {"win32": "nvcuda.dll"}.get(sys.platform, "libcuda.so.1")
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        form = "NVIDIA's driver ({name}) was not found; install it"
        raise BuildError(Sentence(form, name=name)) from error
    return Driver(library, index)


def _as_c(argument: Argument) -> Any:
    if isinstance(argument, ctypes.Structure):
        return argument
    if isinstance(argument, bool):
        return ctypes.c_int(argument)
    if isinstance(argument, int):
        return ctypes.c_int64(argument)
    # A tensor without elements has the address 0, which no kernel reads.
    return ctypes.c_void_p(None if argument is None else argument.data_ptr())
