"""States of other programs, checked by what a model says after them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rwkv_core.config import ModelConfig
from rwkv_core.errors import StateError
from rwkv_core.models import Model, load_model
from rwkv_core.pipeline import RWKV
from rwkv_core.state import State
from rwkv_core.state_files import load_initial_state
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, as_numpy, random_state, random_tokens
from tests.references import rwkv5_float64, rwkv6_float64, rwkv7_float64, rwkv7a_float64
from tests.references.pypi_rwkv import run_package
from tests.references.rwkv7_float64 import ReferenceState
from tests.tolerances import assert_close

LAYERS, CHANNELS, HEADS, SIZE = 3, 32, 2, 16
REFERENCES: Mapping[str, Any] = {
    "5.0": rwkv5_float64.Reference,
    "5.1": rwkv5_float64.Reference,
    "5.2": rwkv5_float64.Reference,
    "6": rwkv6_float64.Reference,
    "7": rwkv7_float64.Reference,
    "7a": rwkv7a_float64.Reference,
}
with_matrices = pytest.mark.parametrize("generation", REFERENCES)


def weights_of(generation: str) -> dict[str, Tensor]:
    return RANDOM_WEIGHTS[generation](n_layer=LAYERS, n_embd=CHANNELS, head_size=SIZE)


@pytest.fixture
def model(tmp_path: Path, generation: str) -> Model:
    return load_model(write_pth(tmp_path / "model.pth", weights_of(generation)), "cpu fp32")


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("seven") / "model.pth"
    return load_model(write_pth(path, weights_of("7")), "cpu fp32")


@pytest.fixture
def memory() -> Tensor:
    """S of every layer and head, rows values, columns keys; nothing like its transpose."""
    return torch.randn(LAYERS, HEADS, SIZE, SIZE)


def tuned(memory: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """What state tuning saves: (H, value, key) per layer."""
    return {f"blocks.{i}.att.time_state": part.to(dtype) for i, part in enumerate(memory)}


def write(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    if path.suffix == ".pth":
        return write_pth(path, tensors)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def write_as_web_rwkv(path: Path, memory: Tensor) -> Path:
    """What its converter makes of that: lower case, fp16, the last two axes turned."""
    turned = {name.lower(): value.half().transpose(-1, -2) for name, value in tuned(memory).items()}
    return write(path, turned)


def read(path: Path, model: Model, **options: Any) -> State:
    return load_initial_state(path, model.config, model.fingerprint, **options)[0]


@with_matrices
@pytest.mark.parametrize("name", ["tuned.pth", "tuned.safetensors", "tuned.st", "tuned.state"])
def test_a_model_says_after_a_tuned_state_what_float64_says(
    model: Model, generation: str, name: str, memory: Tensor, tmp_path: Path
) -> None:
    memory = memory.half().float()  # exact in every dtype of a file
    if name.endswith((".st", ".state")):
        path = write_as_web_rwkv(tmp_path / name, memory)
    else:
        path = write(tmp_path / name, tuned(memory))
    tokens = random_tokens(1, 7)
    state = read(path, model)
    logits, _ = model.forward(tokens, state, all_logits=True)
    face, _ = RWKV(model).forward(tokens[0].tolist(), state, full_output=True)
    assert torch.equal(face, logits[0])
    shift = np.zeros((LAYERS, 1, CHANNELS))
    start = ReferenceState(shift, memory[:, None].double().numpy(), shift)
    reference = REFERENCES[generation](as_numpy(weights_of(generation)))
    expected, _ = reference.forward(tokens.numpy(), start)
    assert_close(logits, expected, torch.float32)
    # So that the comparison says something about the state.
    turned = ReferenceState(shift, start.wkv.swapaxes(-1, -2), shift)
    other, _ = reference.forward(tokens.numpy(), turned)
    assert np.abs(other - expected).max() > 0.1


@pytest.mark.parametrize("generation", ["5.2", "6"])
def test_the_pypi_package_reads_a_tuned_state_the_same_way(
    model: Model, generation: str, memory: Tensor, tmp_path: Path
) -> None:
    # It takes a tuned state from among the weights.
    merged = write_pth(tmp_path / "merged.pth", weights_of(generation) | tuned(memory))
    ids = random_tokens(1, 5)[0].tolist()
    expected = run_package(merged, [ids], tmp_path / "result.npz")
    state = read(write(tmp_path / "tuned.pth", tuned(memory)), model)
    logits, after = model.forward(ids, state)
    assert_close(logits, expected["logits"], torch.float32)
    difference = after.wkv[:, 0].numpy() - expected["wkv"]
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected["wkv"])


def test_everything_but_the_matrices_begins_at_zero(
    seven: Model, memory: Tensor, tmp_path: Path
) -> None:
    path = write(tmp_path / "tuned.pth", tuned(memory))
    state = read(path, seven)
    assert state.batch_size == 1
    assert not state.time_mix_shift.any()
    assert not state.channel_mix_shift.any()
    assert torch.equal(state.wkv[:, 0], memory)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_every_dtype_becomes_float32(
    seven: Model, memory: Tensor, dtype: torch.dtype, tmp_path: Path
) -> None:
    state = read(write(tmp_path / "tuned.pth", tuned(memory, dtype)), seven)
    assert state.wkv.dtype == torch.float32
    assert torch.equal(state.wkv[:, 0], memory.to(dtype).float())


def test_the_order_is_said_and_can_be_given(seven: Model, memory: Tensor, tmp_path: Path) -> None:
    pth = write(tmp_path / "a.pth", tuned(memory))
    st = write_as_web_rwkv(tmp_path / "a.st", memory)
    _, choice = load_initial_state(pth, seven.config, "")
    assert choice == ("a.pth", "a tuned state; rows are values, as state tuning saves them")
    _, choice = load_initial_state(st, seven.config, "")
    assert choice.reason.endswith(
        "rows are keys, as web-rwkv and ai00 store them in .st, so they were turned"
    )
    # A file that was renamed.
    renamed = st.rename(tmp_path / "a.safetensors")
    given = read(renamed, seven, order="key-value")
    assert torch.equal(given.wkv[:, 0], memory.half().float())
    assert torch.equal(read(renamed, seven).wkv, given.wkv.transpose(-1, -2))


@pytest.mark.parametrize("prefix", ["_forward_module.", "module.", "model.", "module.model."])
def test_what_trainers_put_before_names_is_understood(
    seven: Model, memory: Tensor, prefix: str, tmp_path: Path
) -> None:
    tensors = {prefix + name: value for name, value in tuned(memory).items()}
    assert torch.equal(read(write(tmp_path / "a.pth", tensors), seven).wkv[:, 0], memory)


def test_layers_are_told_by_number_not_by_their_order(seven: Model, tmp_path: Path) -> None:
    memory = torch.randn(LAYERS, HEADS, SIZE, SIZE)
    tensors = dict(reversed(tuned(memory).items()))
    assert torch.equal(read(write(tmp_path / "a.pth", tensors), seven).wkv[:, 0], memory)


def test_a_state_saved_by_us_is_read_with_its_owner_checked(seven: Model, tmp_path: Path) -> None:
    path, saved = tmp_path / "chat.safetensors", random_state(seven, 1)
    saved.save(path, seven.config, seven.fingerprint, tokens=1234, text_tail="")
    state, choice = load_initial_state(path, seven.config, seven.fingerprint)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(state).values(), vars(saved).values(), strict=True)
    )
    assert choice == ("chat.safetensors", "saved by this program after 1,234 tokens")
    with pytest.raises(StateError, match="another model"):
        load_initial_state(path, seven.config, "0" * 64)


@pytest.mark.parametrize(
    "shape", [(LAYERS + 1, HEADS, SIZE, SIZE), (LAYERS - 1, HEADS, SIZE, SIZE),
              (LAYERS, HEADS + 1, SIZE, SIZE), (LAYERS, HEADS, SIZE, SIZE + 1), (LAYERS, SIZE, SIZE)]
)  # fmt: skip
def test_a_state_of_another_size_is_refused_with_both_sizes(
    seven: Model, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.pth", tuned(torch.zeros(shape)))
    with pytest.raises(StateError, match=r"a\.pth is a state of") as caught:
        read(path, seven)
    assert f"{shape[0]} layers with matrices of {shape[1:]} shape" in str(caught.value)
    assert "(RWKV-7) has 3 layers with (2, 16, 16)" in str(caught.value)


def test_a_missing_layer_is_not_filled_with_zeros(
    seven: Model, memory: Tensor, tmp_path: Path
) -> None:
    tensors = tuned(memory)
    tensors["blocks.7.att.time_state"] = tensors.pop("blocks.1.att.time_state")
    with pytest.raises(StateError, match="a state of 3 layers"):
        read(write(tmp_path / "a.pth", tensors), seven)


@pytest.mark.parametrize(
    "extra", ["emb.weight", "blocks.0.att.time_state_2", "xblocks.0.att.time_state"]
)
def test_other_tensors_are_refused_by_name(
    seven: Model, memory: Tensor, extra: str, tmp_path: Path
) -> None:
    for suffix in (".pth", ".st"):
        path = write(tmp_path / f"a{suffix}", tuned(memory) | {extra: torch.zeros(2)})
        with pytest.raises(StateError, match=f"holds '{extra}', which is no time_state"):
            read(path, seven)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_with_the_layer(
    seven: Model, memory: Tensor, bad: float, tmp_path: Path
) -> None:
    memory[1, 0, 3, 4] = bad
    path = write(tmp_path / "a.pth", tuned(memory))
    with pytest.raises(StateError, match=r"layer 2 of a\.pth holds NaN or infinity"):
        read(path, seven)


@pytest.mark.parametrize("generation", ["4"])
def test_rwkv_4_has_no_tuned_states(
    model: Model, generation: str, memory: Tensor, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.pth", tuned(memory))
    with pytest.raises(StateError, match="RWKV-4, which is loaded, remembers none"):
        read(path, model)


class Runs:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_does_not_run(seven: Model, tmp_path: Path) -> None:
    torch.save({"blocks.0.att.time_state": Runs(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(StateError, match="could run code"):
        read(tmp_path / "a.pth", seven)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 64, b"\x08" + b"\0" * 7 + b"{"]
)
def test_broken_and_missing_files_are_refused(seven: Model, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    for path in (tmp_path / "a.pth", tmp_path / "missing.pth", tmp_path):
        with pytest.raises(StateError, match=f"{path.name} is no"):
            read(path, seven)


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], torch.zeros(2), {"blocks.0.att.time_state": 3}]
)
def test_other_contents_are_refused(seven: Model, content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(StateError, match=r"a\.pth holds"):
        read(tmp_path / "a.pth", seven)


@pytest.mark.parametrize("error", [TypeError, AttributeError, AssertionError, MemoryError])
def test_whatever_a_damaged_pickle_raises_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("deep inside")

    path = tmp_path / "damaged.pth"
    path.write_bytes(b"PK")
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(StateError, match=r"damaged\.pth is not a readable state file"):
        load_initial_state(path, ModelConfig("7", 50, 2, 32, 128, 4, 8), "")
