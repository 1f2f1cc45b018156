from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rwkv_core.inspection import (
    change_per_token,
    effective_rank,
    filling_tokens,
    half_life_tokens,
    head_norms,
    head_shares,
    kv_cache_bytes,
    layer_norms,
    path,
    peak_columns,
    rank_correlation,
    reading,
    relative_change,
    relative_parts,
    remaining,
    settled_change,
    singular_values,
    stable_rank,
    states,
    strided_columns,
    wkv_array,
)
from rwkv_core.recording import LayerInputs
from tests.ui.recordings import make_recording


def test_half_life_is_when_a_simulated_decay_passes_one_half() -> None:
    log_decay = np.array([[-0.6, -0.05], [-0.004, -0.0007]], dtype=np.float32)
    half_life = half_life_tokens(log_decay)
    for rate, tokens in zip(log_decay.ravel(), half_life.ravel(), strict=True):
        held, steps = 1.0, 0
        while held > 0.5:
            held *= float(np.exp(rate))
            steps += 1
        assert steps - 1 < tokens <= steps


def test_a_channel_that_never_decays_has_an_endless_half_life() -> None:
    assert np.array_equal(half_life_tokens(np.array([0.0, -0.0])), [np.inf, np.inf])


def test_norms_are_the_roots_of_the_sums_of_squares() -> None:
    wkv = np.random.default_rng(1).normal(size=(3, 2, 4, 5)).astype(np.float32)
    heads = head_norms(wkv)
    direct = [[sum(float(v) ** 2 for v in head.ravel()) ** 0.5 for head in layer] for layer in wkv]
    np.testing.assert_allclose(heads, direct, rtol=1e-6)
    flat = [np.linalg.norm(layer.ravel().astype(np.float64)) for layer in wkv]
    np.testing.assert_allclose(layer_norms(heads), flat, rtol=1e-6)


def test_shares_sum_to_one_and_an_empty_memory_has_none() -> None:
    assert head_shares(np.array([[3.0, 4.0]]))[0].tolist() == pytest.approx([0.36, 0.64])
    assert not head_shares(np.zeros((2, 2))).any()


def test_the_matrix_memory_is_copied_out_of_its_tensors() -> None:
    state = make_recording(5).state
    array = wkv_array(state)
    assert array.shape == (3, 2, 4, 4)
    np.testing.assert_array_equal(array[1, 0], state.wkv[1, 0, 0].numpy())
    array[:] = 0
    assert state.wkv.abs().sum() > 0


def test_relative_change_divides_by_the_memory_before_the_token() -> None:
    recording = replace(
        make_recording(3, n_layer=2),
        state_norm=np.array([[2.0, 4.0, 5.0], [0.0, 1.0, 1.0]], dtype=np.float32),
        change_norm=np.array([[2.0, 3.0, 1.0], [0.0, 1.0, 0.5]], dtype=np.float32),
    )
    expected = [[np.nan, 1.5, 0.25], [np.nan, np.nan, 0.5]]
    np.testing.assert_allclose(relative_change(recording), expected)
    # While a layer is still empty there is no change to average.
    np.testing.assert_allclose(change_per_token(recording), [np.nan, np.nan, 0.375])


def test_rank_correlation_ignores_scale_and_skips_unknown_positions() -> None:
    a = np.arange(20, dtype=np.float64)
    a[3] = np.nan
    rising, n = rank_correlation(a, np.exp(np.arange(20.0)))
    falling, _ = rank_correlation(a, -np.arange(20.0))
    np.testing.assert_allclose([rising, falling], [1.0, -1.0])
    assert n == 19


def test_rank_correlation_gives_ties_their_mean_rank() -> None:
    a = np.array([1.0, 1, 2, 3, 3, 3, 4, 5, 6, 7])
    b = np.array([2.0, 1, 2, 5, 4, 3, 9, 8, 7, 6])
    ranks_a = np.array([1.5, 1.5, 3, 5, 5, 5, 7, 8, 9, 10])
    ranks_b = np.array([2.5, 1, 2.5, 6, 5, 4, 10, 9, 8, 7])
    da, db = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    direct = (da * db).sum() / ((da**2).sum() * (db**2).sum()) ** 0.5
    assert rank_correlation(a, b)[0] == pytest.approx(direct)


def test_rank_correlation_is_unknown_for_short_or_constant_series() -> None:
    assert np.isnan(rank_correlation(np.arange(9.0), np.arange(9.0))[0])
    assert np.isnan(rank_correlation(np.ones(20), np.arange(20.0))[0])
    assert rank_correlation(np.full(3, np.nan), np.arange(3.0))[1] == 0


def test_change_is_compared_once_the_memory_has_filled() -> None:
    recording = replace(
        make_recording(5, n_layer=2),
        state_norm=np.array([[1, 2, 8, 9, 10], [10, 20, 80, 90, 100]], dtype=np.float32),
    )
    # The layers' averages are 6 and 60; three quarters of them are reached at the third token,
    # so the fourth is the first to find a filled memory.
    assert filling_tokens(recording) == 3
    change = settled_change(recording)
    assert np.isnan(change[:3]).all()
    np.testing.assert_array_equal(change[3:], change_per_token(recording)[3:])


@pytest.mark.parametrize("tokens", [1, 2, 3, 50])
def test_some_token_is_always_left_to_compare(tokens: int) -> None:
    recording = make_recording(tokens)
    assert filling_tokens(recording) < tokens
    assert np.isfinite(settled_change(recording)).any() == (tokens > 1)


def test_a_memory_that_never_fills_has_no_filling_tokens_but_the_first() -> None:
    recording = replace(make_recording(4), state_norm=np.zeros((3, 4), dtype=np.float32))
    assert filling_tokens(recording) == 1


def test_parts_are_compared_with_the_memory_before_the_token() -> None:
    recording = replace(
        make_recording(3, n_layer=2),
        state_norm=np.array([[2.0, 4.0, 5.0], [1.0, 1.0, 1.0]], dtype=np.float32),
        write_norm=np.array([[2.0, 3.0, 1.0], [1.0, 0.5, 0.5]], dtype=np.float32),
    )
    np.testing.assert_allclose(relative_parts(recording)["write"], [np.nan, 1.0, 0.375])


@pytest.mark.parametrize(
    ("values", "effective", "stable"),
    [
        ([5.0, 0, 0, 0], 1, 1),
        ([2.0, 2, 2, 2], 4, 4),
        ([3.0, 3, 0, 0], 2, 2),
        ([0.0, 0, 0, 0], 0, 0),
        # Shares 1/2, 1/4, 1/4 have an entropy of 1.5 bits; squares 16 + 4 + 4 over 16.
        ([4.0, 2, 2, 0], 2**1.5, 1.5),
    ],
)
def test_ranks_of_constructed_matrices(
    values: list[float], effective: float, stable: float
) -> None:
    draw = np.random.default_rng(0)
    left, right = (np.linalg.qr(draw.normal(size=(4, 4)))[0] for _ in range(2))
    found = singular_values(left @ np.diag(values) @ right)
    np.testing.assert_allclose(found, values, atol=1e-9)
    assert effective_rank(np.array(values)) == pytest.approx(effective)
    assert stable_rank(np.array(values)) == pytest.approx(stable)


def inputs_of(v: NDArray[np.float64]) -> LayerInputs:
    """A layer of one head and one channel that fades by half each token."""
    ones = np.ones((len(v), 1, 1), np.float32)
    return LayerInputs(
        first=0,
        state=np.zeros((1, 1, 1), np.float32),
        k=ones,
        v=v.astype(np.float32)[:, None, None],
        log_decay=np.full((1, 1), np.log(0.5), np.float32),
        r=ones,
        u=ones[0],
    )


def test_what_fades_by_half_each_token_is_followed_and_read_as_such() -> None:
    inputs = inputs_of(np.array([8.0, 0, 0, 4.0]))
    assert [float(S[0, 0, 0]) for S in states(inputs)] == pytest.approx([8, 4, 2, 5])
    assert remaining(inputs, 0)[0] == pytest.approx([1, 0.5, 0.25, 0.125])
    # Read before it is written: the present token by its bonus alone.
    assert reading(inputs, 3).weights[0] == pytest.approx([0.25, 0.5, 1, 1])


def test_a_way_along_one_line_shows_all_its_movement_in_one_direction() -> None:
    way = path(inputs_of(np.array([1.0, 2, 3, 4, 5])))
    assert way.explained == pytest.approx([1, 0], abs=1e-9)
    held = np.array([float(S[0, 0, 0]) for S in states(inputs_of(np.array([1.0, 2, 3, 4, 5])))])
    assert way.places[:, 0] == pytest.approx(held - held.mean())


@pytest.mark.parametrize("tokens", [1, 5, 512, 513, 4096])
def test_columns_stay_within_the_limit_and_end_at_the_last_token(tokens: int) -> None:
    columns, stride = strided_columns(tokens, limit=512)
    assert len(columns) <= 512
    assert columns[-1] == tokens - 1
    assert set(np.diff(columns)) <= {stride}


def test_peaks_survive_when_a_long_text_is_thinned() -> None:
    values = np.random.default_rng(0).random(1000)
    values[[0, 500]] = np.nan, 9.0
    columns, stride = peak_columns(values, limit=100)
    assert stride == 10
    assert 500 in columns
    for start, column in zip(range(0, 1000, 10), columns, strict=True):
        assert values[column] == np.nanmax(values[start : start + 10])


def test_a_group_without_any_value_has_no_column() -> None:
    assert peak_columns(np.array([np.nan, 2.0, 1.0]))[0].tolist() == [1, 2]


def test_kv_cache_counts_keys_and_values_of_every_layer() -> None:
    assert kv_cache_bytes(6, 192, 10) == 10 * 6 * (192 + 192) * 2
