"""Compile the C++ kernels on first use, into a cache, without torch's headers.

`python -m kernels.build` compiles ahead of time, for container images.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ninja

from kernels.sentences import Sentence

SOURCE_FOLDER = Path(__file__).parent / "cpu"
COMPILERS = ("c++", "g++", "clang++")
BASE_FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-pthread")
NATIVE_FLAGS = ("-mcpu=native",) if platform.machine() == "arm64" else ("-march=native",)
# Tried in order: not every compiler ships OpenMP, and then one core does the work.
FLAG_SETS = ((*NATIVE_FLAGS, "-fopenmp"), NATIVE_FLAGS)
TIMEOUT_S = 120


class BuildError(Exception):
    """The kernels could not be compiled here; the message says what to do about it."""


def default_cache() -> Path:
    """Folder that keeps compiled kernels between runs."""
    return Path.home() / ".cache" / "rwkv-playground" / "kernels"


def build_library(source: str, cache: Path) -> tuple[Path, str]:
    """Compile one source file, or find it compiled already.

    Args:
        source: file name in kernels/cpu.
        cache: folder for results, keyed by sources, compiler, flags and CPU features.

    Returns:
        The shared library, and a sentence that says how it was made.

    Raises:
        BuildError: no compiler, an unwritable cache, or a compiler error (its last lines).
    """
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        form = "no C++ compiler found (tried {names}); install g++"
        raise BuildError(Sentence(form, names=", ".join(COMPILERS)))
    message = ""
    for flags in FLAG_SETS:
        target = cache / _key(compiler, flags) / f"{Path(source).stem}.so"
        threads = "several threads" if "-fopenmp" in flags else "one thread (no OpenMP)"
        command = f"{Path(compiler).name} {' '.join(flags)}"
        how = Sentence("C++ kernel, {command}, {threads}", command=command, threads=threads)
        if target.exists():
            return target, how
        try:
            _compile(compiler, flags, SOURCE_FOLDER / source, target)
        except OSError as error:
            form = "cannot write to {folder} ({reason})"
            why = Sentence(form, folder=cache.name, reason=error.strerror)
            raise BuildError(why) from error
        except subprocess.SubprocessError as error:
            output = getattr(error, "stdout", None) or str(error)
            # A compiler that runs out of time leaves bytes, one that fails text.
            text = output.decode(errors="replace") if isinstance(output, bytes) else output
            message = " / ".join(text.strip().splitlines()[-3:])
        else:
            return target, how
    form = "{compiler} failed: {message}"
    raise BuildError(Sentence(form, compiler=Path(compiler).name, message=message[-400:]))


def _key(compiler: str, flags: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join((*BASE_FLAGS, *flags)).encode())
    for path in sorted(SOURCE_FOLDER.iterdir()):
        digest.update(path.read_bytes())
    # -march=native code must not be reused on another CPU, nor after a compiler change.
    digest.update(f"{compiler} {Path(compiler).resolve().stat().st_mtime_ns}".encode())
    digest.update(f"{platform.machine()} {_cpu_features()}".encode())
    return digest.hexdigest()[:20]


def _cpu_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(compiler: str, flags: tuple[str, ...], source: Path, target: Path) -> None:
    """Build beside the target and rename, so that two processes cannot see half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        rule = (
            f"rule cxx\n  command = {_escape(compiler)} {' '.join((*BASE_FLAGS, *flags))} "
            f"$in -o $out\nbuild {target.name}: cxx {_escape(str(source))}\n"
        )
        (folder / "build.ninja").write_text(rule, encoding="utf-8")
        program = Path(ninja.BIN_DIR) / "ninja"
        subprocess.run(
            [program, "-C", folder],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
        )
        os.replace(folder / target.name, target)  # noqa: PTH105 (Path.replace is the same call)


def _escape(path: str) -> str:
    return path.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


if __name__ == "__main__":
    for file in sorted(SOURCE_FOLDER.glob("*.cpp")):
        try:
            library, how_built = build_library(file.name, default_cache())
        except BuildError as error:
            sys.exit(f"kernels not built: {error}")
        sys.stdout.write(f"{library}: {how_built}\n")
