"""Every CUDA source compiles for every architecture, by NVRTC and, where it is here, by nvcc."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernels.build import BuildError
from kernels.cuda import nvrtc as nvrtc_module
from kernels.cuda.device import SOURCE_FOLDER, read_sources
from kernels.cuda.nvrtc import OPTIONS, Nvrtc, load_nvrtc

# Turing to Blackwell; no source tells them apart. All are compiled; these are also optimised, which
# takes most of a compiler's time.
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
OPTIMISED = (75, 90, 120)
HEADS = {"HEAD_SIZE": "64", "INPUT": "Half"}
# With which macros a source is compiled for every architecture, and with others for one, halfway.
DEFINES: dict[str, dict[str, str]] = {
    "plan.cu": {"HEAD_SIZE": "64"},
    "sampling.cu": {},
    "wkv4.cu": {"INPUT": "Half"},
    "wkv6.cu": HEADS,
    "wkv7.cu": HEADS,
    "wkv7_back.cu": HEADS,
}
OTHERS: list[tuple[str, dict[str, str]]] = [
    ("plan.cu", {"HEAD_SIZE": "16"}),
    ("wkv7.cu", {"HEAD_SIZE": "128", "INPUT": "BFloat"}),
    ("wkv7_back.cu", {"HEAD_SIZE": "128", "INPUT": "BFloat"}),
    ("wkv6.cu", {"HEAD_SIZE": "16", "INPUT": "float"}),
]


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    try:
        return load_nvrtc()
    except BuildError as error:
        pytest.skip(str(error))


def compile_with_nvrtc(nvrtc: Nvrtc, source: str, defines: dict[str, str], target: str) -> bytes:
    sources = read_sources()
    headers = {name: text for name, text in sources.items() if name.endswith(".cuh")}
    return nvrtc.compile(sources[source], source, headers, target, defines)


def test_no_source_is_forgotten() -> None:
    assert {name for name in read_sources() if name.endswith(".cu")} == DEFINES.keys()


@pytest.mark.parametrize("is_optimised", [True, False])
def test_nvrtc_compiles_every_source_for_every_architecture(
    nvrtc: Nvrtc, is_optimised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(ARCHITECTURES) <= set(nvrtc.architectures)
    numbers = [n for n in ARCHITECTURES if (n in OPTIMISED) == is_optimised]
    others = OTHERS if is_optimised else []
    if not is_optimised and tuple(map(int, nvrtc.version.split("."))) >= (12, 9):
        monkeypatch.setattr(nvrtc_module, "OPTIONS", (*OPTIONS, "--Ofast-compile=max"))
    work = [(*item, f"sm_{n}") for n in numbers for item in DEFINES.items()]
    work += [(*item, "compute_90") for item in others]
    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(lambda item: compile_with_nvrtc(nvrtc, *item), work))
    # A program for a GPU is an ELF file; what the driver finishes is text.
    programs = [image for image in images if image.startswith(b"\x7fELF")]
    assert len(programs) == len(numbers) * len(DEFINES)
    assert sum(b".visible .entry" in image for image in images) == len(others)


def compile_with_nvcc(source: str, folder: Path, *options: str) -> None:
    macros = [f"-D{key}={value}" for key, value in DEFINES[source].items()]
    command = ["nvcc", *OPTIONS, "--fatbin", "--threads=2", "-Werror=all-warnings", *options]
    place = [str(SOURCE_FOLDER / source), "-o", str(folder / "out.fatbin")]
    done = subprocess.run([*command, *macros, *place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# nvcc is a second opinion: where it is missing NVRTC's stands alone, as it does for users. Both
# end in the same optimiser and assembler, so nvcc calls them for one architecture only, and has the
# assembler refuse numbers of a head of 64 that find no place in registers.
@pytest.mark.parametrize("source", DEFINES if shutil.which("nvcc") else [])
def test_nvcc_compiles_every_source_for_old_and_new_architectures(
    source: str, tmp_path: Path
) -> None:
    spills = "-Xptxas=--warn-on-spills,--warning-as-error"
    compile_with_nvcc(source, tmp_path, spills, "-gencode=arch=compute_90,code=sm_90")
    targets = [f"-gencode=arch=compute_{n},code=compute_{n}" for n in ARCHITECTURES if n != 90]
    compile_with_nvcc(source, tmp_path, "-Xcicc=-O0", *targets)
