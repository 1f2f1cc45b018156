from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import SettingsError
from rwkv_core.inspection.editing import (
    Edit,
    Gain,
    KeepSlow,
    Noise,
    ZeroHead,
    ZeroLayer,
    apply_edit,
    blend,
)
from rwkv_core.models import Model, load_model
from rwkv_core.state import EMPTY_EXPONENT, State
from tests.checkpoints import write_safetensors
from tests.generations import RANDOM_WEIGHTS, VOCAB

EVERY = pytest.mark.parametrize("generation", ["4", "5.2", "6", "7"])
TEXT, OTHER = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8]


@pytest.fixture
def model(generation: str, tmp_path: Path) -> Model:
    weights = RANDOM_WEIGHTS[generation](
        seed=0, n_layer=3, n_embd=32, head_size=8, vocab_size=VOCAB
    )
    return load_model(write_safetensors(tmp_path / "m.safetensors", weights), kernel="torch")


@pytest.fixture
def states(model: Model) -> list[State]:
    return [model.forward(ids)[1] for ids in (TEXT, OTHER)]


def same(a: State, b: State, *parts: str) -> bool:
    return all(torch.equal(vars(a)[part], vars(b)[part]) for part in parts or vars(a))


def true_sums(state: State) -> torch.Tensor:
    """RWKV-4's numerator and denominator as they are meant, in float64; (L, 2, C)."""
    wide = state.wkv[:, 0].double()
    return wide[:, :2] * wide[:, 2:].exp()


def in_other_exponents(state: State, by: float) -> State:
    """The same RWKV-4 memory, stored with other exponents."""
    numerator, denominator, exponent = state.wkv.unbind(2)
    scale = float(np.exp(-by))
    return replace(
        state, wkv=torch.stack([numerator * scale, denominator * scale, exponent + by], 2)
    )


@EVERY
def test_a_blend_with_one_share_is_that_very_memory(states: list[State]) -> None:
    assert same(blend(states, [1, 0]), states[0])
    assert same(blend(states, [0, 3]), states[1])


@EVERY
def test_a_blend_of_equal_memories_is_that_memory(states: list[State]) -> None:
    mixed = blend([states[0]] * 3, [1, 2, 5])
    for part in vars(mixed):
        torch.testing.assert_close(vars(mixed)[part], vars(states[0])[part])


@pytest.mark.parametrize("generation", ["5.2", "6", "7"])
def test_a_blend_is_the_weighted_sum(states: list[State]) -> None:
    mixed = blend(states, [1, 3])
    for part in vars(mixed):
        a, b = (vars(state)[part] for state in states)
        torch.testing.assert_close(vars(mixed)[part], 0.25 * a + 0.75 * b)


@pytest.mark.parametrize("generation", ["4"])
def test_rwkv_4_blends_the_sums_and_not_their_stored_form(states: list[State]) -> None:
    mixed = blend(states, [1, 3])
    expected = 0.25 * true_sums(states[0]) + 0.75 * true_sums(states[1])
    torch.testing.assert_close(true_sums(mixed), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("generation", ["4"])
@pytest.mark.parametrize("edit", [ZeroLayer(1), KeepSlow(2.0), Gain(0.5), Noise(0.4, 7)])
def test_rwkv_4_changes_do_not_depend_on_the_stored_exponent(
    states: list[State], edit: Edit
) -> None:
    log_decay = np.linspace(-3, -0.01, 96, dtype=np.float32).reshape(3, 1, 32)
    plain = apply_edit(states[0], edit, log_decay)
    shifted = apply_edit(in_other_exponents(states[0], 3.5), edit, log_decay)
    torch.testing.assert_close(true_sums(plain), true_sums(shifted), rtol=1e-4, atol=1e-5)
    other = blend([in_other_exponents(states[0], -2.0), states[1]], [1, 1])
    torch.testing.assert_close(
        true_sums(other), true_sums(blend(states, [1, 1])), rtol=1e-4, atol=1e-5
    )


@EVERY
def test_emptying_a_layer_changes_that_layer_only(model: Model, states: list[State]) -> None:
    changed = apply_edit(states[0], ZeroLayer(1))
    assert same(changed, states[0], "time_mix_shift", "channel_mix_shift")
    assert torch.equal(changed.wkv[1], model.initial_state().wkv[1])
    for layer in (0, 2):
        assert torch.equal(changed.wkv[layer], states[0].wkv[layer])


@pytest.mark.parametrize("generation", ["5.2", "6", "7"])
def test_emptying_a_head_changes_that_head_only(states: list[State]) -> None:
    changed = apply_edit(states[0], ZeroHead(2, 1))
    difference = (changed.wkv - states[0].wkv).abs().sum((1, 3, 4))
    assert difference[2, 1] > 0
    difference[2, 1] = 0
    assert not difference.any()
    assert not changed.wkv[2, 0, 1].any()


@EVERY
def test_keeping_slow_channels_empties_the_fast_ones(model: Model, states: list[State]) -> None:
    L, H, K = 3, model.config.n_head, model.config.head_size
    log_decay = np.full((L, H, K), -0.01, np.float32)
    log_decay[1, 0, :4] = -1.0  # half-life 0.7 tokens
    changed = apply_edit(states[0], KeepSlow(10), log_decay)
    before, after = states[0].memory[:, 0], changed.memory[:, 0]
    assert not after[1, 0, :, :4].any()
    kept = torch.ones(L, H, 1, K, dtype=torch.bool)
    kept[1, 0, :, :4] = False
    assert torch.equal(after.masked_fill(~kept, 0), before.masked_fill(~kept, 0))


@EVERY
def test_a_gain_of_one_changes_nothing_and_of_zero_leaves_an_empty_memory(
    model: Model, states: list[State]
) -> None:
    assert same(apply_edit(states[0], Gain(1)), states[0])
    assert torch.equal(apply_edit(states[0], Gain(0)).wkv, model.initial_state().wkv)


@pytest.mark.parametrize("generation", ["4"])
def test_a_gain_keeps_rwkv_4s_mean_and_changes_its_weight(states: list[State]) -> None:
    changed = apply_edit(states[0], Gain(0.5))
    torch.testing.assert_close(changed.memory, states[0].memory)
    torch.testing.assert_close(true_sums(changed), 0.5 * true_sums(states[0]))


@EVERY
def test_noise_is_as_large_as_asked_and_repeats_under_its_seed(states: list[State]) -> None:
    noisy = apply_edit(states[0], Noise(0.5, 3))
    assert same(noisy, apply_edit(states[0], Noise(0.5, 3)))
    assert not same(noisy, apply_edit(states[0], Noise(0.5, 4)), "wkv")
    added = (noisy.memory - states[0].memory).square().mean((-2, -1)).sqrt()
    size = states[0].memory.square().mean((-2, -1)).sqrt()
    torch.testing.assert_close(added / size, torch.full_like(size, 0.5), rtol=0.5, atol=0)


@EVERY
def test_the_given_memory_stays_as_it_was(states: list[State]) -> None:
    before = [part.clone() for part in vars(states[0]).values()]
    log_decay = np.full((3, *states[0].memory.shape[2:3], states[0].memory.shape[-1]), -1.0)
    for edit in (ZeroLayer(0), KeepSlow(9), Gain(2), Noise(1, 0)):
        apply_edit(states[0], edit, log_decay)
    blend(states, [1, 1])
    assert all(torch.equal(a, b) for a, b in zip(before, vars(states[0]).values(), strict=True))


@pytest.mark.parametrize("generation", ["4"])
def test_an_emptied_rwkv_4_layer_reads_on_like_a_new_one(model: Model, states: list[State]) -> None:
    emptied = apply_edit(states[0], ZeroLayer(0))
    assert (emptied.wkv[0, :, 2] == EMPTY_EXPONENT).all()
    logits, _ = model.forward([5], emptied)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("generation", "edit", "words"),
    [
        ("7", ZeroLayer(3), "no layer 4; choose 1 to 3"),
        ("7", ZeroHead(0, 4), "no head 5; choose 1 to 4"),
        ("4", ZeroHead(0, 0), "RWKV-4 has no heads"),
        ("7", Gain(float("nan")), "gain is nan"),
        ("7", Noise(3.0, 0), "noise is 3.0, but must be 0 to 2"),
    ],
)
def test_what_cannot_be_changed_gets_a_sentence(
    states: list[State], edit: Edit, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        apply_edit(states[0], edit)


@pytest.mark.parametrize("generation", ["7"])
@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [1, float("nan")], [float("inf"), 1]])
def test_shares_that_are_none_get_a_sentence(states: list[State], weights: list[float]) -> None:
    with pytest.raises(SettingsError, match="at least one above 0"):
        blend(states, weights)
