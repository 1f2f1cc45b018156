import numpy as np
import pytest
import torch

from rwkv_core.quantization import (
    GROUP,
    LARGEST_SCALE,
    LEAST_SCALE,
    QuantizedMatrix,
    dequantize_int4,
    dequantize_int8,
    quantize_int4,
    quantize_int8,
)


def weight(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    # Rows of very different size: a scale that is not each row's own would show.
    return torch.randn(rows, columns, generator=draw) * torch.logspace(-3, 2, rows)[:, None]


def test_int8_rounds_to_half_a_step_of_its_row() -> None:
    w = weight(33, 70)
    values, scale = quantize_int8(w)
    assert (values.dtype, values.shape, scale.shape) == (torch.int8, w.shape, (33, 1))
    error = (dequantize_int8(values, scale) - w).abs()
    assert (error <= 0.5001 * w.abs().amax(1, keepdim=True) / 127).all()
    assert values.abs().amax(1).eq(127).all()


def test_int4_is_written_as_its_definition_says() -> None:
    w = weight(5, 2 * GROUP)
    nibbles, scale = quantize_int4(w)
    assert (nibbles.shape, scale.dtype) == ((5, 2, 16), torch.float16)
    # Read back by hand: byte j holds element j low and j + 16 high.
    packed, steps = nibbles.numpy(), scale.float().numpy()
    expected = np.zeros((5, 2, GROUP), np.float32)
    for j in range(16):
        expected[..., j] = (packed[..., j] % 16).astype(np.float32) - 8
        expected[..., j + 16] = (packed[..., j] // 16).astype(np.float32) - 8
    expected = (expected * steps[..., None]).reshape(5, -1)
    assert np.array_equal(dequantize_int4(nibbles, scale, 2 * GROUP).numpy(), expected)
    assert {int((packed % 16).min()), int((packed // 16).max())} <= set(range(1, 16))


def test_int4_fits_no_worse_than_scaling_to_the_largest() -> None:
    w = weight(16, 4 * GROUP)
    fitted = dequantize_int4(*quantize_int4(w), w.shape[1])
    groups = w.view(16, -1, GROUP)
    step = groups.abs().amax(-1, keepdim=True) / 7
    plain = ((groups / step).round() * step).view_as(w)
    assert (fitted - w).square().sum() < 0.95 * (plain - w).square().sum()


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_odd_widths_come_back_whole(kind: str, columns: int) -> None:
    w = weight(7, columns)
    matrix = QuantizedMatrix(w, kind, torch.float32)
    restored = matrix.rows(slice(None))
    assert restored.shape == w.shape
    assert (restored - w).norm() < (0.01 if kind == "int8" else 0.15) * w.norm()


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_row_of_zeros_stays_zero(kind: str) -> None:
    w = weight(3, 64)
    w[1] = 0
    assert not QuantizedMatrix(w, kind, torch.float32).rows(slice(1, 2)).any()


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("shape", [(64,), (2, 64), (2, 3, 64)])
def test_products_are_those_of_the_rounded_weight(kind: str, shape: tuple[int, ...]) -> None:
    matrix = QuantizedMatrix(weight(9000, 64), kind, torch.float32)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = x.double() @ matrix.rows(slice(None)).double().T
    assert matrix(x).shape == (*shape[:-1], 9000)
    assert (matrix(x) - expected).norm() < 1e-6 * expected.norm()


def test_products_run_in_the_wanted_type() -> None:
    w, x = weight(40, 64), torch.randn(3, 64)
    rough, exact = (QuantizedMatrix(w, "int8", d)(x) for d in (torch.bfloat16, torch.float32))
    assert rough.dtype == torch.float32
    assert 1e-4 < (rough - exact).norm() / exact.norm() < 0.02


def test_scales_of_int4_fit_into_a_byte_below_their_rows_largest() -> None:
    w = weight(40, 30 * GROUP) * 2.0 ** -torch.arange(30).repeat_interleave(GROUP)
    w[0] *= 1e9
    w[1] *= 1e-9
    nibbles, scale = quantize_int4(w)
    mantissa, exponent = torch.frexp(scale.float())
    assert torch.equal(mantissa * 32, (mantissa * 32).round())
    assert (exponent.amax(1) - exponent.amin(1) <= 15).all()
    assert (scale[2:].float().amax(1) > w[2:].abs().amax(1) * 0.65 / 7).all()
    assert float(scale.amax()) == LARGEST_SCALE
    assert float(scale.amin()) == LEAST_SCALE
    # What is too small for its row's scales is nothing: it never costs more than the largest.
    error = (dequantize_int4(nibbles, scale, w.shape[1]) - w)[2:].abs().view(38, -1, GROUP)
    largest = w[2:].abs().view(38, -1, GROUP).amax(-1)
    row = largest.amax(1, keepdim=True)
    assert (error.amax(-1) <= 0.32 * largest + row / 7 * 2.0**-14 + LEAST_SCALE).all()
