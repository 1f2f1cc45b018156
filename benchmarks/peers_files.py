"""What benchmarks.peers needs on disk: one random model in every engine's format, and llama.cpp."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers_protocol import ROOT, PeerError
from tests.checkpoints import Ranks, random_weights, write_pth
from tests.foreign_formats import write_gguf

LLAMA_VERSION = "0.3.36"
# As released: layers, width, and ranks of the low-rank matrices.
SHAPES: Mapping[str, dict[str, Any]] = {
    "0.1b": {"n_layer": 12, "n_embd": 768, "ranks": Ranks(w=64, a=64, v=32, g=128)},
    "0.4b": {"n_layer": 24, "n_embd": 1024, "ranks": Ranks(w=64, a=64, v=32, g=128)},
    "1.5b": {"n_layer": 24, "n_embd": 2048, "ranks": Ranks(w=96, a=96, v=64, g=256)},
}
VOCAB_SIZE, HEAD_SIZE = 65536, 64


def draw_model(folder: Path, shape: str, *, with_gguf: bool = True) -> Path:
    """Write one seeded random model in bf16, and the same numbers as an F32 GGUF file beside it.

    Args:
        folder: of the files.
        shape: a key of SHAPES.
        with_gguf: whether the second file is wanted.

    Returns:
        model.pth; the other is model-F32.gguf.
    """
    weights = random_weights(
        **SHAPES[shape], head_size=HEAD_SIZE, vocab_size=VOCAB_SIZE, dtype=torch.bfloat16
    )
    if with_gguf:
        write_llama_gguf(folder / "model-F32.gguf", weights)
    return write_pth(folder / "model.pth", weights)


def write_llama_gguf(path: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write RWKV-7 weights in F32 with all that llama.cpp asks for; the file has no vocabulary."""
    vocab_size, n_embd = weights["emb.weight"].shape
    ranks = {kind: weights[f"blocks.1.att.{kind}1"].shape[1] for kind in "wavg"}
    sizes = {
        "vocab_size": vocab_size,
        "embedding_length": n_embd,
        "block_count": sum(name.endswith(".ffn.key.weight") for name in weights),
        "feed_forward_length": weights["blocks.0.ffn.key.weight"].shape[0],
        # Required, and unused.
        "attention.head_count": 0,
        "attention.decay_lora_rank": ranks["w"],
        "attention.iclr_lora_rank": ranks["a"],
        "attention.value_residual_mix_lora_rank": ranks["v"],
        "attention.gate_lora_rank": ranks["g"],
    }
    metadata: dict[str, object] = {f"rwkv7.{name}": size for name, size in sizes.items()}
    # The file type says F32.
    metadata |= {"tokenizer.ggml.model": "none", "general.file_type": 0}
    return write_gguf(path, weights, generation="7", metadata=metadata)


def quantise(python: Path, source: Path, kind: str, threads: int) -> Path:
    """Write an F32 GGUF file in another type with llama.cpp's quantiser, or return it for F32.

    Args:
        python: from prepare_llama.
        source: model-F32.gguf.
        kind: such as "Q8_0".
        threads: for the work.
    """
    result = source.with_name(f"model-{kind}.gguf")
    if not result.exists():
        words = ["quantise", str(source), str(result), kind, str(threads)]
        run_command([str(python), "-m", "benchmarks.peers_llama", *words])
    return result


def prepare_llama(folder: Path, processor: str) -> Path:
    """Find or make the virtual environment of llama-cpp-python.

    Args:
        folder: the environment is a subfolder, llama.cpp or llama.cpp-PROCESSOR.
        processor: that it is compiled for, one of PROCESSORS.

    Returns:
        Its python.

    Raises:
        PeerError: it could not be installed.
    """
    is_native = processor == "native"
    home = folder.resolve() / ("llama.cpp" if is_native else f"llama.cpp-{processor}")
    python = home / "bin" / "python"
    if _installed(python) == LLAMA_VERSION:
        return python
    print(f"compiling llama.cpp into {home}; this takes minutes", file=sys.stderr, flush=True)
    venv.create(home, with_pip=True)
    package = f"llama-cpp-python=={LLAMA_VERSION}"
    # Its cache would have the other processor's.
    command = [str(python), "-m", "pip", "install", "--no-cache-dir"]
    command += ["--no-binary", "llama-cpp-python", package]
    # Without its own choice it takes AVX2 and what goes with it.
    flags = f"-DGGML_NATIVE={'ON' if is_native else 'OFF'}"
    run_command(command, CMAKE_ARGS=flags, CMAKE_BUILD_PARALLEL_LEVEL=str(os.cpu_count()))
    return python


def _installed(python: Path) -> str:
    """Read the version of llama-cpp-python; empty where it is missing."""
    if not python.exists():
        return ""
    program = "from importlib.metadata import version; print(version('llama-cpp-python'))"
    command = [str(python), "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def run_command(command: list[str], **variables: str) -> None:
    """Run a command in the repository's root, with variables on top of this process's own.

    Raises:
        PeerError: it ended with another status than 0; the message has its last words.
    """
    environment = os.environ | variables
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stdout + done.stderr)[-2000:]
        raise PeerError(f"{' '.join(command)} ended with status {done.returncode}:\n{last}")
