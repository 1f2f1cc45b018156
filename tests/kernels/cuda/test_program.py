"""Steps of a plan as a GPU runs them, played by the CPU, against the same in torch."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.cuda import buckets, program
from kernels.cuda.device import Device
from kernels.cuda.layout import Layout, Way
from kernels.cuda.program import CudaProgram
from kernels.packed import PackedFormat
from kernels.plan import Activation, Plan
from kernels.plan_parts import Value
from tests.kernels.cuda.emulator import Emulator
from tests.kernels.cuda.test_matrix import meaning, pack

C, N = 96, 16
State = tuple[Tensor, Tensor, Tensor]
FORMATS = ["fp32", "fp16", "bf16", "int8", "int4"]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def empty_state(B: int, channels: int = C) -> State:
    shift = torch.zeros(1, B, channels)
    return shift, torch.zeros(1, B, channels // N, N, N), shift.clone()


def run(
    device: Device,
    build: Callable[..., Value],
    *inputs: Tensor,
    space: str = "blocks",
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Run one step on inputs (B, size); what it makes leaves through a product with 1."""
    p = Plan(C, N)
    with p.rows():
        values = [p.embed(table) for table in inputs]
    with getattr(p, space)():
        out = build(p, *values)
    with p.products():
        p.logits(pack(torch.eye(out.size), "fp32"), out)
    B = len(inputs[0])
    return CudaProgram(p, device).run(torch.arange(B), state or empty_state(B))


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=2e-5, atol=2e-6)


STEPS: dict[str, tuple[Callable[..., Value], Callable[..., Tensor], int]] = {
    "multiply": (lambda p, a, b: p.multiply(a, b), lambda a, b: a * b, 2),
    "lerp": (lambda p, a, b, c: p.lerp(a, b, c), lambda a, b, c: torch.lerp(a, b, c), 3),
    "mix": (lambda p, a, b: p.mix(a, b, draw(1, 1, C)), lambda a, b: a + b * draw(C), 2),
    "mix_more": (
        lambda p, a, b, c: p.mix(a, b, draw(C), c),
        lambda a, b, c: a + b * (draw(C) + c),
        3,
    ),
    "affine": (
        lambda p, a: p.affine(a, "tanh", times=draw(C), plus=draw(C, seed=9), scale=-0.5),
        lambda a: -0.5 * torch.tanh(a * draw(C) + draw(C, seed=9)),
        1,
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


@pytest.mark.parametrize("name", STEPS)
def test_a_step_equals_torch(emulated: Device, name: str) -> None:
    build, define, count = STEPS[name]
    inputs = [draw(3, C, seed=seed + 1) for seed in range(count)]
    assert_close(run(emulated, build, *inputs)[0], define(*inputs))


def test_norms_equal_torchs(emulated: Device) -> None:
    x = draw(3, C) * 3 + 2
    layer, group = nn.LayerNorm(C), nn.GroupNorm(C // N, C, eps=64e-5)
    for norm in (layer, group):
        norm.weight.data, norm.bias.data = draw(C, seed=1), draw(C, seed=2)
    assert_close(
        run(emulated, lambda p, a: p.layer_norm(a, layer), x, space="rows")[0], layer(x).detach()
    )
    assert_close(run(emulated, lambda p, a: p.group_norm(a, group), x)[0], group(x).detach())


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "silu": F.silu,
    "squared_relu": lambda x: torch.relu(x).square(),
}


def test_activations_equal_torchs_over_their_whole_range(emulated: Device) -> None:
    x = torch.cat([torch.linspace(-100, 85, C), torch.logspace(-6, 1, C)]).view(-1, C)
    for activation, define in ACTIVATIONS.items():
        found, _ = run(emulated, lambda p, a, name=activation: p.affine(a, name), x)
        torch.testing.assert_close(found, define(x), rtol=1e-6, atol=1e-35)


def test_nan_survives_a_squared_relu(emulated: Device) -> None:
    x = torch.full((1, C), torch.nan)
    assert run(emulated, lambda p, a: p.affine(a, "squared_relu"), x)[0].isnan().all()


def test_a_shift_reads_the_state_and_leaves_it(emulated: Device) -> None:
    x, state = (
        draw(3, C),
        (draw(1, 3, C, seed=3), torch.zeros(1, 3, 6, N, N), draw(1, 3, C, seed=4)),
    )
    for which, index in (("time_mix", 0), ("channel_mix", 2)):
        kept = state[index].clone()
        found, after = run(
            emulated,
            lambda p, a, which=which: p.shift(a, 0, which),
            x,
            space="rows",
            state=state,
        )
        assert_close(found, kept[0] - x)
        assert torch.equal(after[index][0], x)
        assert torch.equal(state[index], kept)


@pytest.mark.parametrize("B", [1, 3, 8, 11])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_a_product_equals_torchs(
    emulated: Device, format: PackedFormat, by_columns: bool, B: int
) -> None:
    weight, x = draw(70, 200), draw(B, 200, seed=1)
    x[:, ::2] = 0
    factor, start = draw(B, 70, seed=2), draw(B, 70, seed=3)
    matrix = pack(weight, format, by_columns=by_columns)

    def build(p: Plan, x: Value, factor: Value, start: Value) -> Value:
        return p.product(matrix, x, "sigmoid", factor=factor, add_to=start)

    found, _ = run(emulated, build, x, factor, start, space="products")
    # Above 8 conversations a library multiplies, which reads inputs in the weights' type.
    given = x if B <= 8 else x.to(matrix.dtype).float()
    assert_close(found, start + torch.sigmoid(given @ meaning(weight, format).T) * factor)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", [(33, 37), (1, 5), (128, 64)], ids=str)
def test_products_of_odd_sizes_equal_torchs(
    emulated: Device, format: PackedFormat, shape: tuple[int, int]
) -> None:
    weight, x = draw(*shape), draw(2, shape[1], seed=1)
    for by_columns in (False, True):
        matrix = pack(weight, format, by_columns=by_columns)
        found, _ = run(emulated, lambda p, a, m=matrix: p.product(m, a), x, space="products")
        assert_close(found, x @ meaning(weight, format).T)


# Rows and columns: of no whole group, tile or read; of several reads ahead; of several tiles.
SHAPES = [(17, 40), (5, 33), (3, 4128), (264, 64), (9, 1024)]


def check_products(
    device: Device, format: PackedFormat, by_columns: bool, shape: tuple[int, int], B: int
) -> None:
    """Compare a product, all memory around which is NaN, with its definition."""
    weight, x = draw(*shape), draw(B, shape[1], seed=1) * 10.0 ** torch.arange(0, -B, -1)[:, None]
    x[:, 1::3] = 0
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
    with p.products():
        made = p.product(pack(weight, format, by_columns=by_columns), value)
    with p.products():
        p.logits(pack(torch.eye(shape[0]), "fp32"), made)
    program = CudaProgram(p, device)
    program.run(torch.arange(B), empty_state(B))
    program._arena.fill_(torch.nan)
    found, _ = program.run(torch.arange(B), empty_state(B))
    expected = x.double() @ meaning(weight, format).double().T
    # What is made for one conversation is as exact beside others of another size.
    torch.testing.assert_close(
        found / x.norm(dim=1, keepdim=True),
        (expected / x.norm(dim=1, keepdim=True)).float(),
        rtol=2e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_products_of_every_size_are_exact(
    emulated: Device, order: int, format: PackedFormat, by_columns: bool
) -> None:
    """Whichever threads are first; other sizes and conversations are tested in other orders."""
    for number, shape in enumerate(SHAPES):
        B = (1, 3, 8)[(number + order) % 3]
        check_products(emulated, format, by_columns, shape, B)


@pytest.mark.parametrize("format", FORMATS)
def test_products_without_tensor_cores_are_the_same(
    without_tensor_cores: Device, format: PackedFormat
) -> None:
    for by_columns in (False, True):
        check_products(without_tensor_cores, format, by_columns, (17, 96), 3)


def test_a_product_of_a_part_of_a_value_equals_torchs(emulated: Device) -> None:
    """As RWKV-6 has it: parts begin where no sixteen bytes do."""
    weight, x = draw(C, 8), draw(2, 21, seed=1)
    found, _ = run(
        emulated,
        lambda p, a: p.product(pack(weight, "fp32"), p.part(a, 13, 8)),
        x,
        space="products",
    )
    assert_close(found, x[:, 13:] @ weight.T)


def test_a_program_runs_again_and_again(emulated: Device) -> None:
    """What a run counts is as before when it ends."""
    p = Plan(C, N)
    with p.rows():
        x = p.embed(draw(4, 200))
    weight = draw(70, 200, seed=1) / 14
    with p.products():
        p.logits(pack(weight, "fp16", by_columns=True), x)
    program = CudaProgram(p, emulated)
    expected = draw(4, 200) @ weight.half().float().T
    for B in (1, 4, 1, 2):
        found, _ = program.run(torch.arange(B), empty_state(B))
        assert_close(found, expected[:B])


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("zeros", [0.5, 0.97, 1.0])
def test_weights_of_zero_inputs_are_never_read(emulated: Device, zeros: float, B: int) -> None:
    weight, x = draw(70, 200), draw(B, 200, seed=1)
    is_zero = torch.rand(200, generator=torch.Generator().manual_seed(2)) < zeros
    x[:, is_zero] = 0
    poisoned = weight.clone()
    poisoned[:, is_zero] = torch.nan
    matrix = pack(poisoned, "fp16", by_columns=True)
    found, _ = run(emulated, lambda p, a: p.product(matrix, a), x, space="products")
    assert_close(found, x @ weight.half().float().T)


def test_nan_and_infinite_inputs_are_read(emulated: Device) -> None:
    x = torch.zeros(1, 64)
    x[0, 5] = torch.nan
    matrix = pack(draw(70, 64), "fp16", by_columns=True)
    assert run(emulated, lambda p, a: p.product(matrix, a), x, space="products")[0].isnan().all()


def test_results_do_not_depend_on_the_order_of_threads_and_blocks(
    emulator: Emulator, emulated: Device
) -> None:
    """Of the blocks that share a sum another one is last, and adds up the same."""
    weight, x = draw(70, 300), draw(2, 300, seed=1)
    matrix, norm = pack(weight, "int8", by_columns=True), nn.LayerNorm(300)

    def build(p: Plan, a: Value) -> Value:
        return p.product(matrix, a)

    made = []
    for order in (0, 1, 2):
        emulator.set_order(order)
        product, _ = run(emulated, build, x, space="products")
        normed, _ = run(emulated, lambda p, a: p.layer_norm(a, norm), x, space="rows")
        made.append((product, normed))
    emulator.set_order(0)
    for product, normed in made[1:]:
        assert torch.equal(product, made[0][0])
        assert torch.equal(normed, made[0][1])


def test_rows_of_a_bucket_beyond_the_batch_are_left_alone(emulated: Device) -> None:
    """Nine conversations use kernels for twelve; three rows of everything must not be touched."""
    B, edge = 9, 12345.0
    room = torch.full((1, B + 8, C), edge)
    x = draw(B, C)
    found, after = run(emulated, lambda p, a: p.shift(a, 0, "time_mix"), x, space="rows")
    assert found.shape == (B, C)
    assert torch.equal(after[0][0], x)
    state = room[:, :B], torch.zeros(1, B, 6, N, N), torch.zeros(1, B, C)
    run(emulated, lambda p, a: p.shift(a, 0, "time_mix"), x, space="rows", state=state)
    assert (room == edge).all()


def test_batches_larger_than_the_last_bucket_run_in_pieces(
    emulated: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "BUCKETS", (1, 2))
    monkeypatch.setattr(program, "BUCKETS", (1, 2))
    x, state = draw(5, C), (draw(1, 5, C, seed=3), torch.zeros(1, 5, 6, N, N), draw(1, 5, C))
    found, after = run(
        emulated, lambda p, a: p.shift(a, 0, "time_mix"), x, space="rows", state=state
    )
    assert_close(found, state[0][0] - x)
    assert torch.equal(after[0][0], x)


def launches(p: Plan, way: Way) -> list[tuple[str, list[int]]]:
    return [(launch.kernel, launch.steps) for launch in Layout(p, way).launches]


def test_phases_on_whole_tokens_are_one_launch() -> None:
    p, weight = Plan(C, N), pack(draw(4, C), "fp32")
    with p.rows():
        x = p.embed(draw(4, C))
    with p.rows():
        p.shift(x, 0, "time_mix")
        x = p.affine(x)
    with p.products():
        y = p.product(pack(draw(C, C), "fp32"), x)
    with p.rows():
        p.nonzero(y, weight)
    with p.products():
        p.logits(weight, y)
    assert launches(p, Way.FEW) == [("slices", [0, 1, 2]), ("products", [3]), ("products", [5])]
    # What a token's neighbours are read for must be made before.
    assert launches(p, Way.TEXT)[:2] == [("slices", [0]), ("slices", [1, 2])]


def test_a_norm_of_what_a_launch_makes_is_another_launch() -> None:
    """Blocks share out the channels, and a norm reads them all."""
    p = Plan(C, N)
    with p.rows():
        x = p.layer_norm(p.embed(draw(4, C)), nn.LayerNorm(C))
        y = p.layer_norm(x, nn.LayerNorm(C))
    with p.products():
        p.logits(pack(torch.eye(C), "fp32"), y)
    assert launches(p, Way.FEW)[:3] == [("slices", [0]), ("slices", [1]), ("slices", [2])]
    assert launches(p, Way.MANY)[:3] == [("slices", [0]), ("norm", [1]), ("norm", [2])]
