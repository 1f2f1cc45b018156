"""Steps of a plan against the same in torch: odd sizes, several tokens, states, what is read."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels import reference
from kernels.build import BuildError, default_cache
from kernels.cpu_library import HEAD_SIZES
from kernels.packed import FORMATS, PackedFormat, packed_library
from kernels.plan import Activation, Plan
from kernels.plan_memory import LANES
from kernels.plan_parts import StoredMatrix, Value
from kernels.program import Program
from rwkv_core.models.packed import pack
from tests.packed_products import DEFINITIONS, assert_product_close

C = 96  # a block of 64 channels, and half of one
N = 32


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    try:
        packed_library(default_cache())
    except BuildError as error:
        pytest.skip(str(error))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def identity(size: int) -> StoredMatrix:
    return pack(torch.eye(size), "fp32", threads=1).weight


State = tuple[Tensor, ...]
Build = Callable[..., Value]
EMPTY = torch.zeros(1, 1, C), torch.zeros(1, 1, C // N, N, N), torch.zeros(1, 1, C)


def run(
    build: Build,
    *inputs: Tensor,
    B: int = 1,
    space: str = "blocks",
    channels: int = C,
    head_size: int = N,
    state: State | None = None,
    threads: int = 2,
) -> tuple[Tensor, State]:
    """Run one step on inputs (B T, size); what it makes leaves through a product with 1."""
    p = Plan(channels, head_size)
    with p.rows():
        values = [p.embed(table) for table in inputs]
    with getattr(p, space)():
        out = build(p, *values)
    with p.products():
        p.logits(identity(out.size), out)
    rows = len(inputs[0])
    ids = torch.arange(rows).view(B, -1)
    if state is None:
        state = draw(1, B, channels), draw(1, B, channels // N, N, N), draw(1, B, channels)
    made, after, _ = Program(p, threads=threads).run(ids, state, all_logits=True)
    return made.view(rows, -1), after


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=2e-5, atol=2e-6)


SIMPLE: dict[str, tuple[Build, Callable[..., Tensor], int]] = {
    "multiply": (lambda p, a, b: p.multiply(a, b), lambda a, b: a * b, 2),
    "lerp": (lambda p, a, b, c: p.lerp(a, b, c), lambda a, b, c: torch.lerp(a, b, c), 3),
    "mix": (
        lambda p, a, b: p.mix(a, b, draw(1, 1, C)),
        lambda a, b: a + b * draw(C),
        2,
    ),
    "mix_more": (
        lambda p, a, b, c: p.mix(a, b, draw(C), c),
        lambda a, b, c: a + b * (draw(C) + c),
        3,
    ),
    "normalize": (
        lambda p, a: p.normalize(a),
        lambda a: F.normalize(a.view(-1, C // N, N), dim=-1).flatten(1),
        1,
    ),
    "bonus": (
        lambda p, y, r, k, v: p.add_bonus(y, r, k, v, draw(C // N, N)),
        lambda y, r, k, v: (
            y + (r * k * draw(C)).view(-1, C // N, N).sum(-1).repeat_interleave(N, 1) * v
        ),
        4,
    ),
}


@pytest.mark.parametrize("rows", [1, 2, 33, 70])
@pytest.mark.parametrize("name", SIMPLE)
def test_a_step_equals_torch(name: str, rows: int) -> None:
    build, define, count = SIMPLE[name]
    inputs = [draw(rows, C, seed=seed + 1) for seed in range(count)]
    assert_close(run(build, *inputs)[0], define(*inputs))


def test_a_head_of_zeros_is_normalized_to_zeros() -> None:
    assert (run(lambda p, a: p.normalize(a), torch.zeros(1, C))[0] == 0).all()


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "silu": F.silu,
    "squared_relu": lambda x: torch.relu(x).square(),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_equal_torchs_over_their_whole_range(activation: Activation) -> None:
    x = torch.cat([torch.linspace(-100, 85, 20 * C), torch.logspace(-6, 1, C)]).view(-1, C)
    found, _ = run(lambda p, a: p.affine(a, activation), x)
    torch.testing.assert_close(found, ACTIVATIONS[activation](x), rtol=1e-6, atol=1e-35)


def test_affine_multiplies_adds_activates_and_scales() -> None:
    x, times, plus = draw(3, C), draw(C, seed=1), draw(C, seed=2)
    found, _ = run(lambda p, a: p.affine(a, "tanh", times=times, plus=plus, scale=-0.5), x)
    assert_close(found, -0.5 * torch.tanh(x * times + plus))


@pytest.mark.parametrize("size", [1, 7, 40, 96, 130])
def test_layer_norm_equals_torchs_at_odd_sizes(size: int) -> None:
    norm, x = nn.LayerNorm(size), draw(5, size) * 3 + 2
    norm.weight.data, norm.bias.data = draw(size, seed=1), draw(size, seed=2)
    found, _ = run(lambda p, a: p.layer_norm(a, norm), x, space="rows")
    assert_close(found, norm(x).detach())


def test_group_norm_equals_torchs() -> None:
    norm, x = nn.GroupNorm(C // N, C, eps=64e-5), draw(5, C) * 3 + 2
    norm.weight.data, norm.bias.data = draw(C, seed=1), draw(C, seed=2)
    assert_close(run(lambda p, a: p.group_norm(a, norm), x)[0], norm(x).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 13, 96])
def test_rows_are_looked_up_in_every_dtype(dtype: torch.dtype, size: int) -> None:
    table = draw(9, size).to(dtype)
    p = Plan(C, N)
    with p.rows():
        x = p.embed(table)
    with p.products():
        p.logits(identity(size), x)
    ids = torch.tensor([[8, 0, 8, 3]])
    found, *_ = Program(p, threads=1).run(ids, EMPTY, all_logits=True)
    assert torch.equal(found[0], table[ids[0]].float())


@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 1), (1, 40), (2, 9)])
@pytest.mark.parametrize("channels", [40, 96])
def test_a_shift_reads_the_state_then_the_token_before(B: int, T: int, channels: int) -> None:
    x = draw(B * T, channels)
    state = draw(1, B, channels, seed=3), torch.zeros(1, B, 1, N, N), draw(1, B, channels, seed=4)
    for which, index in (("time_mix", 0), ("channel_mix", 2)):
        found, after = run(
            lambda p, a, which=which: p.shift(a, 0, which),
            x,
            B=B,
            space="rows",
            channels=channels,
            state=state,
        )
        whole = torch.cat([state[index][0][:, None], x.view(B, T, -1)], 1)
        assert_close(found.view(B, T, -1), whole[:, :-1] - whole[:, 1:])
        assert torch.equal(after[index][0], whole[:, -1])


def heads(x: Tensor, B: int, head_size: int) -> Tensor:
    return x.view(B, -1, x.shape[1] // head_size, head_size)


@pytest.mark.parametrize("size", HEAD_SIZES)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 1), (1, 70), (2, 33)])
def test_wkv7_equals_its_definition(size: int, B: int, T: int) -> None:
    r, decay, k, v, kk, a = (draw(B * T, 128, seed=seed) for seed in range(6))
    decay = -0.606531 * torch.sigmoid(decay)
    decay[:, ::3] = -0.606531  # of all tokens, the most that there is
    inputs = [r, decay, k, v, F.normalize(kk) * 0.3, torch.sigmoid(a)]
    S = draw(1, B, 128 // size, size, size)
    state = torch.zeros(1, B, 128), S, torch.zeros(1, B, 128)

    def build(p: Plan, r: Value, w: Value, k: Value, v: Value, kk: Value, a: Value) -> Value:
        return p.wkv7(r, w, k, v, kk, a, 0)

    found, after = run(build, *inputs, B=B, channels=128, head_size=size, state=state)
    kept = S.clone()
    r, decay, k, v, kk, a = (heads(x, B, size) for x in inputs)
    y, expected = reference.wkv7(r, decay, k, v, kk, a, S[0])
    torch.testing.assert_close(found, y.reshape(B * T, -1), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(after[1][0], expected, rtol=1e-4, atol=2e-5)
    assert torch.equal(S, kept)


@pytest.mark.parametrize("size", HEAD_SIZES)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 1), (1, 70), (2, 33)])
@pytest.mark.parametrize("is_constant", [True, False])
def test_wkv6_equals_its_definition(size: int, B: int, T: int, is_constant: bool) -> None:
    r, k, v, raw = (draw(B * T, 128, seed=seed) for seed in range(4))
    u, S = draw(128, seed=5), draw(1, B, 128 // size, size, size)
    decay = -raw.exp()
    state = torch.zeros(1, B, 128), S, torch.zeros(1, B, 128)

    def build(p: Plan, r: Value, k: Value, v: Value, w: Value) -> Value:
        return p.wkv6(r, decay[0] if is_constant else w, k, v, u, 0)

    found, after = run(build, r, k, v, decay, B=B, channels=128, head_size=size, state=state)
    r, k, v = (heads(x, B, size) for x in (r, k, v))
    decay = decay[0].view(-1, size) if is_constant else heads(decay, B, size)
    y, expected = reference.wkv6(r, decay, k, v, u.view(-1, size), S[0])
    torch.testing.assert_close(found, y.reshape(B * T, -1), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(after[1][0], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("channels", [40, 96])
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 1), (1, 70), (2, 33)])
def test_wkv4_equals_its_definition(channels: int, B: int, T: int) -> None:
    k, v = (draw(B * T, channels, seed=seed) for seed in range(2))
    decay, u = -draw(channels).exp(), draw(channels, seed=5)
    S = draw(1, B, 3, channels)
    S[:, :, 1] = S[:, :, 1].abs()
    state = torch.zeros(1, B, channels), S, torch.zeros(1, B, channels)
    found, after = run(
        lambda p, k, v: p.wkv4(decay, u, k, v, 0), k, v, B=B, channels=channels, state=state
    )
    y, expected = reference.wkv4(decay, u, k.view(B, T, -1), v.view(B, T, -1), S[0])
    torch.testing.assert_close(found, y.reshape(B * T, -1), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(after[1][0], expected, rtol=1e-4, atol=2e-5)


def test_each_token_is_multiplied_by_its_own_matrix() -> None:
    x, matrices = draw(3, 5), draw(3, 25)
    found, _ = run(lambda p, a, b: p.row_product(a, b), x, matrices, space="rows")
    assert_close(found, torch.einsum("mi,mij->mj", x, matrices.view(3, 5, 5)))


@pytest.mark.parametrize("rows", [1, 2, 300])
def test_a_product_is_activated_scaled_and_added(rows: int) -> None:
    weight, x = draw(70, C), draw(rows, C, seed=1)
    factor, start = draw(rows, 70, seed=2), draw(rows, 70, seed=3)
    packed = pack(weight, "fp32", threads=1).weight

    def build(p: Plan, x: Value, factor: Value, start: Value) -> Value:
        return p.product(packed, x, "sigmoid", factor=factor, add_to=start)

    found, _ = run(build, x, factor, start, space="products")
    assert_close(found, start + torch.sigmoid(x @ weight.T) * factor)


@pytest.mark.parametrize("columns", [20, 64, 600])
@pytest.mark.parametrize("format", ["fp32", "bf12", "bf12_rounded", "int8", "int4"])
@pytest.mark.parametrize("rows", [1, 70])
def test_products_in_blocks_are_of_rounded_inputs_too(
    format: PackedFormat, columns: int, rows: int
) -> None:
    first, second = draw(columns, C), draw(C, columns, seed=2)
    one, two = pack(first, "fp32", threads=1).weight, pack(second, format, threads=1).weight
    x = draw(rows, C, seed=1)
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
    with p.products():
        hidden = p.product(one, value)
    with p.blocks():
        out = p.product(two, hidden)
    with p.products():
        p.logits(identity(C), out)
    found = Program(p, threads=2).run(torch.arange(rows)[None], EMPTY, all_logits=True).logits
    assert_product_close(found[0], two, second, one.multiply(x))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("columns", [200, 699])  # inputs of int8 have scales for 32 or 256 each
def test_weights_of_many_zero_inputs_are_not_read(
    format: PackedFormat, zeros: float, columns: int
) -> None:
    weight, x = draw(70, columns), draw(1, columns, seed=1)
    is_zero = torch.rand(columns, generator=torch.Generator().manual_seed(2)) < zeros
    x[:, is_zero] = 0
    plain = pack(weight, format, threads=1)
    poisoned = weight.clone()
    is_skipped = bool(is_zero.float().mean() > plain.weight.skipped_from)
    assert is_skipped or zeros <= 0.9
    if "int" not in format and is_skipped:
        poisoned[:, is_zero] = torch.nan
    packed = pack(poisoned, format, threads=1).weight
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
        nonzero = p.nonzero(value, plain.weight)
    with p.products():
        out = p.product(packed, value, nonzero=nonzero)
    with p.products():
        p.logits(identity(70), out)
    found, *_ = Program(p, threads=1).run(torch.tensor([[0]]), EMPTY, all_logits=False)
    # Sums in another order.
    magnitude, expected = x.abs() @ weight.abs().T, plain(x)
    if format == "int4_columns" and is_skipped:
        # Inputs are not rounded then, and nibbles of 0 to 15 multiplied before 8 is taken off.
        magnitude, expected = 4 * magnitude, x @ DEFINITIONS[format](weight).T
    assert ((found - expected).abs() <= 3e-7 * magnitude).all()


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("tokens", [1, 3, 300])
def test_a_run_says_whether_its_logits_are_finite(value: float, tokens: int) -> None:
    table = draw(300, C)
    table[tokens - 1, -1] = value
    p = Plan(C, N)
    with p.rows():
        x = p.embed(table)
    with p.products():
        p.logits(identity(C), x)
    outcome = Program(p, threads=2).run(torch.arange(tokens)[None], EMPTY, all_logits=True)
    assert outcome.is_finite == math.isfinite(value)


@pytest.mark.parametrize("threads", [1, 3])
def test_values_that_are_done_with_lend_their_memory(threads: int) -> None:
    """A long chain needs no more memory than a short one, and spoils nothing."""
    p = Plan(C, N)
    x = draw(4, C)
    with p.rows():
        value = p.embed(x)
    expected, sizes = x, []
    for seed in range(20):
        weight = draw(C, C, seed=seed) / C**0.5
        with p.products():
            value = p.product(pack(weight, "fp32", threads=1).weight, value)
        expected = expected @ weight.T
        sizes.append(p.slots()[1])
    with p.products():
        p.logits(identity(C), value)
    assert all(after == before for before, after in pairwise(sizes[1:]))
    found, *_ = Program(p, threads=threads).run(torch.arange(4)[None], EMPTY, all_logits=True)
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("count", [3, 40])  # the second more than a thread has room for
def test_what_only_a_block_sees_lies_in_its_threads_memory(count: int) -> None:
    p, x = Plan(C, N), draw(70, C)
    with p.rows():
        start = p.embed(x)
    with p.blocks():
        made = [p.affine(start, scale=1.0 + n) for n in range(count)]
        total = made[0]
        for value in reversed(made[1:]):
            total = p.lerp(total, value, start)
    with p.products():
        p.logits(identity(C), total)
    expected = x
    for n in reversed(range(1, count)):
        expected = torch.lerp(expected, x * (1.0 + n), x)
    found, *_ = Program(p, threads=3).run(torch.arange(70)[None], EMPTY, all_logits=True)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-4)

    room = packed_library(default_cache())[0].room
    slots, outside = p.slots(room)
    inside = [slot.offset for slot in slots if slot.offset < 0]
    # One more than there are terms: a sum is made while both its parts are there.
    assert len(set(inside)) == min(count + 1, room.floats // room.rows["blocks"] // (64 + LANES))
    assert outside == p.slots()[1] - len(inside) * (C + LANES)


def test_logits_of_the_last_token_or_of_all() -> None:
    table = draw(12, C)
    p = Plan(C, N)
    with p.rows():
        x = p.embed(table)
    with p.products():
        p.logits(identity(C), x)
    ids = torch.arange(12).view(3, 4)
    empty = torch.zeros(1, 3, C), torch.zeros(1, 3, 3, N, N), torch.zeros(1, 3, C)
    program = Program(p, threads=2)
    every, *_ = program.run(ids, empty, all_logits=True)
    last, *_ = program.run(ids, empty, all_logits=False)
    assert torch.equal(every, table[ids])
    assert torch.equal(last, every[:, -1])
