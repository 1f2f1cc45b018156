import numpy as np

from rwkv_core.inspection.stability import (
    FLOAT32_LIMIT,
    bounded_decay,
    log_sum_exp,
    raw_of_bounded,
    unbounded_decay,
)


def test_the_plain_sum_overflows_where_the_other_goes_on() -> None:
    keys = np.array([1.0, 50.0, 89.0, 2.0])
    found = log_sum_exp(keys, -0.1)
    assert np.isfinite(found.plain[:2]).all()
    assert np.isinf(found.plain[2:]).all()
    assert found.kept.max() <= len(keys)
    np.testing.assert_allclose(np.log(found.kept) + found.exponent, found.exact, rtol=1e-5)
    assert 88 < FLOAT32_LIMIT < 89


def test_small_keys_give_the_same_both_ways() -> None:
    found = log_sum_exp(np.linspace(-2, 2, 20), -0.5)
    np.testing.assert_allclose(np.log(found.plain), found.exact, atol=1e-5)


def test_rwkv_7s_decay_stays_in_its_bounds_for_any_input() -> None:
    raw = np.array([-1e3, -5.0, 0.0, 5.0, 1e3])
    with np.errstate(over="ignore"):
        decay = bounded_decay(raw)
    np.testing.assert_allclose(decay[[0, -1]], [1, np.exp(-np.exp(-0.5))])
    assert (np.diff(decay) < 0).all()
    assert unbounded_decay(raw)[-1] == 0
    np.testing.assert_allclose(raw_of_bounded(decay[1:4]), raw[1:4], rtol=1e-6)
