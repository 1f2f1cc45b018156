"""One model in every format: the same tensors, the same logits."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kernels.blocks import block_library
from rwkv_core.checkpoint import gguf_file
from rwkv_core.checkpoint.paths import name_of
from rwkv_core.errors import CheckpointError
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import Checkpoint, open_checkpoint
from tests.checkpoints import write_pth
from tests.foreign_formats import (
    Kind,
    as_fla,
    as_transformers,
    as_web_rwkv,
    write_folder,
    write_gguf,
)
from tests.generations import RANDOM_WEIGHTS
from tests.tolerances import assert_close

# 8 layers, so that RWKV-6's scale in GGUF files has two steps; 32 columns make a Q8_0 block.
SIZES = {"n_layer": 8, "n_embd": 32, "head_size": 16}
TOKENS = [3, 1, 4, 1, 5]
FLA_CONFIG = {"model_type": "rwkv7", "norm_eps": 1e-5, "head_dim": 64}
RWKV4_CONFIG = {"model_type": "rwkv", "layer_norm_epsilon": 1e-5}

Write = Callable[[Path, Mapping[str, Tensor]], Path]


def web_rwkv(generation: str) -> Write:
    def write(folder: Path, weights: Mapping[str, Tensor]) -> Path:
        path = folder / "model.st"
        converted = as_web_rwkv(weights, generation=generation)
        save_file(converted, path, metadata={"format": "pt"})
        return path

    return write


def fla(folder: Path, weights: Mapping[str, Tensor], *, fused: bool, shards: int) -> Path:
    converted = as_fla(weights, has_fused_mixes=fused)
    return write_folder(folder / "fla", converted, FLA_CONFIG, shards=shards)


def transformers(folder: Path, weights: Mapping[str, Tensor]) -> Path:
    return write_folder(folder / "rwkv", as_transformers(weights), RWKV4_CONFIG)


def pytorch_bin(folder: Path, weights: Mapping[str, Tensor]) -> Path:
    (folder / "config.json").write_text("{}")
    write_pth(folder / "pytorch_model.bin", as_transformers(weights))
    return folder


def official_shards(folder: Path, weights: Mapping[str, Tensor]) -> Path:
    return write_folder(folder / "shards", weights, {}, shards=3) / "model.safetensors.index.json"


def gguf(generation: str, kind: Kind, rescale_every: int = 6) -> Write:
    def write(folder: Path, weights: Mapping[str, Tensor]) -> Path:
        return write_gguf(
            folder / "model.gguf",
            weights,
            generation=generation,
            kind=kind,
            rescale_every=rescale_every,
        )

    return write


# generation, dtype of the official file, writer: what the format keeps bit by bit.
EXACT: dict[str, tuple[str, torch.dtype, Write]] = {
    **{f"web-rwkv {name}": (name, torch.float16, web_rwkv(name)) for name in ("4", "5.1", "5.2")},
    "web-rwkv 6": ("6", torch.float16, web_rwkv("6")),
    "web-rwkv 7": ("7", torch.float16, web_rwkv("7")),
    "fla": ("7", torch.float32, partial(fla, fused=False, shards=1)),
    "fla bf16": ("7", torch.bfloat16, partial(fla, fused=False, shards=1)),
    "fla fused": ("7", torch.float32, partial(fla, fused=True, shards=1)),
    "fla sharded": ("7", torch.float32, partial(fla, fused=True, shards=3)),
    **{f"transformers {n}": (n, torch.float32, transformers) for n in ("4", "5.2", "6")},
    "transformers 4, .bin": ("4", torch.bfloat16, pytorch_bin),
    **{f"shards {n}": (n, torch.bfloat16, official_shards) for n in RANDOM_WEIGHTS},
    "gguf 6": ("6", torch.float32, gguf("6", Kind.F32)),
    "gguf 6 unscaled": ("6", torch.float32, gguf("6", Kind.F32, rescale_every=0)),
    "gguf 7": ("7", torch.float32, gguf("7", Kind.F32)),
}


@pytest.fixture(params=EXACT, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """One model as an official file and in another format."""
    generation, dtype, write = EXACT[request.param]
    weights = RANDOM_WEIGHTS[generation](**SIZES, dtype=dtype)
    return write_pth(tmp_path / "official.pth", weights), write(tmp_path, weights)


def logits(model: Model) -> Tensor:
    return model.forward(TOKENS, all_logits=True)[0]


def test_every_tensor_comes_back_bit_by_bit(pair: tuple[Path, Path]) -> None:
    official, other = map(open_checkpoint, pair)
    assert other.config == official.config
    assert set(other.tensors) == set(official.tensors)
    for name, tensor in official.tensors.items():
        assert other.tensors[name].dtype == tensor.dtype
        assert torch.equal(other.tensors[name], tensor), name


def test_logits_are_equal_bit_by_bit(pair: tuple[Path, Path]) -> None:
    official, other = (load_model(path, "cpu fp32") for path in pair)
    assert torch.equal(logits(other), logits(official))


def test_the_fingerprint_is_that_of_the_official_file(pair: tuple[Path, Path]) -> None:
    official, other = map(open_checkpoint, pair)
    assert other.fingerprint == official.fingerprint


@pytest.mark.parametrize("generation", ["6", "7"])
@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q5_1, Kind.Q4_0])
def test_gguf_matrices_of_fewer_bits_are_the_rounded_ones(
    tmp_path: Path, generation: str, kind: Kind
) -> None:
    weights = RANDOM_WEIGHTS[generation](**SIZES)
    official = open_checkpoint(write_pth(tmp_path / "official.pth", weights))
    other = open_checkpoint(gguf(generation, kind)(tmp_path, weights))
    assert other.config == official.config
    # Bits of one number, or steps between the largest of 32 and zero.
    rounding = {Kind.F16: 2**-11, Kind.BF16: 2**-8, Kind.Q8_0: 1 / 127, Kind.Q5_1: 1 / 15}
    for name, tensor in official.tensors.items():
        found = other.tensors[name].float()
        limit = rounding.get(kind, 1 / 7) * float(tensor.abs().max())
        assert float((found - tensor).abs().max()) <= limit, name
    assert not torch.equal(other.tensors["head.weight"].float(), weights["head.weight"])


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q5_1])
def test_quantised_matrices_read_in_pieces_are_the_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    path = gguf("7", kind)(tmp_path, RANDOM_WEIGHTS["7"](**SIZES))
    whole = open_checkpoint(path)
    expected = dict(whole.tensors.items())
    # Three rows of 32 columns at a time, which divides no matrix.
    monkeypatch.setattr(gguf_file, "DEQUANTIZED_TOGETHER", 96)
    pieces = open_checkpoint(path)
    assert pieces.fingerprint == whole.fingerprint
    assert all(torch.equal(pieces.tensors[name], value) for name, value in expected.items())


def test_quantised_matrices_are_the_same_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gguf("7", Kind.Q8_0)(tmp_path, RANDOM_WEIGHTS["7"](**SIZES))
    compiled = open_checkpoint(path)
    expected = dict(compiled.tensors.items())

    def fail(rows: object, kind: Kind) -> Tensor:
        raise AssertionError

    if block_library():
        monkeypatch.setattr(gguf_file, "_dequantize", fail)
        assert torch.equal(compiled.tensors["head.weight"], expected["head.weight"])
        monkeypatch.undo()
    monkeypatch.setattr(gguf_file, "block_library", lambda: None)
    other = open_checkpoint(path)
    assert other.fingerprint == compiled.fingerprint
    assert all(torch.equal(other.tensors[name], value) for name, value in expected.items())


def test_a_damaged_file_is_refused_without_compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gguf("7", Kind.Q8_0)(tmp_path, RANDOM_WEIGHTS["7"](**SIZES))
    path.write_bytes(path.read_bytes()[:-4000])

    compiled: list[None] = []
    monkeypatch.setattr(gguf_file, "block_library", lambda: compiled.append(None))
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(path)
    assert not compiled


@pytest.mark.parametrize("generation", ["6", "7"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gguf_logits_are_those_of_an_official_file_with_the_same_rounding(
    tmp_path: Path, generation: str, dtype: torch.dtype
) -> None:
    weights = RANDOM_WEIGHTS[generation](**SIZES)
    # The scale, a power of two, does not change what is rounded; of fp16 only the range.
    matrices = r"\.weight$|att\.[avg][12]$"
    rounded = {
        name: value.to(dtype).float() if value.dim() == 2 and re.search(matrices, name) else value
        for name, value in weights.items()
    }
    kind = Kind.F16 if dtype == torch.float16 else Kind.BF16
    other = load_model(gguf(generation, kind)(tmp_path, weights), "cpu fp32")
    official = load_model(write_pth(tmp_path / "official.pth", rounded), "cpu fp32")
    assert_close(logits(other), logits(official), torch.float32)
    assert not torch.equal(rounded["head.weight"], weights["head.weight"])


@pytest.mark.parametrize("generation", ["6", "7"])
@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q5_1, Kind.Q4_0])
@pytest.mark.parametrize("kernel", ["fastest", "torch"])
def test_quantised_embeddings_are_looked_up_in_the_file(
    generation: str, kind: Kind, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gguf(generation, kind)(tmp_path, RANDOM_WEIGHTS[generation](**SIZES))
    checkpoint = open_checkpoint(path)
    same = write_pth(tmp_path / "same.pth", dict(checkpoint.tensors.items()))
    is_fastest = kernel == "fastest"
    found, expected = (
        load_model(file, "cpu int8", kernel="fastest" if is_fastest else "torch")
        for file in (path, same)
    )
    assert torch.equal(logits(found), logits(expected))
    saved = expected.weight_bytes - found.weight_bytes
    table = checkpoint.tensors.stored("emb.weight")
    if kind == Kind.Q5_1:  # which no compiled code unpacks
        assert not saved
        return
    assert table.quantized
    assert saved == table.nbytes - table.quantized.blocks.nbytes > 0
    if not is_fastest:
        # Without a compiler the package gguf unpacks them.
        monkeypatch.setattr(gguf_file, "block_library", lambda: None)
        assert torch.equal(logits(found), logits(expected))


def test_a_quantised_embedding_that_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS["7"](**SIZES)
    path = gguf("7", Kind.Q8_0)(tmp_path, weights)
    embedding = open_checkpoint(path).tensors.stored("emb.weight").quantized
    assert embedding
    whole = path.read_bytes()
    rows = embedding.blocks.numpy().tobytes()
    damaged = rows[:-34] + b"\xff\x7f" + rows[-32:]  # the last scale
    assert whole.count(rows) == 1
    path.write_bytes(whole.replace(rows, damaged))
    with pytest.raises(CheckpointError, match=r"emb\.weight holds NaN or infinity"):
        load_model(path, "cpu fp32")


def test_a_quantised_file_says_how_long_its_numbers_are(tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS["7"](n_embd=256, head_size=64, vocab_size=500)
    path = gguf("7", Kind.Q8_0)(tmp_path, weights)
    bits = open_checkpoint(path).tensors.bits
    assert 8.5 < bits < 9.5  # vectors and low ranks are longer
    model = load_model(path)
    assert model.choices["weights"].value == "int8"
    assert f"take {bits:.1f} bits" in model.choices["device"].reason
    official = open_checkpoint(write_pth(tmp_path / "official.pth", weights))
    assert official.tensors.bits == 32


def opened(path: Path) -> Checkpoint:
    return open_checkpoint(path)


@pytest.mark.parametrize(
    ("write", "generation", "name", "value"),
    [
        (official_shards, "7", "shards", "safetensors in 3 files"),
        (transformers, "4", "rwkv", "safetensors, Hugging Face"),
        (web_rwkv("6"), "6", "model", "safetensors, web-rwkv"),
        (gguf("7", Kind.F32), "7", "model", "gguf"),
    ],
)
def test_the_format_is_said(
    tmp_path: Path, write: Write, generation: str, name: str, value: str
) -> None:
    found = opened(write(tmp_path, RANDOM_WEIGHTS[generation](**SIZES)))
    assert (found.name, found.format.value) == (name, value)
    assert found.file_bytes >= sum(tensor.nbytes for tensor in found.tensors.values())


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("rwkv7-g1a-0.1b.pth", "rwkv7-g1a-0.1b"),
        ("rwkv7-0.4B-g1/model.safetensors", "rwkv7-0.4B-g1"),
        ("runs/../runs/mine/model.safetensors", "mine"),
        ("rwkv-4-pile/pytorch_model.bin", "rwkv-4-pile"),
        ("models--RWKV--rwkv7-g1/snapshots/0a1b/model.safetensors", "rwkv7-g1"),
        ("/model.safetensors", "model.safetensors"),
    ],
)
def test_a_model_is_named_after_what_tells_it_from_others(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_a_link_is_named_after_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").touch()
    link = tmp_path / "rwkv7-g1" / "model.safetensors"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "blobs" / "0a1b")
    assert name_of(link) == "rwkv7-g1"


def test_a_suffix_says_nothing(tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS["7"](**SIZES)
    path = gguf("7", Kind.F32)(tmp_path, weights).rename(tmp_path / "model.pth")
    assert opened(path).format.value == "gguf"


def test_a_v5_file_in_web_rwkv_names_is_not_read_as_the_logarithm(tmp_path: Path) -> None:
    # Both are called time_first; only the official file means its exponential.
    plain = RANDOM_WEIGHTS["5.1"](**SIZES, bonus="time_first", dtype=torch.float16)
    assert "blocks.0.att.time_first" in opened(write_pth(tmp_path / "a.pth", plain)).tensors
    raw = RANDOM_WEIGHTS["5.1"](**SIZES, dtype=torch.float16)
    assert "blocks.0.att.time_faaaa" in opened(web_rwkv("5.1")(tmp_path, raw)).tensors


def test_flash_linear_attention_states_the_epsilon_of_its_group_norm(tmp_path: Path) -> None:
    converted = as_fla(RANDOM_WEIGHTS["7"](**SIZES))
    config = FLA_CONFIG | {"head_dim": 16}
    path = write_folder(tmp_path / "m", converted, config)
    assert opened(path).config.ln_x_eps == pytest.approx(16e-5)
    assert open_checkpoint(path, ln_x_eps=1e-3).config.ln_x_eps == 1e-3
    (path / "config.json").unlink()
    assert opened(path).config.ln_x_eps == 64e-5
