"""NVIDIA's runtime compiler, through ctypes: it comes with PyTorch's CUDA wheels, and needs no GPU.

A source and its headers go in as text, and a program for one architecture comes out.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from kernels.build import BuildError
from kernels.sentences import Sentence

OPTIONS = ("--std=c++17",)
# Newest first; the major version is part of the library's name.
MAJOR_VERSIONS = (13, 12)


class Nvrtc:
    """The compiler.

    Attributes:
        version: "13.0".
        architectures: compute capabilities that it makes programs for, 90 being 9.0, ascending.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        """Ask a loaded library what it is and can.

        Raises:
            BuildError: it does not answer.
        """
        self._library = library
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._check(library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self._check(library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        found = (ctypes.c_int * count.value)()
        self._check(library.nvrtcGetSupportedArchs(found))
        self.version = f"{major.value}.{minor.value}"
        self.architectures = tuple(found)

    def compile(
        self,
        source: str,
        name: str,
        headers: Mapping[str, str],
        architecture: str,
        defines: Mapping[str, str | int],
    ) -> bytes:
        """Compile one source.

        Args:
            source: its text.
            name: for messages.
            headers: texts of what it includes, by name.
            architecture: "sm_90" for a program (cubin), "compute_90" for one that the driver
                finishes (PTX).
            defines: macros.

        Raises:
            BuildError: the compiler's last lines.
        """
        program = ctypes.c_void_p()
        texts, names = (_strings(part) for part in (headers.values(), headers.keys()))
        made = self._library.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), name.encode(), len(headers), texts, names
        )
        self._check(made)
        try:
            options = [*OPTIONS, f"--gpu-architecture={architecture}"]
            options += [f"--define-macro={key}={value}" for key, value in defines.items()]
            if self._library.nvrtcCompileProgram(program, len(options), _strings(options)):
                lines = self._read(program, "ProgramLog").decode(errors="replace").splitlines()
                errors = [line.strip() for line in lines if "error" in line] or lines
                message = " / ".join(errors[-3:]).strip("\0")
                compiler = f"NVRTC {self.version} ({name})"
                form = "{compiler} failed: {message}"
                raise BuildError(Sentence(form, compiler=compiler, message=message[-400:]))
            return self._read(program, "CUBIN" if architecture.startswith("sm_") else "PTX")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _read(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        text = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(program, text))
        return text.raw

    def _check(self, result: int) -> None:
        if result:
            words = self._library.nvrtcGetErrorString(result) or b"unknown error"
            message = words.decode(errors="replace")
            raise BuildError(Sentence("NVRTC does not work here: {message}", message=message))


def choose_architecture(capability: tuple[int, int], supported: Sequence[int]) -> str:
    """Choose what to compile for.

    Args:
        capability: of the GPU, (9, 0).
        supported: as of Nvrtc.

    Returns:
        "sm_90", or "compute_90" where the compiler is older than the GPU, whose driver then
        does the rest.

    Raises:
        BuildError: the GPU is older than the compiler still knows.
    """
    wanted = 10 * capability[0] + capability[1]
    known = [number for number in supported if number <= wanted]
    if not known:
        form = (
            "this GPU has compute capability {found}, NVRTC compiles for {lowest} and newer; "
            "install PyTorch for an older CUDA"
        )
        found, lowest = (f"{number // 10}.{number % 10}" for number in (wanted, min(supported)))
        raise BuildError(Sentence(form, found=found, lowest=lowest))
    return f"{'sm' if known[-1] == wanted else 'compute'}_{known[-1]}"


def load_nvrtc() -> Nvrtc:
    """Find and load the compiler, that of PyTorch's own CUDA version before others.

    Raises:
        BuildError: there is none; says how to get it.
    """
    for place in _places():
        try:
            # It opens its second half by name alone, which must be loaded already to be found.
            if Path(place).is_absolute():
                for half in Path(place).parent.glob("libnvrtc-builtins.so.*"):
                    ctypes.CDLL(str(half))
            library = ctypes.CDLL(place)
        except OSError:
            continue
        return Nvrtc(library)
    raise BuildError(
        "NVRTC was not found (it comes with PyTorch for CUDA); install the package "
        "nvidia-cuda-nvrtc"
    )


def _places() -> Iterator[str]:
    own = int((torch.version.cuda or "0").split(".")[0])
    for major in sorted(MAJOR_VERSIONS, key=lambda version: version != own):
        windows = sys.platform == "win32"
        name = f"nvrtc64_{major}0_0.dll" if windows else f"libnvrtc.so.{major}"
        folders = [Path(torch.__file__).parent / "lib"]
        folders += [folder for path in sys.path for folder in Path(path, "nvidia").glob("*/lib")]
        # PyTorch's wheels keep it in a folder of its own, which the system does not search.
        yield from (str(folder / name) for folder in folders if (folder / name).exists())
        yield name


def _strings(parts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [part.encode() for part in parts]
    return (ctypes.c_char_p * len(encoded))(*encoded)
