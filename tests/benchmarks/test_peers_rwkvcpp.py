import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.peers import RWKV_CPP_KINDS, Runs, parse
from benchmarks.peers_rwkvcpp import RwkvCppEngine, write, write_floats
from tests.checkpoints import TINY_RANKS, random_weights, write_pth

WEIGHTS = random_weights(n_layer=2, n_embd=64, head_size=64, vocab_size=50, ranks=TINY_RANKS)
# Counts what it is asked: logits are the sum of a text so far, and how it was read.
LIBRARY = r"""
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
void *rwkv_init_from_file(const char *path, uint32_t threads, uint32_t layers) {
  FILE *file = fopen(path, "rb");
  if (file) fclose(file);
  return file ? (void *)(size_t)(threads + layers) : NULL;
}
bool rwkv_eval(void *context, uint32_t token, const float *in, float *out, float *logits) {
  out[0] = (in ? in[0] : 0) + token;
  logits[0] = out[0], logits[1] = 1, logits[2] = (size_t)context;
  return token < 50;
}
bool rwkv_eval_sequence_in_chunks(void *context, const uint32_t *ids, size_t length, size_t chunk,
                                  const float *in, float *out, float *logits) {
  float sum = in ? in[0] : 0;
  for (size_t i = 0; i < length; i++) sum += ids[i];
  out[0] = sum, logits[0] = sum, logits[1] = chunk, logits[2] = length;
  return true;
}
size_t rwkv_get_state_len(void *context) { return 2; }
size_t rwkv_get_logits_len(void *context) { return 3; }
const char *rwkv_get_system_info_string(void) { return "AVX=1 "; }
bool rwkv_quantize_model_file(const char *in, const char *out, const char *kind) {
  FILE *file = kind[1] == '9' ? NULL : fopen(out, "wb");
  if (file) fputs(kind, file), fclose(file);
  return file;
}
"""


def read_file(path: Path) -> tuple[tuple[int, ...], dict[str, NDArray[np.generic]]]:
    """Read rwkv.cpp's format: the header's numbers, and every tensor."""
    data, found, at = path.read_bytes(), {}, 24
    while at < len(data):
        dims, length, kind = struct.unpack_from("=3i", data, at)
        shape = struct.unpack_from(f"={dims}i", data, at + 12)[::-1]
        at += 12 + 4 * dims
        name, at = data[at : at + length].decode(), at + length
        dtype = np.dtype(np.float16 if kind else np.float32)
        count = int(np.prod(shape))
        found[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return struct.unpack_from("=6i", data), found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("rwkvcpp")
    source, made = folder / "rwkv.c", folder / "librwkv.so"
    source.write_text(LIBRARY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source], check=True)
    return str(made)


@pytest.mark.parametrize("is_half", [False, True])
def test_the_file_has_every_weight_in_its_place(tmp_path: Path, is_half: bool) -> None:
    write_floats(tmp_path / "m.bin", WEIGHTS, is_half=is_half)
    header, found = read_file(tmp_path / "m.bin")
    assert header == (0x67676D66, 101, 50, 64, 2, is_half)
    assert "blocks.0.att.v1" not in found
    mixes = found["blocks.1.att.x_rwkvag"]
    assert mixes.shape == (6, 1, 64)
    for row, kind in zip(mixes, "rwkvag", strict=True):
        assert np.array_equal(row[0], WEIGHTS[f"blocks.1.att.x_{kind}"].float().numpy().ravel())
    assert not any(".att.x_r" in name and "rwkvag" not in name for name in found)
    low = found["blocks.1.att.v1"].astype(np.float32)
    assert np.allclose(low.T, WEIGHTS["blocks.1.att.v1"].float().numpy(), atol=1e-3)
    assert found["blocks.1.ffn.key.weight"].dtype == (np.float16 if is_half else np.float32)
    assert found["blocks.1.att.r_k"].dtype == found["ln_out.weight"].dtype == np.float32
    expected = {name for name in WEIGHTS if ".att.x_" not in name}
    unused = {f"blocks.0.att.v{number}" for number in range(3)}
    own = {f"blocks.{layer}.att.x_rwkvag" for layer in range(2)}
    assert set(found) == expected - unused | own


def test_every_text_begins_with_an_empty_state(library: str, tmp_path: Path) -> None:
    (tmp_path / "m.bin").touch()
    engine = RwkvCppEngine(library, str(tmp_path / "m.bin"), 2)
    for _ in range(2):
        assert engine.decode([3, 4]).tolist() == [7, 1, 2]
        assert engine.prefill([3, 4, 5]).tolist() == [12, 512, 3]
    assert engine.facts()["how"] == "AVX=1"
    with pytest.raises(SystemExit, match="ended in an error"):
        engine.decode([60])
    with pytest.raises(SystemExit, match="cannot load"):
        RwkvCppEngine(library, str(tmp_path / "none.bin"), 2)


def test_its_own_quantiser_writes_what_has_fewer_bits(library: str, tmp_path: Path) -> None:
    model = write_pth(tmp_path / "model.pth", WEIGHTS)
    write(library, str(model), str(tmp_path / "a.bin"), "Q8_0")
    assert (tmp_path / "a.bin").read_text() == "Q8_0"
    assert read_file(tmp_path / "rwkvcpp-FP16.bin")[0][5] == 1
    with pytest.raises(SystemExit, match="cannot write Q9_9"):
        write(library, str(model), str(tmp_path / "b.bin"), "Q9_9")


def test_it_runs_beside_the_others_when_its_library_is_named(library: str, tmp_path: Path) -> None:
    assert parse([]).rwkv_cpp is None
    assert parse(["--rwkv-cpp", library]).rwkv_cpp == Path(library)
    with pytest.raises(SystemExit):
        parse(["--rwkv-cpp", str(tmp_path / "none.so")])
    model = write_pth(tmp_path / "model.pth", WEIGHTS)
    with Runs(model, None, 1, rwkv_cpp=Path(library)).rwkv_cpp(RWKV_CPP_KINDS["bf16"]) as peer:
        assert peer.name == "rwkv.cpp FP16"
        assert peer.facts["tasks"] == ["decode", "prefill"]
        assert peer.array("decode", ids=[1, 2]).tolist() == [3, 1, 1]
    assert torch.load(model, weights_only=True).keys() == WEIGHTS.keys()
