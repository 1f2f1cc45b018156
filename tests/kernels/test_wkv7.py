"""Every backend of wkv7 against its float64 reference: outputs, states, gradients, measures."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels import operators
from kernels.build import BuildError, default_cache
from kernels.cpu_library import HEAD_SIZES, CpuLibrary, cpu_library
from kernels.reference import MEASURES
from tests.references import rwkv7_float64
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("two_threads")
SHAPES = [(1, 1, 1), (1, 17, 3), (2, 16, 2), (3, 63, 1), (2, 100, 3)]


def shape_id(shape: tuple[int, int, int]) -> str:
    return "B{}-T{}-H{}".format(*shape)


def draw_inputs(B: int, T: int, H: int, N: int) -> list[Tensor]:
    """r, log_decay, k, v, kk, a and a state that is not zero."""
    r, k, v, kk = (torch.randn(B, T, H, N) for _ in range(4))
    log_decay, a = -0.6065 * torch.rand(B, T, H, N), torch.rand(B, T, H, N)
    kk = torch.nn.functional.normalize(kk, dim=-1)
    return [r, log_decay, k, v, kk, a, torch.randn(B, H, N, N)]


def compiled() -> operators.Operator:
    operator = operators.select_wkv7(64)
    if operator.name != "C++":
        pytest.skip(operator.reason)
    return operator


def library() -> CpuLibrary:
    try:
        return cpu_library(default_cache())[0]
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["torch", "C++"])
def operator(request: pytest.FixtureRequest) -> operators.Operator:
    return compiled() if request.param == "C++" else operators.torch_wkv7("for the test")


def run(operator: operators.Operator, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        y, state = operator.run(*inputs)
    return y, state


@pytest.mark.parametrize("N", HEAD_SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_outputs_equal_the_float64_reference(
    operator: operators.Operator, shape: tuple[int, int, int], N: int
) -> None:
    inputs = draw_inputs(*shape, N)
    y, state = run(operator, inputs)
    expected_y, expected_state = rwkv7_float64.recurrence(*(x.double().numpy() for x in inputs))
    scale = float(np.abs(expected_y).max())
    assert_close(y / scale, expected_y / scale, torch.float32)
    assert_close(state, expected_state, torch.float32)


@pytest.mark.parametrize("N", HEAD_SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_all_seven_gradients_equal_the_float64_reference(
    operator: operators.Operator, shape: tuple[int, int, int], N: int
) -> None:
    inputs = [x.requires_grad_() for x in draw_inputs(*shape, N)]
    y, state = operator.run(*inputs)
    grad_y, grad_state = torch.randn_like(y), torch.randn_like(state)
    actual = torch.autograd.grad((y, state), inputs, (grad_y, grad_state))
    arrays = [x.detach().double().numpy() for x in (*inputs, grad_y, grad_state)]
    expected = rwkv7_float64.recurrence_backward(*arrays)
    for mine, theirs in zip(actual, expected, strict=True):
        scale = float(np.abs(theirs).max())
        assert_close(mine / scale, theirs / scale, torch.float32)


def test_measures_equal_the_norms_of_every_state_its_change_and_parts(
    operator: operators.Operator,
) -> None:
    inputs = draw_inputs(2, 21, 3, 64)
    with torch.no_grad():
        _, last, measures = operator.run_measured(*inputs)
    state = inputs[6].double()
    for t in range(21):
        _, log_decay, k, v, kk, a = (x[:, t].double() for x in inputs[:6])
        fade = state * (1 - log_decay.exp()[:, :, None])
        erase = (state @ kk[..., None]) * (kk * a)[:, :, None]
        write = v[..., None] * k[:, :, None]
        after = state - fade - erase + write
        parts = (after, after - state, fade, erase, write)
        expected = torch.stack([x.square().sum((-2, -1)) for x in parts], -1)
        # Squares of norms near 100.
        assert_close(measures[:, t] / 1e4, expected / 1e4, torch.float32)
        state = after
    assert_close(last, state, torch.float32)


@pytest.mark.parametrize("split", [1, 15, 16, 17, 32, 39])
def test_a_text_in_two_pieces_gives_the_same_as_at_once(
    operator: operators.Operator, split: int
) -> None:
    inputs = draw_inputs(2, 40, 2, 64)
    y, state = run(operator, inputs)
    first_y, middle = run(operator, [x[:, :split] for x in inputs[:6]] + [inputs[6]])
    second_y, last = run(operator, [x[:, split:] for x in inputs[:6]] + [middle])
    assert_close(torch.cat([first_y, second_y], 1) / 30, y / 30, torch.float32)
    assert_close(last, state, torch.float32)


def test_inputs_stay_as_they_were(operator: operators.Operator) -> None:
    inputs = draw_inputs(2, 5, 2, 64)
    copies = [x.clone() for x in inputs]
    run(operator, inputs)
    for mine, before in zip(inputs, copies, strict=True):
        assert torch.equal(mine, before)


def test_strided_and_bf16_inputs_are_understood(operator: operators.Operator) -> None:
    inputs = draw_inputs(2, 9, 3, 64)
    rounded = [x.bfloat16() for x in inputs[:6]]
    expected, _ = run(operator, [*(x.float() for x in rounded), inputs[6]])
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in rounded]
    actual, _ = run(operator, [*strided, inputs[6]])
    assert torch.equal(actual.float(), expected)


def test_the_strongest_decay_and_no_decay_stay_finite_and_exact(
    operator: operators.Operator,
) -> None:
    inputs = draw_inputs(1, 30, 1, 64)
    inputs[1] = torch.where(torch.rand(1, 30, 1, 64) < 0.5, 0.0, -200.0)
    y, state = run(operator, inputs)
    expected_y, expected = rwkv7_float64.recurrence(*(x.double().numpy() for x in inputs))
    assert_close(y / 30, expected_y / 30, torch.float32)
    assert_close(state, expected, torch.float32)


def test_nan_in_is_nan_out(operator: operators.Operator) -> None:
    inputs = draw_inputs(1, 4, 1, 64)
    inputs[2][0, 1, 0, 3] = float("nan")
    y, _ = run(operator, inputs)
    assert torch.isfinite(y[0, 0]).all()
    assert torch.isnan(y[0, 1:]).any()


def test_the_compiled_kernel_writes_only_inside_its_buffers() -> None:
    cpp, (B, T, H, N), edge = library(), (2, 19, 3, 64), 64
    inputs = draw_inputs(B, T, H, N)

    def guarded(*shape: int) -> tuple[Tensor, Tensor]:
        """A buffer, and the larger one around it, filled with a known number."""
        size = int(np.prod(shape))
        around = torch.full((size + 2 * edge,), 12345.0)
        return around[edge : edge + size].view(shape), around

    spans = -(-T // cpp.span)
    vectors = (B, T, H, N)
    state, y = guarded(B, H, N, N), guarded(*vectors)
    kept, sa, measures = (
        guarded(B, H, spans, N, N),
        guarded(*vectors),
        guarded(B, T, H, MEASURES),
    )
    grads = [guarded(*vectors) for _ in range(6)]
    state[0].copy_(inputs[6])
    pointers = [x.data_ptr() for x in (*inputs[:6], state[0], y[0], kept[0], sa[0], measures[0])]
    cpp._forward(*pointers, B, T, H, N, 2)
    grad_y = torch.randn(vectors)
    tensors = (*inputs[:6], kept[0], sa[0], grad_y, state[0], *(grad for grad, _ in grads))
    cpp._backward(*(x.data_ptr() for x in tensors), B, T, H, N, 2)
    for inside, around in (state, y, kept, sa, measures, *grads):
        assert (around[:edge] == 12345).all()
        assert (around[-edge:] == 12345).all()
        assert not (inside == 12345).any()


def test_one_thread_gives_the_same_bits_as_two() -> None:
    operator, inputs = compiled(), draw_inputs(3, 33, 5, 64)
    y, state = run(operator, inputs)
    torch.set_num_threads(1)
    alone = run(operator, inputs)
    assert torch.equal(y, alone[0])
    assert torch.equal(state, alone[1])


def test_torch_compile_sees_through_the_operator() -> None:
    operator = compiled()
    inputs = draw_inputs(1, 5, 1, 64)
    torch.library.opcheck(
        torch.ops.rwkv_kernels.wkv7.default,
        tuple(inputs),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )
    assert operator.reason


def test_a_head_size_without_code_runs_on_torch_and_says_so() -> None:
    operator = operators.select_wkv7(40)
    assert operator.name == "torch"
    assert "40" in operator.reason
    y, _ = run(operator, draw_inputs(1, 3, 1, 40))
    assert torch.isfinite(y).all()
    assert astuple(operator)[1] == operator.reason
