"""The recurrences' CUDA code, run by the emulator, against their definitions."""

from collections.abc import Generator

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels import reference
from kernels.cpu_library import HEAD_SIZES
from kernels.cuda import wkv
from kernels.cuda.device import Device
from tests.kernels.cuda.cases import draw_wkv4, draw_wkv6, draw_wkv7
from tests.references import rwkv7_float64
from tests.tolerances import assert_close

# N and T on both sides of where pieces end (16 tokens for N of 16, 8, 8, 4) and spans of 16.
ENDS = [(16, 15), (16, 16), (16, 33), (32, 7), (32, 8), (64, 3), (64, 9), (64, 33), (128, 4)]
ENDS += [(128, 5)]

# B, T, H: one token, an odd number of them, whole and broken spans, several sequences.
SHAPES = [(1, 1, 1), (2, 17, 3), (1, 37, 2), (3, 16, 1)]


def forward7(device: Device, x: list[Tensor], *, keep: bool = False) -> tuple[Tensor, ...]:
    return wkv.wkv7_forward(device, tuple(x[:6]), x[6], keep=keep, measure=False)


def grads7(device: Device, x: list[Tensor]) -> tuple[Tensor, ...]:
    """All seven, of the sum of y squared and of the last state."""
    y, state, kept, sa, _ = forward7(device, x, keep=True)
    return wkv.wkv7_backward(device, tuple(x[:6]), kept, sa, 2 * y, torch.ones_like(state))


@pytest.fixture
def poisoned() -> Generator[None]:
    """Memory that nobody has written is NaN, so that a number left out shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("N", "T"), ENDS)
def test_every_token_is_read_and_written_wherever_pieces_end(
    emulated: Device, N: int, T: int
) -> None:
    inputs = draw_wkv7(1, T, 1, N)
    arrays = [x.double().numpy() for x in inputs]
    y, state = rwkv7_float64.recurrence(*arrays)
    grads = rwkv7_float64.recurrence_backward(*[*arrays, 2 * y, np.ones_like(state)])
    made = (*forward7(emulated, inputs)[:2], *grads7(emulated, inputs))
    for mine, theirs in zip(made, (y, state, *grads), strict=True):
        scale = float(np.abs(theirs).max())
        assert_close(mine / scale, theirs / scale, torch.float32)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("N", "T"), [(16, 16), (32, 9), (128, 9)])
def test_every_token_of_the_older_generations_too(emulated: Device, N: int, T: int) -> None:
    six, four = draw_wkv6(1, T, 2, N), draw_wkv4(1, T, 2 * N)
    made6 = wkv.wkv6_forward(emulated, tuple(six[:-1]), six[-1], measure=True)
    made4 = wkv.wkv4_forward(emulated, tuple(four[:-1]), four[-1], measure=True)
    expected = *reference.wkv6_measured(*six), *reference.wkv4_measured(*four)
    for mine, theirs in zip((*made6, *made4), expected, strict=True):
        scale = float(theirs.abs().max())
        assert_close(mine / scale, theirs / scale, torch.float32)


def test_vectors_that_begin_anywhere_are_moved_to_where_four_are_read_at_once(
    emulated: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = draw_wkv7(1, 3, 1, 64)
    expected = forward7(emulated, inputs)
    launch = emulated.launch
    starts: list[int] = []

    def noted(*given: object) -> None:
        starts.extend(x.data_ptr() % 16 for x in given if isinstance(x, Tensor))
        launch(*given)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(emulated, "launch", noted)
    for i, x in enumerate(inputs):
        inputs[i] = torch.cat([torch.zeros(1), x.flatten()])[1:].view(x.shape)
    assert torch.equal(forward7(emulated, inputs)[0], expected[0])
    assert len(starts) == 9
    assert not any(starts)


@pytest.mark.parametrize("N", HEAD_SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_wkv7_equals_the_float64_reference(
    emulated: Device, shape: tuple[int, int, int], N: int
) -> None:
    inputs = draw_wkv7(*shape, N)
    y, state, *_ = forward7(emulated, inputs)
    expected_y, expected_state = rwkv7_float64.recurrence(*(x.double().numpy() for x in inputs))
    scale = float(np.abs(expected_y).max())
    assert_close(y / scale, expected_y / scale, torch.float32)
    assert_close(state, expected_state, torch.float32)


@pytest.mark.parametrize(
    ("shape", "N"), [((2, 37, 2), 64), ((1, 1, 1), 64), ((2, 21, 2), 16), ((1, 19, 1), 128)]
)
def test_all_seven_gradients_equal_the_float64_reference(
    emulated: Device, shape: tuple[int, int, int], N: int
) -> None:
    inputs = draw_wkv7(*shape, N)
    y, state, kept, sa, _ = forward7(emulated, inputs, keep=True)
    grad_y, grad_state = torch.randn_like(y), torch.randn_like(state)
    actual = wkv.wkv7_backward(emulated, tuple(inputs[:6]), kept, sa, grad_y, grad_state)
    arrays = [x.double().numpy() for x in (*inputs, grad_y, grad_state)]
    expected = rwkv7_float64.recurrence_backward(*arrays)
    for mine, theirs in zip(actual, expected, strict=True):
        scale = float(np.abs(theirs).max())
        assert_close(mine / scale, theirs / scale, torch.float32)


def test_gradients_survive_decays_that_forget_everything(emulated: Device) -> None:
    inputs = draw_wkv7(1, 21, 1, 64)
    inputs[1] = torch.where(torch.rand(1, 21, 1, 64) < 0.5, 0.0, -200.0)
    y, state, kept, sa, _ = forward7(emulated, inputs, keep=True)
    given = tuple(inputs[:6]), kept, sa, torch.ones_like(y), torch.ones_like(state)
    actual = wkv.wkv7_backward(emulated, *given)
    arrays = [x.double().numpy() for x in (*inputs, given[3], given[4])]
    for mine, theirs in zip(actual, rwkv7_float64.recurrence_backward(*arrays), strict=True):
        scale = float(np.abs(theirs).max())
        assert_close(mine / scale, theirs / scale, torch.float32)


@pytest.mark.parametrize("N", HEAD_SIZES)
@pytest.mark.parametrize("is_constant", [True, False])
def test_wkv6_equals_its_definition(emulated: Device, N: int, is_constant: bool) -> None:
    drawn = draw_wkv6(2, 19, 3, N, is_constant=is_constant)
    *inputs, state = drawn
    y, after, measures = wkv.wkv6_forward(emulated, tuple(inputs), state, measure=True)
    expected = reference.wkv6_measured(*drawn)
    for mine, theirs in zip((y, after, measures), expected, strict=True):
        scale = float(theirs.abs().max())
        assert_close(mine / scale, theirs / scale, torch.float32)
    plain = wkv.wkv6_forward(emulated, tuple(inputs), state, measure=False)
    assert torch.equal(plain[0], y)
    assert plain[2].numel() == 0


@pytest.mark.parametrize("C", [16, 128, 200])
def test_wkv4_equals_its_definition(emulated: Device, C: int) -> None:
    drawn = draw_wkv4(2, 13, C)
    *inputs, state = drawn
    y, after, measures = wkv.wkv4_forward(emulated, tuple(inputs), state, measure=True)
    expected = reference.wkv4_measured(*drawn)
    for mine, theirs in zip((y, after, measures), expected, strict=True):
        scale = float(theirs.abs().max())
        assert_close(mine / scale, theirs / scale, torch.float32)
    assert torch.equal(wkv.wkv4_forward(emulated, tuple(inputs), state, measure=False)[0], y)


def test_wkv4_starts_from_a_state_that_has_read_nothing(emulated: Device) -> None:
    drawn = draw_wkv4(1, 3, 40)
    *inputs, state = drawn
    state[:] = torch.tensor([0.0, 0.0, -1e30])[None, :, None]
    y, *_ = wkv.wkv4_forward(emulated, tuple(inputs), state, measure=True)
    assert_close(y, reference.wkv4(*drawn)[0], torch.float32)


def test_measures_of_wkv7_equal_their_definition(emulated: Device) -> None:
    inputs = draw_wkv7(2, 9, 3, 64)
    made = wkv.wkv7_forward(emulated, tuple(inputs[:6]), inputs[6], keep=False, measure=True)
    # Squares of norms near 100.
    assert_close(made[4] / 1e4, reference.wkv7_measured(*inputs)[2] / 1e4, torch.float32)


def test_inputs_of_16_bits_are_read_as_they_are(emulated: Device) -> None:
    seven = [x.half() for x in draw_wkv7(1, 5, 2, 16)[:6]]
    # Numbers too small for fp16's normal ones, and its largest.
    seven[3][0, 0, 0, :4] = torch.tensor([1e-7, -3e-6, 65504, -0.0]).half()
    state = torch.randn(1, 2, 16, 16)
    rounded = forward7(emulated, [*seven, state])
    floats = [*(x.float() for x in seven), state]
    assert torch.equal(rounded[0], forward7(emulated, floats)[0])
    pairs = zip(grads7(emulated, [*seven, state]), grads7(emulated, floats), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    *six, u, state = draw_wkv6(1, 5, 2, 16)
    six = [x.bfloat16() for x in six]
    expected = wkv.wkv6_forward(emulated, (*(x.float() for x in six), u), state, measure=False)
    given = wkv.wkv6_forward(emulated, (*six, u), state, measure=False)
    assert torch.equal(given[0], expected[0])
    decay, u, k, v, state = draw_wkv4(1, 5, 40)
    k, v = k.half(), v.half()
    expected = wkv.wkv4_forward(emulated, (decay, u, k.float(), v.float()), state, measure=False)
    given = wkv.wkv4_forward(emulated, (decay, u, k, v), state, measure=False)
    assert torch.equal(given[0], expected[0])


def test_inputs_of_several_types_and_strides_are_understood(emulated: Device) -> None:
    inputs = draw_wkv7(2, 9, 3, 64)
    inputs[0] = inputs[0].bfloat16()
    expected = forward7(emulated, [inputs[0].float(), *inputs[1:]])
    inputs[2] = inputs[2].transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(forward7(emulated, inputs)[0], expected[0])


@pytest.mark.parametrize("split", [1, 15, 16, 17])
def test_a_text_in_two_pieces_gives_the_same_bits_as_at_once(emulated: Device, split: int) -> None:
    inputs = draw_wkv7(2, 33, 2, 64)
    before = inputs[6].clone()
    y, state, *_ = forward7(emulated, inputs)
    first, middle, *_ = forward7(
        emulated, [x[:, :split].contiguous() for x in inputs[:6]] + [inputs[6]]
    )
    second, last, *_ = forward7(
        emulated, [x[:, split:].contiguous() for x in inputs[:6]] + [middle]
    )
    assert torch.equal(torch.cat([first, second], 1), y)
    assert torch.equal(last, state)
    assert torch.equal(inputs[6], before)


def test_no_tokens_leave_the_state(emulated: Device) -> None:
    inputs = draw_wkv7(2, 0, 1, 64)
    y, state, *_ = forward7(emulated, inputs)
    assert y.shape == (2, 0, 1, 64)
    assert torch.equal(state, inputs[6])
    assert torch.equal(grads7(emulated, inputs)[6], torch.ones_like(state))


def test_results_do_not_depend_on_which_thread_runs_first(emulated: Device, order: int) -> None:
    """A missing barrier would show: shared memory begins as NaN, and threads change places."""
    # Three pieces, two spans.
    inputs = draw_wkv7(1, 19, 1, 32)
    y, state, kept, sa, _ = forward7(emulated, inputs, keep=True)
    assert_close(y, reference.wkv7(*inputs)[0], torch.float32)
    given = tuple(inputs[:6]), kept, sa, torch.ones_like(y), torch.ones_like(state)
    grads = wkv.wkv7_backward(emulated, *given)
    arrays = [x.double().numpy() for x in (*inputs, given[3], given[4])]
    for mine, theirs in zip(grads, rwkv7_float64.recurrence_backward(*arrays), strict=True):
        scale = float(np.abs(theirs).max())
        assert_close(mine / scale, theirs / scale, torch.float32)
    made = wkv.wkv7_forward(emulated, tuple(inputs[:6]), inputs[6], keep=False, measure=True)
    assert_close(made[4] / 1e3, reference.wkv7_measured(*inputs)[2] / 1e3, torch.float32)
    drawn = draw_wkv6(1, 19, 1, 32)
    *six, state = drawn
    measured = wkv.wkv6_forward(emulated, tuple(six), state, measure=True)
    assert_close(measured[0], reference.wkv6(*drawn)[0], torch.float32)
