"""What is not read is refused in one sentence that says what it is and what to do."""

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rwkv_core.checkpoint import resolve_path
from rwkv_core.errors import CheckpointError, UnsupportedModelError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.tokenizer import load_tokenizer
from tests import checkpoints_v6
from tests.checkpoints import random_weights, write_pth, write_safetensors
from tests.foreign_formats import as_fla, as_web_rwkv, write_folder, write_gguf

CONFIG: dict[str, object] = {"model_type": "rwkv7", "norm_eps": 1e-5, "head_dim": 64}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return random_weights(n_layer=2)


def refusal(path: Path) -> str:
    """Open what must be refused; returns the sentence."""
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


# Renamed and mixed


def test_renamed_tensors_are_named_with_what_stands_in_their_place(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    weights["blocks.1.att.decay\n"] = weights.pop("blocks.1.att.w0")
    says = refusal(write_pth(tmp_path / "m.pth", weights))
    assert "lacks 1 tensor (blocks.1.att.w0) and holds 1 tensor (" in says
    assert "renamed" in says


def test_layers_of_two_generations_are_named(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    other = checkpoints_v6.random_weights(n_layer=2)
    mixed = {name: value for name, value in weights.items() if "blocks.1." not in name}
    mixed |= {name: value for name, value in other.items() if "blocks.1." in name}
    says = refusal(write_pth(tmp_path / "m.pth", mixed))
    assert "layer 1 is of RWKV-6, layer 0 of RWKV-7; the file mixes two models" in says


def test_layers_of_two_widths_are_named(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    other = random_weights(n_layer=2, n_embd=48)
    weights |= {name: value for name, value in other.items() if "blocks.1." in name}
    says = refusal(write_pth(tmp_path / "m.pth", weights))
    assert "layer 1 has 48 channels, emb.weight 32; the file mixes two models" in says


# .pth


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (torch.zeros(1).expand(2**40), "larger than its data"),
        (torch.zeros(3, 3).to_sparse(), "sparse, quantised or not in the file"),
        (torch.empty(3, device="meta"), "sparse, quantised or not in the file"),
    ],
)
def test_tensors_that_are_not_plain_numbers_are_refused(
    tmp_path: Path, weights: dict[str, Tensor], tensor: Tensor, says: str
) -> None:
    assert says in refusal(write_pth(tmp_path / "m.pth", weights | {"head.weight": tensor}))


def test_compressed_archives_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    buffer, path = io.BytesIO(), tmp_path / "m.pth"
    torch.save(weights, buffer)
    deflated = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(buffer) as source, deflated as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert "is compressed" in refusal(path)


def test_a_damaged_pickle_is_not_called_code(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    buffer, path = io.BytesIO(), tmp_path / "m.pth"
    torch.save(weights, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            is_pickle = entry.filename.endswith("data.pkl")
            target.writestr(entry, content[: len(content) // 2] if is_pickle else content)
    says = refusal(path)
    assert "truncated or damaged" in says
    assert "code" not in says


# Shards


@pytest.fixture
def shards(tmp_path: Path, weights: dict[str, Tensor]) -> Path:
    return write_folder(tmp_path / "shards", weights, {}, shards=3)


def test_folder_and_index_are_the_same_model(shards: Path) -> None:
    assert resolve_path(shards) == shards / INDEX
    assert open_checkpoint(shards).fingerprint == open_checkpoint(shards / INDEX).fingerprint


def test_an_index_is_no_tokenizer(shards: Path) -> None:
    assert load_tokenizer(shards / INDEX, 65536)[0].encode("a")


def test_one_shard_alone_points_to_the_folder(shards: Path) -> None:
    says = refusal(shards / "model-00002-of-00003.safetensors")
    assert "part 2 of 3; name the folder of the parts" in says


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / "model-00002-of-00003.safetensors").unlink()
    says = refusal(shards)
    assert "1 of its 3 shards are missing (model-00002-of-00003.safetensors)" in says


def test_a_damaged_shard_is_said_to_be(shards: Path) -> None:
    shard = shards / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-5])
    assert "truncated or damaged" in refusal(shards)


@pytest.mark.parametrize("is_listed", [True, False])
def test_tensors_only_the_index_or_only_the_shard_has_are_named(
    shards: Path, is_listed: bool
) -> None:
    index = json.loads((shards / INDEX).read_text())
    if is_listed:
        index["weight_map"]["extra"] = "model-00001-of-00003.safetensors"
    else:
        del index["weight_map"]["emb.weight"]
    (shards / INDEX).write_text(json.dumps(index))
    says = refusal(shards)
    assert "shard model-00001-of-00003.safetensors and the index disagree about 1 tensors" in says
    assert ("extra" if is_listed else "emb.weight") in says


@pytest.mark.parametrize(
    "name", ["../m.safetensors", "/m.safetensors", "a\\m.safetensors", "c:m", "..", "", 3, None]
)
def test_shards_elsewhere_are_refused_even_if_they_are_there(shards: Path, name: object) -> None:
    index = json.loads((shards / INDEX).read_text())
    index["weight_map"] |= dict.fromkeys(index["weight_map"], name)
    (shards / INDEX).write_text(json.dumps(index))
    save_file({"emb.weight": torch.zeros(1)}, shards.parent / "m.safetensors")
    assert "no name of a file beside it" in refusal(shards)


@pytest.mark.parametrize("text", ["", "[]", "[" * 50_000, '{"weight_map": {}}', "{}", "\xff"])
def test_a_damaged_index_is_refused(shards: Path, text: str) -> None:
    (shards / INDEX).write_text(text, encoding="latin-1")
    says = refusal(shards)
    assert "JSON" in says or "lists no tensors" in says


# Hugging Face


def test_layer_norms_with_another_epsilon_are_refused(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = write_folder(tmp_path / "m", as_fla(weights), CONFIG | {"norm_eps": 1e-6})
    assert "layer norms with epsilon 1e-06" in refusal(path)


def test_fused_mixes_must_be_six(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    converted = as_fla(weights, has_fused_mixes=True)
    converted["model.layers.1.attn.x_x"] = converted["model.layers.1.attn.x_x"][:5].clone()
    assert "instead of 6 joined mixes" in refusal(write_folder(tmp_path / "m", converted, CONFIG))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.layers.0.self_attn.time_maa_w1", "Transformer such as Qwen"),
        ("model.layers.3.self_attn.w_lora.lora.0.weight", "Transformer such as Qwen"),
        ("model.layers.0.attn.x_proj.0.weight", "own form of RWKV-6"),
        ("model.layers.0.self_attn.q_proj.weight", "not an RWKV language model"),
    ],
)
def test_relatives_in_hugging_face_names_are_refused_by_name(
    tmp_path: Path, name: str, says: str
) -> None:
    tensors = {"model.embed_tokens.weight": torch.zeros(4, 4), name: torch.zeros(4, 4)}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    with pytest.raises(UnsupportedModelError, match=says):
        open_checkpoint(path)


def test_a_wrong_matrix_in_web_rwkv_names_is_named(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    converted = as_web_rwkv(weights, generation="7")
    converted["blocks.0.att.a1"] = converted["blocks.0.att.a1"].T.contiguous()
    says = refusal(write_safetensors(tmp_path / "m.st", converted))
    assert "tensor blocks.0.att.a1 is (5, 32) instead of (32, 5)" in says


# GGUF


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        ("rwkv6qwen2", "Qwen whose attention was replaced"),
        ("arwkv7", "Qwen whose attention was replaced"),
        ("llama", "architecture 'llama', not an RWKV"),
    ],
)
def test_other_architectures_are_refused_by_name(
    tmp_path: Path, weights: dict[str, Tensor], architecture: str, says: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", weights, generation="7")
    old, new = (struct.pack("<Q", len(n)) + n.encode() for n in ("rwkv7", architecture))
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(UnsupportedModelError, match=says):
        open_checkpoint(path)


def test_parts_of_a_gguf_file_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    metadata = {"split.count": 3}
    path = write_gguf(tmp_path / "m.gguf", weights, generation="7", metadata=metadata)
    assert "one of 3 parts" in refusal(path)


def test_a_gguf_header_that_counts_beyond_the_file_is_refused(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = write_gguf(tmp_path / "m.gguf", weights, generation="7")
    content = path.read_bytes()
    for place in (8, 16):  # tensors, metadata entries
        huge = content[:place] + struct.pack("<Q", 2**60) + content[place + 8 :]
        path.write_bytes(huge)
        assert "truncated or damaged" in refusal(path)
    path.write_bytes(content[:4] + struct.pack("<I", 1) + content[8:])
    assert "GGUF of version 1" in refusal(path)


@pytest.mark.parametrize(
    ("count", "says"), [(2**62, "counts 4611686018427387904"), (2**20, "asks for 8388608 bytes")]
)
def test_a_list_of_numbers_beyond_the_file_is_refused(
    tmp_path: Path, count: int, says: str
) -> None:
    key = b"tokenizer.scores"
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 10, count)
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    assert says in refusal(path)


def test_a_tuned_state_given_as_a_model_says_where_it_belongs(tmp_path: Path) -> None:
    tensors = {f"blocks.{layer}.att.time_state": torch.zeros(2, 4, 4) for layer in range(3)}
    path = write_safetensors(tmp_path / "tuned.safetensors", tensors)
    with pytest.raises(UnsupportedModelError, match=r"a tuned state and no model .* with --state"):
        open_checkpoint(path)
