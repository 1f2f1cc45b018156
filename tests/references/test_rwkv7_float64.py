"""The reference's own truth: central finite differences, and limits known by hand."""

import numpy as np
from numpy.typing import NDArray

from tests.references.rwkv7_float64 import RecurrenceInputs, recurrence, recurrence_backward

Array = NDArray[np.float64]
B, T, H, K, V = 2, 5, 2, 3, 4
STEP = 1e-6


def random_inputs(seed: int) -> RecurrenceInputs:
    """Draw r, log_decay, k, v, kk, a, state as a model makes them."""
    draw = np.random.default_rng(seed)
    r, k = draw.normal(size=(2, B, T, H, K))
    v = draw.normal(size=(B, T, H, V))
    log_decay = -0.6065 / (1 + np.exp(-draw.normal(size=(B, T, H, K), scale=3)))
    kk = draw.normal(size=(B, T, H, K))
    kk /= np.linalg.norm(kk, axis=-1, keepdims=True)
    a = draw.uniform(size=(B, T, H, K))
    return RecurrenceInputs(r, log_decay, k, v, kk, a, draw.normal(size=(B, H, V, K)))


def test_backward_agrees_with_central_finite_differences() -> None:
    inputs = random_inputs(0)
    draw = np.random.default_rng(1)
    dy, dstate = draw.normal(size=(B, T, H, V)), draw.normal(size=(B, H, V, K))

    def loss() -> float:
        y, state = recurrence(*inputs)
        return float((y * dy).sum() + (state * dstate).sum())

    gradients = recurrence_backward(*inputs, dy, dstate)
    for name, value, gradient in zip(RecurrenceInputs._fields, inputs, gradients, strict=True):
        assert gradient.shape == value.shape
        numeric = np.empty_like(value)
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + STEP
            up = loss()
            value[index] = kept - STEP
            numeric[index] = (up - loss()) / (2 * STEP)
            value[index] = kept
        # Rounding of a loss of about 10 divided by 2e-6 leaves eight digits.
        np.testing.assert_allclose(gradient, numeric, atol=2e-8, rtol=2e-7, err_msg=name)


def test_full_rate_replaces_what_a_key_held() -> None:
    key = np.array([0.6, 0.8, 0.0])
    value, old = np.array([1.0, 2.0, 3.0, 4.0]), np.array([9.0, 8.0, 7.0, 6.0])
    one, decay, rate, new = (
        part[None, None, None] for part in (key, np.zeros(3), np.ones(3), value)
    )
    y, _ = recurrence(one, decay, one, new, one, rate, np.outer(old, key)[None, None])
    np.testing.assert_allclose(y[0, 0, 0], value, atol=1e-15)


def test_decay_alone_halves_after_its_half_life() -> None:
    zeros = np.zeros((1, 10, 1, 3))
    start = np.arange(12.0).reshape(1, 1, 4, 3)
    log_decay = np.full_like(zeros, -np.log(2) / 10)
    values = np.zeros((1, 10, 1, 4))
    _, state = recurrence(zeros, log_decay, zeros, values, zeros, zeros, start)
    np.testing.assert_allclose(state, start / 2, rtol=1e-14)
