"""RWKV-4 agrees with a float64 reference, with the PyPI package, and with itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.inspection import head_norms, wkv_array
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.state import EMPTY_EXPONENT, State
from tests.checkpoints import write_pth
from tests.checkpoints_v4 import random_weights
from tests.package_parity import RELEASED_SHAPE, assert_agrees_with_the_package
from tests.references.rwkv4_float64 import Reference
from tests.references.rwkv7_float64 import ReferenceState
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("two_threads")


def random_tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(1))


def reference_of(weights: dict[str, torch.Tensor]) -> Reference:
    return Reference({name: value.float().numpy() for name, value in weights.items()})


def assert_states_close(state: State, expected: State | ReferenceState) -> None:
    for part in ReferenceState._fields:
        assert_close(getattr(state, part), getattr(expected, part), torch.float32)


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    return load_model(write_pth(tmp_path / "tiny.pth", random_weights()), "cpu fp32")


@pytest.mark.parametrize("n_embd", [32, 128])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 17), (3, 1), (3, 33)])
def test_logits_and_state_agree_with_float64(
    tmp_path: Path, n_embd: int, batch: int, length: int
) -> None:
    weights = random_weights(n_embd=n_embd)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    tokens = random_tokens(batch, length)
    logits, state = model.forward(tokens, all_logits=True)
    expected, expected_state = reference_of(weights).forward(tokens.numpy())
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


def test_forward_from_a_given_state_agrees_with_float64(tmp_path: Path) -> None:
    weights = random_weights(seed=3)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    start = State(*(torch.randn_like(p) for p in vars(model.initial_state(2)).values()))
    # The denominator is a sum of positive weights.
    start.wkv[:, :, 1] = start.wkv[:, :, 1].abs() + 0.5
    tokens = random_tokens(2, 9)
    logits, state = model.forward(tokens, start, all_logits=True)
    parts = (part.double().numpy() for part in vars(start).values())
    expected, expected_state = reference_of(weights).forward(tokens.numpy(), ReferenceState(*parts))
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize("chunk", [1, 2, 16, 18])
def test_prefill_in_chunks_equals_forward_at_once(tiny: Model, chunk: int) -> None:
    ids = random_tokens(1, 19)[0].tolist()
    expected, expected_state = tiny.forward(ids)
    logits, state = tiny.prefill(ids, chunk_tokens=chunk)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


def test_conversations_in_one_batch_do_not_touch_each_other(tiny: Model) -> None:
    tokens = random_tokens(3, 11)
    _, state = tiny.forward(tokens)
    together, after = tiny.forward(tokens.flip(0), state)
    for index in range(3):
        alone, alone_after = tiny.forward(tokens.flip(0)[index : index + 1], state.select(index))
        assert_close(together[index : index + 1], alone, torch.float32)
        assert_states_close(after.select(index), alone_after)


def test_large_keys_do_not_overflow(tmp_path: Path) -> None:
    weights = random_weights()
    for layer in range(3):
        weights[f"blocks.{layer}.att.key.weight"] *= 100
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    tokens = random_tokens(1, 9)
    logits, state = model.forward(tokens, all_logits=True)
    assert state.wkv[:, :, 2].max() > 100
    expected, _ = reference_of(weights).forward(tokens.numpy())
    # Keys a hundred times as large carry a hundred times the rounding.
    np.testing.assert_allclose(logits, expected, atol=2e-3)


def test_bf16_weights_stay_within_tolerance_of_float64(tmp_path: Path) -> None:
    weights = random_weights(n_embd=128, dtype=torch.bfloat16)
    path = write_pth(tmp_path / "tiny.pth", weights)
    tokens = random_tokens(2, 33)
    logits, state = load_model(path, "cpu bf16", kernel="torch").forward(tokens, all_logits=True)
    assert logits.dtype == state.wkv.dtype == torch.float32
    expected, _ = reference_of(weights).forward(tokens.numpy())
    assert_close(logits, expected, torch.bfloat16)
    exact, _ = load_model(path, "cpu fp32").forward(tokens, all_logits=True)
    assert_close(exact, expected, torch.float32)
    assert not torch.equal(exact, logits)


def test_a_saved_state_goes_on_as_if_it_had_never_stopped(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "chat.safetensors"
    _, state = tiny.forward([3, 1, 4])
    state.save(path, tiny.config, tiny.fingerprint, tokens=3, text_tail="")
    loaded, _, _ = State.load(path, tiny.config, tiny.fingerprint)
    assert torch.equal(tiny.forward([1, 5], loaded)[0], tiny.forward([1, 5], state)[0])


def test_a_trace_measures_the_remembered_mean(tiny: Model) -> None:
    ids = random_tokens(1, 9)[0].tolist()
    recording = tiny.trace(ids)
    assert recording.log_decay.shape == (3, 1, 32)
    decay = tiny.network.state_dict()["blocks.1.att.time_decay"]
    np.testing.assert_allclose(recording.log_decay[1, 0], -np.exp(decay.numpy()), rtol=1e-6)
    means = []
    for length in range(1, 10):
        _, state = tiny.forward(ids[:length])
        means.append((state.wkv[:, 0, 0] / state.wkv[:, 0, 1]).numpy())
    changes = np.diff(np.stack([np.zeros_like(means[0]), *means]), axis=0)
    np.testing.assert_allclose(recording.state_norm.T, np.linalg.norm(means, axis=2), rtol=1e-5)
    np.testing.assert_allclose(recording.change_norm.T, np.linalg.norm(changes, axis=2), rtol=1e-4)
    measured = head_norms(wkv_array(recording.state))
    assert measured.shape == (3, 1)
    np.testing.assert_allclose(recording.head_norm, measured, rtol=1e-5)


def test_nothing_is_remembered_before_the_first_token(tiny: Model) -> None:
    state = tiny.initial_state()
    assert (state.wkv[:, :, 2] == EMPTY_EXPONENT).all()
    assert not wkv_array(state).any()
    logits, _ = tiny.forward([7], state)
    assert bool(torch.isfinite(logits).all())


def test_a_key_of_another_width_than_the_stream_is_refused(tmp_path: Path) -> None:
    weights = random_weights()
    weights["blocks.0.att.key.weight"] = torch.zeros(48, 32)
    with pytest.raises(CheckpointError, match="48"):
        open_checkpoint(write_pth(tmp_path / "wide.pth", weights))


def test_logits_and_state_agree_with_the_pypi_package(tmp_path: Path) -> None:
    assert_agrees_with_the_package(random_weights, tmp_path)


def test_logits_and_state_agree_with_the_pypi_package_at_the_released_shape(
    tmp_path: Path,
) -> None:
    assert_agrees_with_the_package(random_weights, tmp_path, **RELEASED_SHAPE)
