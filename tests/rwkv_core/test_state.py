import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rwkv_core.config import ModelConfig
from rwkv_core.errors import ShapeError, StateError
from rwkv_core.state import SavedMemory, State

CONFIG = ModelConfig("7", 50, n_layer=2, n_embd=12, n_ffn=48, n_head=3, head_size=4)
FINGERPRINT = "ab" * 32
PARTS = ("time_mix_shift", "wkv", "channel_mix_shift")


def random_state(batch: int = 1) -> State:
    return State(*(torch.randn_like(part) for part in vars(State.zeros(CONFIG, batch)).values()))


def assert_equal(left: State, right: State) -> None:
    assert all(torch.equal(getattr(left, part), getattr(right, part)) for part in PARTS)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "chat.safetensors"
    random_state().save(path, CONFIG, FINGERPRINT, tokens=7, text_tail="the end")
    return path


def resave(path: Path, *, changes: dict[str, str], **parts: torch.Tensor) -> None:
    """Write a saved file once more with some of its metadata and tensors replaced."""
    metadata = {
        "format": "rwkv-state-1",
        "generation": "7",
        "sizes": "[2, 12, 3, 4]",
        "fingerprint": FINGERPRINT,
        "tokens": "7",
    }
    # Cloned, since the file under a memory-mapped tensor must not be overwritten.
    kept = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(kept | parts, path, metadata=metadata | changes)


def test_zeros_have_the_documented_shapes_and_bytes() -> None:
    state = State.zeros(CONFIG, batch=5)
    assert state.time_mix_shift.shape == state.channel_mix_shift.shape == (2, 5, 12)
    assert state.wkv.shape == (2, 5, 3, 4, 4)
    assert state.batch_size == 5
    assert state.nbytes == 5 * CONFIG.state_bytes
    assert all(part.dtype == torch.float32 and not part.any() for part in vars(state).values())


def test_select_takes_back_what_stack_joined() -> None:
    states = [random_state() for _ in range(3)]
    stacked = State.stack(states)
    assert stacked.batch_size == 3
    for index, state in enumerate(states):
        assert_equal(stacked.select(index), state)


def test_stack_and_select_copy_their_storage() -> None:
    one = random_state()
    for copy in (State.stack([one]), one.select(0)):
        for part in PARTS:
            assert getattr(copy, part).data_ptr() != getattr(one, part).data_ptr()
    two = random_state(batch=2)
    chosen = two.select(1)
    assert chosen.wkv.untyped_storage().nbytes() == two.wkv.nbytes // 2


def test_the_memory_of_rwkv_4_is_a_mean_and_that_of_the_others_their_matrices() -> None:
    state = random_state(batch=2)
    assert state.memory is state.wkv
    config = ModelConfig("4", 50, 2, 12, 48, n_head=1, head_size=12, has_exponents=True)
    empty = State.zeros(config, batch=2)
    assert empty.memory.shape == (2, 2, 1, 1, 12)
    assert not empty.memory.any()
    filled = State.zeros(config, batch=2)
    filled.wkv[:, :, 0], filled.wkv[:, :, 1] = -3.0, 2.0
    assert (filled.memory == -1.5).all()


def test_stacking_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="0 states"):
        State.stack([])


@pytest.mark.parametrize("index", [-1, 2])
def test_selecting_outside_the_batch_is_refused(index: int) -> None:
    with pytest.raises(ShapeError, match=f"no conversation {index} in a batch of 2"):
        random_state(batch=2).select(index)


def test_to_keeps_the_values() -> None:
    state = random_state()
    assert_equal(state.to("cpu"), state)
    assert state.to("meta").wkv.device.type == "meta"


def test_a_saved_state_comes_back_bit_equal(tmp_path: Path) -> None:
    path = tmp_path / "chat.safetensors"
    state = random_state(batch=2).select(1)
    state.save(path, CONFIG, FINGERPRINT, tokens=123, text_tail="x" * 500 + "Ende: ü 中")
    loaded, tokens, tail = State.load(path, CONFIG, FINGERPRINT)
    assert_equal(loaded, state)
    assert tokens == 123
    assert len(tail) == 200
    assert tail.endswith("Ende: ü 中")


def test_a_loaded_state_outlives_its_file(saved: Path) -> None:
    loaded, _, _ = State.load(saved, CONFIG, FINGERPRINT)
    kept = State.stack([loaded])
    # In place, as save_file may do: the same file with other bytes.
    with saved.open("r+b") as file:
        file.seek(-64, 2)
        file.write(b"\0" * 64)
    assert_equal(loaded, kept)


def test_a_batch_is_not_saved_as_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "chat.safetensors"
    with pytest.raises(ShapeError, match="holds 1 conversation, this state 2"):
        random_state(batch=2).save(path, CONFIG, FINGERPRINT, tokens=1, text_tail="")
    assert not path.exists()


def test_a_state_of_another_model_is_refused_with_both_names(saved: Path) -> None:
    with pytest.raises(StateError, match="another model") as caught:
        State.load(saved, CONFIG, "cd" * 32)
    assert FINGERPRINT[:12] in str(caught.value)
    assert "cdcdcdcdcdcd" in str(caught.value)
    assert json.dumps([2, 12, 3, 4]) in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"format": "rwkv-state-9"}, {"tokens": "-1"}, {"tokens": "²"}, {"tokens": "9" * 5000}],
)
def test_metadata_that_no_save_writes_is_refused(saved: Path, changes: dict[str, str]) -> None:
    resave(saved, changes=changes)
    with pytest.raises(StateError, match="not a saved state"):
        State.load(saved, CONFIG, FINGERPRINT)


def test_broken_sizes_of_another_model_are_refused_too(saved: Path) -> None:
    resave(saved, changes={"fingerprint": "00", "sizes": "{"})
    with pytest.raises(StateError, match="another model"):
        State.load(saved, CONFIG, FINGERPRINT)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", PARTS)
def test_nan_and_infinity_are_refused_by_name(saved: Path, part: str, bad: float) -> None:
    tensor = load_file(saved)[part].clone()
    tensor.view(-1)[-1] = bad
    resave(saved, changes={}, **{part: tensor})
    with pytest.raises(StateError, match=f"{part} holds NaN or infinity"):
        State.load(saved, CONFIG, FINGERPRINT)


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 1, 3, 4, 5), torch.zeros(2, 1, 3, 4, 4, dtype=torch.bfloat16)]
)
def test_wrong_shapes_and_dtypes_are_refused(saved: Path, tensor: torch.Tensor) -> None:
    resave(saved, changes={}, wkv=tensor)
    with pytest.raises(StateError, match=r"this model needs F32 \(2, 1, 3, 4, 4\)"):
        State.load(saved, CONFIG, FINGERPRINT)


def test_extra_tensors_are_refused(saved: Path) -> None:
    resave(saved, changes={}, more=torch.zeros(1))
    with pytest.raises(StateError, match="time_mix_shift, wkv, channel_mix_shift"):
        State.load(saved, CONFIG, FINGERPRINT)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"other\.safetensors is not a readable state file"):
        State.load(path, CONFIG, FINGERPRINT)


def test_truncated_and_missing_files_and_folders_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-10])
    for path in (saved, saved.with_name("missing.safetensors"), saved.parent):
        with pytest.raises(StateError, match="not a readable state file"):
            State.load(path, CONFIG, FINGERPRINT)


def test_scores_of_the_next_word_come_back_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    logits = np.arange(50, dtype=np.float32)
    random_state().save(
        path, CONFIG, FINGERPRINT, tokens=7, text_tail="x" * 999, name="n" * 999, logits=logits
    )
    saved = SavedMemory.load(path, CONFIG, FINGERPRINT)
    assert saved.memory.logits is not None
    np.testing.assert_array_equal(saved.memory.logits, logits)
    assert saved.memory.nbytes == CONFIG.state_bytes + logits.nbytes
    assert (len(saved.text_tail), len(saved.name)) == (200, 80)
    assert State.load(path, CONFIG, FINGERPRINT)[1] == 7
    resave(path, changes={}, logits=torch.zeros(51))
    with pytest.raises(StateError, match="logits is F32"):
        SavedMemory.load(path, CONFIG, FINGERPRINT)
