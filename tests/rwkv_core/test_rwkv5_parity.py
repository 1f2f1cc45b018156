"""RWKV-5.0, 5.1 and 5.2 agree with a float64 reference, with the PyPI package, and themselves."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.state import State
from tests.checkpoints import write_pth
from tests.checkpoints_v5 import random_weights
from tests.package_parity import RELEASED_SHAPE, assert_agrees_with_the_package
from tests.references.rwkv5_float64 import Reference
from tests.references.rwkv7_float64 import ReferenceState
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("two_threads")

GENERATIONS = ("5.0", "5.1", "5.2")
# n_embd, head_size: tiny heads, which torch runs, and the head size of every released model.
SIZES = [(32, 8), (128, 64)]


def random_tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(1))


def reference_of(weights: dict[str, torch.Tensor]) -> Reference:
    return Reference({name: value.float().numpy() for name, value in weights.items()})


def assert_states_close(state: State, expected: State | ReferenceState) -> None:
    for part in ReferenceState._fields:
        # Sums of products grow with the text.
        right = np.asarray(getattr(expected, part))
        spread = max(1.0, float(right.std()))
        assert_close(getattr(state, part) / spread, right / spread, torch.float32)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 33)])
def test_logits_and_state_agree_with_float64(
    tmp_path: Path, generation: str, n_embd: int, head_size: int, batch: int, length: int
) -> None:
    weights = random_weights(generation=generation, n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    assert model.config.generation == generation
    tokens = random_tokens(batch, length)
    logits, state = model.forward(tokens, all_logits=True)
    expected, expected_state = reference_of(weights).forward(tokens.numpy())
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("bonus", ["time_first", "time_faaaa"])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("n_ffn", [112, 128])
def test_either_bonus_in_any_shape_and_either_width_agree_with_float64(
    tmp_path: Path, generation: str, bonus: str, axes: int, n_ffn: int
) -> None:
    weights = random_weights(generation=generation, bonus=bonus, axes=axes, n_ffn=n_ffn)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    assert (model.config.generation, model.config.n_ffn) == (generation, n_ffn)
    expected, _ = reference_of(weights).forward(random_tokens(1, 5).numpy())
    logits, _ = model.forward(random_tokens(1, 5), all_logits=True)
    assert_close(logits, expected, torch.float32)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
def test_forward_from_a_given_state_agrees_with_float64(
    tmp_path: Path, generation: str, n_embd: int, head_size: int
) -> None:
    weights = random_weights(3, generation=generation, n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    start = State(*(torch.randn_like(p) for p in vars(model.initial_state(2)).values()))
    tokens = random_tokens(2, 9)
    logits, state = model.forward(tokens, start, all_logits=True)
    parts = (part.double().numpy() for part in vars(start).values())
    expected, expected_state = reference_of(weights).forward(tokens.numpy(), ReferenceState(*parts))
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_chunks_and_single_tokens_and_batches_agree_with_all_at_once(
    tmp_path: Path, generation: str
) -> None:
    weights = random_weights(generation=generation, n_embd=128, head_size=64)
    path = write_pth(tmp_path / "tiny.pth", weights)
    model, tokens = load_model(path, "cpu fp32"), random_tokens(2, 19)
    together, state_together = model.forward(tokens)
    for row in range(2):
        for chunk in (1, 16, 18):
            logits, state = model.prefill(tokens[row].tolist(), chunk_tokens=chunk)
            assert_close(logits, together[row : row + 1], torch.float32)
            assert_states_close(state, state_together.select(row))


def test_the_group_norms_epsilon_can_be_another(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "tiny.pth", random_weights())
    official, other = (load_model(path, "cpu fp32", ln_x_eps=eps) for eps in (None, 1e-5))
    assert official.network.get_submodule("blocks.0.att.ln_x").eps == 64e-5
    assert not torch.equal(official.forward([3])[0], other.forward([3])[0])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_bf16_weights_stay_within_tolerance_of_float64(tmp_path: Path, generation: str) -> None:
    weights = random_weights(generation=generation, n_embd=128, head_size=64, dtype=torch.bfloat16)
    path, tokens = write_pth(tmp_path / "tiny.pth", weights), random_tokens(2, 33)
    model = load_model(path, "cpu bf16", kernel="torch")
    dtypes = {name: p.dtype for name, p in model.network.named_parameters()}
    assert dtypes["blocks.1.att.time_decay"] == dtypes["blocks.1.att.ln_x.weight"] == torch.float32
    assert dtypes["blocks.1.att.key.weight"] == torch.bfloat16
    logits, state = model.forward(tokens, all_logits=True)
    assert logits.dtype == state.wkv.dtype == torch.float32
    expected, _ = reference_of(weights).forward(tokens.numpy())
    assert_close(logits, expected, torch.bfloat16)
    exact, _ = load_model(path, "cpu fp32").forward(tokens, all_logits=True)
    assert_close(exact, expected, torch.float32)
    assert not torch.equal(exact, logits)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_trace_measures_memory_and_decay(tmp_path: Path, generation: str) -> None:
    weights = random_weights(generation=generation)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    recording = model.trace(random_tokens(1, 9)[0].tolist())
    raw = weights["blocks.1.att.time_decay"].reshape(4, -1).expand(4, 8)
    np.testing.assert_allclose(recording.log_decay[1], -np.exp(raw.numpy()), rtol=1e-6)
    norms = recording.state.wkv[:, 0].square().sum((-2, -1)).sqrt()
    np.testing.assert_allclose(recording.head_norm, norms, rtol=1e-5)


def refusal_of(path: Path, **changed: torch.Tensor | None) -> str:
    """Open a file with tensors of layer 0 replaced or, where None, left out."""
    weights = random_weights()
    for name, value in changed.items():
        weights.pop(f"blocks.0.att.{name.replace('__', '.')}")
        if value is not None:
            weights[f"blocks.0.att.{name.replace('__', '.')}"] = value
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(write_pth(path / "broken.pth", weights))
    return str(caught.value)


def test_tensors_that_do_not_make_up_heads_are_refused(tmp_path: Path) -> None:
    decay, bonus = "tensor blocks.0.att.time_decay is ", "tensor blocks.0.att.time_faaaa is "
    assert f"{decay}(5, 8), which does" in refusal_of(tmp_path, time_decay=torch.zeros(5, 8))
    assert f"{decay}(4, 7), which does" in refusal_of(tmp_path, time_decay=torch.zeros(4, 7))
    assert f"{decay}missing" in refusal_of(tmp_path, time_decay=None)
    assert f"{bonus}(4, 7) instead of" in refusal_of(tmp_path, time_faaaa=torch.zeros(4, 7))
    assert "nor blocks.0.att.time_first" in refusal_of(tmp_path, time_faaaa=None)
    assert "key.weight is (48, 32)" in refusal_of(tmp_path, key__weight=torch.zeros(48, 32))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_logits_and_state_agree_with_the_pypi_package(tmp_path: Path, generation: str) -> None:
    assert_agrees_with_the_package(partial(random_weights, generation=generation), tmp_path)


@pytest.mark.parametrize("generation", ["5.1", "5.2"])
def test_logits_and_state_agree_with_the_pypi_package_at_the_released_shape(
    tmp_path: Path, generation: str
) -> None:
    draw = partial(random_weights, generation=generation)
    assert_agrees_with_the_package(draw, tmp_path, **RELEASED_SHAPE)
