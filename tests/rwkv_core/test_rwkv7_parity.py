"""RWKV-7 agrees with a float64 reference, with the PyPI package, and with itself."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.models import load_model
from rwkv_core.state import State
from tests.checkpoints import Ranks, random_weights, write_pth, write_safetensors
from tests.references.pypi_rwkv import run_package
from tests.references.rwkv7_float64 import Reference, ReferenceState
from tests.tolerances import PEER_AT_RELEASED_WIDTH, assert_close, assert_logits_close

# n_embd, head_size: tiny heads, and the head size of every released model.
SIZES = [(32, 8), (128, 64)]
VOCAB = 50


def random_tokens(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCAB, (batch, length), generator=draw)


def as_reference(state: State) -> ReferenceState:
    return ReferenceState(
        *(
            part.double().numpy()
            for part in (state.time_mix_shift, state.wkv, state.channel_mix_shift)
        )
    )


def assert_states_close(state: State, expected: ReferenceState | State) -> None:
    for part in ReferenceState._fields:
        assert_close(getattr(state, part), getattr(expected, part), torch.float32)


@pytest.fixture
def tiny_path(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "tiny.safetensors", random_weights())


@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 17), (3, 1), (3, 33)])
def test_logits_and_state_agree_with_float64(
    tmp_path: Path, n_embd: int, head_size: int, batch: int, length: int
) -> None:
    weights = random_weights(n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    tokens = random_tokens(batch, length)
    logits, state = model.forward(tokens, all_logits=True)
    reference = Reference({name: value.numpy() for name, value in weights.items()})
    expected, expected_state = reference.forward(tokens.numpy())
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize(("n_embd", "head_size"), SIZES)
def test_forward_from_a_given_state_agrees_with_float64(
    tmp_path: Path, n_embd: int, head_size: int
) -> None:
    weights = random_weights(seed=3, n_embd=n_embd, head_size=head_size)
    model = load_model(write_pth(tmp_path / "tiny.pth", weights), "cpu fp32")
    start = State(*(torch.randn_like(p) for p in vars(model.initial_state(2)).values()))
    tokens = random_tokens(2, 9)
    logits, state = model.forward(tokens, start, all_logits=True)
    reference = Reference({name: value.numpy() for name, value in weights.items()})
    expected, expected_state = reference.forward(tokens.numpy(), as_reference(start))
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


def test_file_format_and_unused_tensors_do_not_change_logits(tmp_path: Path) -> None:
    weights = random_weights()
    without = {
        name: value
        for name, value in weights.items()
        if name not in ("blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2")
    }
    assert len(without) == len(weights) - 3
    paths = [
        write_pth(tmp_path / "with.pth", weights),
        write_safetensors(tmp_path / "with.safetensors", weights),
        write_pth(tmp_path / "without.pth", without),
        write_safetensors(tmp_path / "without.safetensors", without),
    ]
    models = [load_model(path, "cpu fp32") for path in paths]
    first, *others = (model.forward([3, 1, 4, 1, 5])[0] for model in models)
    # Not bit by bit: products depend on where in memory the file's bytes begin.
    for other in others:
        assert_close(other, first, torch.float32)
    assert len({model.fingerprint for model in models}) == 1


def test_one_layer_model_agrees_with_float64(tmp_path: Path) -> None:
    weights = random_weights(n_layer=1, block0_dummies=False)
    model = load_model(write_pth(tmp_path / "one.pth", weights), "cpu fp32")
    reference = Reference({name: value.numpy() for name, value in weights.items()})
    expected, _ = reference.forward(np.array([[3, 1, 4]]))
    assert_close(model.forward([3, 1, 4], all_logits=True)[0], expected, torch.float32)


def test_all_at_once_agrees_with_one_by_one(tiny_path: Path) -> None:
    model = load_model(tiny_path, "cpu fp32")
    tokens = random_tokens(2, 37)
    at_once, state_at_once = model.forward(tokens, all_logits=True)
    state, rows = None, []
    for t in range(tokens.shape[1]):
        logits, state = model.forward(tokens[:, t : t + 1], state)
        rows.append(logits)
    assert state is not None
    assert_close(torch.stack(rows, dim=1), at_once, torch.float32)
    assert_states_close(state, state_at_once)


@pytest.mark.parametrize("chunk", [1, 2, 16, 36, 37, 100])
def test_prefill_in_chunks_equals_prefill_at_once(tiny_path: Path, chunk: int) -> None:
    model = load_model(tiny_path, "cpu fp32")
    ids = random_tokens(1, 37)[0].tolist()
    expected, expected_state = model.forward(ids)
    seen: list[int] = []
    logits, state = model.prefill(ids, chunk_tokens=chunk, on_progress=seen.append)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)
    assert seen[-1] == 37
    assert seen == sorted(set(seen))


def test_a_state_used_twice_gives_the_same_logits_and_is_unchanged(tiny_path: Path) -> None:
    model = load_model(tiny_path, "cpu fp32")
    _, state = model.forward([7, 8, 9])
    kept = [part.clone() for part in vars(state).values()]
    first, _ = model.forward([1, 2, 3], state)
    model.forward([4], state)
    second, _ = model.forward([1, 2, 3], state)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(kept, vars(state).values(), strict=True))


def test_conversations_in_one_batch_do_not_touch_each_other(tiny_path: Path) -> None:
    model = load_model(tiny_path, "cpu fp32")
    tokens = random_tokens(3, 11)
    _, state = model.forward(tokens)
    together, after = model.forward(tokens.flip(0), state)
    for index in range(3):
        alone, alone_after = model.forward(tokens.flip(0)[index : index + 1], state.select(index))
        assert_close(together[index : index + 1], alone, torch.float32)
        assert_states_close(after.select(index), alone_after)


def test_tokens_may_be_non_contiguous(tiny_path: Path) -> None:
    model = load_model(tiny_path, "cpu fp32")
    tokens = random_tokens(12, 4).T[:, ::2]
    assert not tokens.is_contiguous()
    assert torch.equal(model.forward(tokens)[0], model.forward(tokens.contiguous())[0])


def test_bf16_weights_stay_within_tolerance_of_float64(tmp_path: Path) -> None:
    weights = random_weights(n_embd=128, head_size=64, dtype=torch.bfloat16)
    path = write_pth(tmp_path / "tiny.pth", weights)
    tokens = random_tokens(2, 33)
    logits, state = load_model(path, "cpu bf16", kernel="torch").forward(tokens, all_logits=True)
    assert logits.dtype == state.wkv.dtype == torch.float32
    reference = Reference({name: value.float().numpy() for name, value in weights.items()})
    expected, _ = reference.forward(tokens.numpy())
    assert_close(logits, expected, torch.bfloat16)
    exact, _ = load_model(path, "cpu fp32").forward(tokens, all_logits=True)
    assert_close(exact, expected, torch.float32)
    assert not torch.equal(exact, logits)


@pytest.fixture
def released_shape(tmp_path: Path) -> Generator[Path]:
    """Random weights in the shape of the released 0.1B model, 380 MB, removed afterwards."""
    weights = random_weights(
        n_layer=12,
        n_embd=768,
        head_size=64,
        vocab_size=65536,
        ranks=Ranks(w=64, a=64, v=32, g=128),
        dtype=torch.bfloat16,
    )
    path = write_pth(tmp_path / "rwkv7-0.1b.pth", weights)
    del weights
    yield path
    path.unlink()


def test_logits_agree_with_the_pypi_package_at_the_released_shape(
    released_shape: Path, tmp_path: Path
) -> None:
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(0, 65536, (23,), generator=draw).tolist()
    parts = [ids[:20], ids[20:21], ids[21:22], ids[22:]]
    expected = run_package(released_shape, parts, tmp_path / "result.npz", RWKV_V7_ON="1")

    model, state, rows = load_model(released_shape, "cpu fp32"), None, []
    for part in parts:
        logits, state = model.forward(part, state)
        rows.append(logits)
    assert state is not None
    assert_logits_close(torch.cat(rows), expected["logits"], PEER_AT_RELEASED_WIDTH)
    # The state carries larger numbers than the logits, so it is compared by length alone.
    difference = state.wkv[:, 0].numpy() - expected["wkv"]
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected["wkv"])
