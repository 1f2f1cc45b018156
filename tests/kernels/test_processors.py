"""The code for processors other than this one: older ones all over, newer ones if this is one too."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from kernels import build, packed, program
from kernels.packed import PackedLibrary
from rwkv_core.models import load_model
from tests.checkpoints import random_weights, write_pth
from tests.cpu_features import has
from tests.generations import random_tokens
from tests.packed_products import DEFINITIONS, check_products
from tests.tolerances import PACKED_INPUTS, assert_close

# What g++ and clang++ call them, the features that their code is written for, and what inputs of
# int8 and of bf16_rounded are rounded to there.
PROCESSORS = {
    "x86-64": ((), "int8 by 64 in pairs", "fp32"),
    "x86-64-v3": (("avx2", "fma", "f16c"), "int8 by 64 in pairs", "fp32"),
    "skylake-avx512": (("avx512bw", "avx512vl", "avx512dq"), "int8 by 64 in pairs", "fp32"),
    "cascadelake": (("avx512bw", "avx512vl", "avx512_vnni"), "int8 by 32", "fp32"),
    "cooperlake": (("avx512bw", "avx512_vnni", "avx512_bf16"), "int8 by 32", "bf16"),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are processors of PCs")
@pytest.mark.parametrize("name", PROCESSORS)
def test_products_and_a_model_are_right_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = next((found for c in build.COMPILERS if (found := shutil.which(c))), None)
    if compiler is None:
        pytest.skip("no C++ compiler on this machine")
    path = tmp_path / "plan.so"
    source = build.SOURCE_FOLDER / "plan.cpp"
    flags = ["-O0", "-std=c++17", "-fPIC", "-shared", "-pthread", f"-march={name}"]
    subprocess.run([compiler, *flags, source, "-o", path], check=True)
    features, int8_inputs, bf16_inputs = PROCESSORS[name]
    if not has(features):
        return  # it compiles; nobody can run it here
    library = PackedLibrary(path)
    pools = {threads: library.pool_create(threads) for threads in (1, 2)}
    for module in (packed, program):
        monkeypatch.setattr(module, "packed_library", lambda _: (library, name))
        monkeypatch.setattr(module, "thread_pool", pools.__getitem__)
    for format in DEFINITIONS:
        for tokens in (1, 7, 20):
            check_products(format, 70, 300, tokens)
    assert packed.PackedMatrix(1, 1, "int8", threads=1).inputs == int8_inputs
    assert packed.PackedMatrix(1, 1, "bf16_rounded", threads=1).inputs == bf16_inputs

    weights = random_weights(n_layer=2, n_embd=96, head_size=32, dtype=torch.bfloat16)
    file = write_pth(tmp_path / "model.pth", weights)
    text = random_tokens(1, 40)
    for strategy, limit in (
        ("cpu fp32", torch.float32),
        ("cpu bf16", torch.bfloat16),
        ("cpu int8", PACKED_INPUTS[int8_inputs]),
        ("cpu int4", PACKED_INPUTS["int8 by 32"]),
    ):
        expected, _ = load_model(file, strategy, kernel="torch").forward(text)
        model = load_model(file, strategy, threads=2)
        _, state = model.forward(text[:, :39])
        for logits in (model.forward(text)[0], model.forward(text[:, 39:], state)[0]):
            assert_close(logits, expected, limit)
