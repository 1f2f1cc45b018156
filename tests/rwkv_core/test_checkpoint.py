import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rwkv_core.checkpoint import fingerprint, resolve_path
from rwkv_core.errors import CheckpointError, UnsupportedModelError
from rwkv_core.models.loading import open_checkpoint
from tests.checkpoints import random_weights, write_pth, write_safetensors

Write = Callable[[Path, dict[str, Tensor]], Path]
DUMMIES = {"blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2"}


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return random_weights(n_layer=2)


@pytest.fixture
def model_path(tmp_path: Path, weights: dict[str, Tensor]) -> Path:
    return write_pth(tmp_path / "tiny.pth", weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("write", [write_pth, write_safetensors])
@pytest.mark.parametrize("block0_dummies", [True, False])
def test_every_weight_comes_back_as_it_was(
    tmp_path: Path, write: Write, dtype: torch.dtype, block0_dummies: bool
) -> None:
    weights = random_weights(dtype=dtype, block0_dummies=block0_dummies)
    opened = open_checkpoint(write(tmp_path / "rwkv7-0.1b", weights))
    assert opened.name == "rwkv7-0.1b"
    assert opened.path == tmp_path / "rwkv7-0.1b"
    assert opened.file_bytes == opened.path.stat().st_size
    assert opened.config.n_layer == 3
    assert set(opened.tensors) == weights.keys() - DUMMIES
    assert len(opened.tensors) == len(weights.keys() - DUMMIES)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in opened.tensors.items())


def test_suffixes_are_not_part_of_the_name(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    assert open_checkpoint(write_pth(tmp_path / "a-0.1b.pth", weights)).name == "a-0.1b"
    path = write_safetensors(tmp_path / "b-0.1b.safetensors", weights)
    assert open_checkpoint(path).name == "b-0.1b"


@pytest.mark.parametrize("write", [write_pth, write_safetensors])
def test_weights_are_mapped_not_read(
    tmp_path: Path, weights: dict[str, Tensor], write: Write
) -> None:
    path = write(tmp_path / "m", weights)
    tensors = open_checkpoint(path).tensors
    raw = weights["emb.weight"].numpy().tobytes()
    place = path.read_bytes().index(raw)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\0" * len(raw))
    assert not tensors["emb.weight"].any()


@pytest.mark.parametrize("prefix", ["module.", "_forward_module.", "_forward_module.module."])
def test_trainer_prefixes_are_stripped(
    tmp_path: Path, weights: dict[str, Tensor], prefix: str
) -> None:
    path = write_pth(tmp_path / "m.pth", {prefix + name: value for name, value in weights.items()})
    assert set(open_checkpoint(path).tensors) == weights.keys() - DUMMIES


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrapped_dictionaries_are_unwrapped(
    tmp_path: Path, weights: dict[str, Tensor], wrapper: str
) -> None:
    path = tmp_path / "m.pth"
    torch.save({"epoch": 3, wrapper: weights}, path)
    assert set(open_checkpoint(path).tensors) == weights.keys() - DUMMIES


def test_parameters_are_read_as_plain_tensors(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "m.pth"
    torch.save({name: torch.nn.Parameter(value) for name, value in weights.items()}, path)
    assert not any(tensor.requires_grad for tensor in open_checkpoint(path).tensors.values())


# Refused files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
        (b"\n  <html lang='en'>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"Entry not found", "starts with b'Entry not found'"),
        (b"GGUF\x03\0\0\0", "truncated or damaged"),
        (b"fmgg\x65\0\0\0", "older ggml file"),
        (pickle.dumps({"emb.weight": 1}), "before version 1.6"),
        (b"PK\x03\x04" + b"\0" * 100, "truncated or damaged"),
        (b"\xff\0\0\0\0\0\0\0{", "truncated or damaged"),
        (b"\x02\0\0\0\0\0\0\0{}", "not an RWKV language model"),
    ],
)
@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_other_files_are_refused_with_what_they_are(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(caught.value).startswith(f"{name}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("write", [write_pth, write_safetensors])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_files_are_refused(
    tmp_path: Path, weights: dict[str, Tensor], write: Write, share: float
) -> None:
    path = write(tmp_path / "m", weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"truncated or damaged.*fetch the file again"):
        open_checkpoint(path)


class Evil:
    """Writes a file when unpickled by something careless."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_pickle_is_refused_and_never_runs(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path, target = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({**weights, "extra": Evil(target)}, path)
    with pytest.raises(CheckpointError, match="could run code"):
        open_checkpoint(path)
    assert not target.exists()


def test_other_zip_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (torch.zeros(3), "holds a Tensor instead of named tensors"),
        ([1, 2], "holds a list instead of named tensors"),
        ({"emb.weight": 3}, "entry 'emb.weight' is no tensor but of type int"),
    ],
)
def test_torch_files_without_named_tensors_are_refused(
    tmp_path: Path, content: object, says: str
) -> None:
    path = tmp_path / "m.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(path)


@pytest.mark.parametrize("mark", ["_strategy", "_version"])
def test_files_converted_by_the_pypi_package_are_refused(
    tmp_path: Path, weights: dict[str, Tensor], mark: str
) -> None:
    path = tmp_path / "m.pth"
    torch.save({**weights, mark: "cuda fp16"}, path)
    with pytest.raises(CheckpointError, match="converted by the PyPI package"):
        open_checkpoint(path)


def test_a_model_of_another_kind_keeps_its_error_class(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "bert.pth", {"encoder.weight": torch.zeros(2, 2)})
    with pytest.raises(UnsupportedModelError, match=r"bert\.pth: .*encoder\.weight"):
        open_checkpoint(path)


# Names, shapes, values


def test_every_tensor_but_the_unused_ones_is_needed(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    for name in weights.keys() - DUMMIES:
        path = write_pth(tmp_path / "m.pth", {n: v for n, v in weights.items() if n != name})
        with pytest.raises(CheckpointError, match=r"missing|lacks|not an RWKV") as caught:
            open_checkpoint(path)
        assert name in str(caught.value) or "not an RWKV" in str(caught.value)


def test_every_shape_is_checked(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    for name in weights.keys() - DUMMIES:
        wrong = weights | {name: torch.zeros(*weights[name].shape, 2)}
        with pytest.raises(CheckpointError, match=r"tensor .* is \("):
            open_checkpoint(write_pth(tmp_path / "m.pth", wrong))


def test_transposed_low_rank_matrices_are_refused(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    turned = {
        name: value.T.contiguous() if name.endswith(("g1", "g2")) else value
        for name, value in weights.items()
    }
    with pytest.raises(CheckpointError, match="converted for another runtime"):
        open_checkpoint(write_safetensors(tmp_path / "m.safetensors", turned))


def test_unused_tensors_of_layer_0_may_have_any_shape(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    plain = open_checkpoint(write_pth(tmp_path / "plain.pth", weights))
    odd = weights | {"blocks.0.att.v1": torch.zeros(3, 3, 3)}
    assert open_checkpoint(write_pth(tmp_path / "odd.pth", odd)).fingerprint == plain.fingerprint


@pytest.mark.parametrize("name", ["blocks.0.att.time_state", "blocks.1.att.key.lora_A"])
def test_tensors_that_would_be_ignored_are_refused(
    tmp_path: Path, weights: dict[str, Tensor], name: str
) -> None:
    path = write_pth(tmp_path / "m.pth", weights | {name: torch.zeros(4, 8, 8)})
    with pytest.raises(CheckpointError, match=f"{name}.*does not know"):
        open_checkpoint(path)


def test_integer_weights_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = write_pth(tmp_path / "m.pth", weights | {"head.weight": weights["head.weight"].char()})
    with pytest.raises(CheckpointError, match=r"head\.weight has dtype int8"):
        open_checkpoint(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_and_infinity_are_named_when_the_tensor_is_read(
    tmp_path: Path, bad: float, dtype: torch.dtype
) -> None:
    weights = random_weights(n_layer=2, dtype=dtype)
    weights["blocks.1.ffn.key.weight"][5, 7] = bad
    opened = open_checkpoint(write_pth(tmp_path / "m.pth", weights))
    assert torch.equal(opened.tensors["emb.weight"], weights["emb.weight"])
    with pytest.raises(CheckpointError, match=r"m\.pth: tensor blocks\.1\.ffn\.key\.weight"):
        dict(opened.tensors)


# Fingerprint


def test_the_fingerprint_does_not_depend_on_format_or_order(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    backwards = dict(reversed(weights.items()))
    paths = [
        write_pth(tmp_path / "a.pth", weights),
        write_pth(tmp_path / "b.pth", backwards),
        write_safetensors(tmp_path / "c.safetensors", weights),
    ]
    found = {open_checkpoint(path).fingerprint for path in paths}
    assert len(found) == 1
    assert len(found.pop()) == len(hashlib.sha256().hexdigest())


def test_the_fingerprint_changes_with_names_shapes_dtypes_and_every_byte(
    weights: dict[str, Tensor],
) -> None:
    tensor = weights["head.weight"]
    changed = tensor.clone()
    changed.view(torch.uint8)[-1, -1] ^= 1
    variants = [
        weights,
        weights | {"head.weight": changed},
        weights | {"head.weight": tensor.reshape(-1, 2)},
        weights | {"head.weight": tensor.view(torch.int32)},
        {("tail.weight" if name == "head.weight" else name): v for name, v in weights.items()},
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)


def test_a_non_contiguous_tensor_is_hashed_by_its_values() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    assert fingerprint({"x": tensor.T}) == fingerprint({"x": tensor.T.contiguous()})
    assert fingerprint({"x": tensor.T}) != fingerprint({"x": tensor.reshape(4, 3)})


def test_large_models_are_hashed_by_samples() -> None:
    big, small = torch.zeros(100_000, dtype=torch.uint8), torch.zeros(65_536, dtype=torch.uint8)

    def sampled(changed: Tensor) -> str:
        weights = {"a": torch.zeros(1), "big": big, "changed": changed}
        return fingerprint(weights, full_hash_bytes=big.nbytes)

    def hash_with(tensor: Tensor, index: int) -> str:
        changed = tensor.clone()
        changed[index] = 1
        return sampled(changed)

    plain = sampled(big)
    assert hash_with(big, 0) != plain
    assert hash_with(big, -1) != plain
    # Pieces are 4,096 bytes long and start every 6,393.6 bytes.
    assert hash_with(big, 5000) == plain
    hashes = {hash_with(small, index) for index in range(0, 65_536, 8191)}
    assert len(hashes) == 9


# Paths


@pytest.mark.parametrize("template", ["{}", "'{}'", '"{}"', "  {} ", ' "{}"'])
@pytest.mark.parametrize("name", ["tiny.pth", "tiny"])
def test_quotes_spaces_and_a_missing_suffix_are_understood(
    model_path: Path, template: str, name: str
) -> None:
    assert resolve_path(template.format(model_path.with_name(name))) == model_path


def test_a_suffix_is_added_to_names_with_dots(tmp_path: Path) -> None:
    path = tmp_path / "rwkv7-0.1b.safetensors"
    path.touch()
    assert resolve_path(tmp_path / "rwkv7-0.1b") == path


def test_the_exact_name_wins(model_path: Path) -> None:
    exact = model_path.with_name("tiny")
    exact.touch()
    assert resolve_path(exact) == exact


def test_home_and_backslashes_are_understood(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(model_path.parent))
    assert resolve_path("~/tiny.pth") == model_path
    assert resolve_path("~\\tiny.pth") == model_path
    assert resolve_path(str(model_path).replace("/", "\\")) == model_path


def test_near_matches_are_listed_for_a_missing_file(model_path: Path) -> None:
    for other in ("notes.txt", "zebra.pth", "tiny2.safetensors"):
        model_path.with_name(other).touch()
    with pytest.raises(CheckpointError, match=r"does not exist.*did you mean") as caught:
        resolve_path(model_path.with_name("tinny.pth"))
    assert "tiny.pth" in str(caught.value)
    assert "notes" not in str(caught.value)


def test_a_folder_is_refused_with_what_it_holds(model_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder.*tiny\.pth"):
        open_checkpoint(model_path.parent)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no model path given"),
        (' "" ', "no model path given"),
        ("nowhere/at/all.pth", "nor does its folder"),
        ("x" * 5000, "cannot look up|does not exist"),
        ("~nobody-of-this-name/m.pth", "cannot look up"),
        ("a\0b", "cannot look up|does not exist"),
    ],
)
def test_hopeless_paths_end_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        resolve_path(text)


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no weights file"):
        resolve_path(tmp_path / "m.pth")


def test_metadata_of_a_safetensors_file_is_no_tensor(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = tmp_path / "m.safetensors"
    save_file(weights, path, metadata={"format": "pt", "note": json.dumps({"a": 1})})
    assert set(open_checkpoint(path).tensors) == weights.keys() - DUMMIES
