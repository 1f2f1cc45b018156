"""What a plan becomes for a CPU's threads: fewer phases, rounding where numbers are made."""

import random
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.build import BuildError, default_cache
from kernels.packed import FORMATS, PackedFormat, packed_library
from kernels.plan import Plan
from kernels.plan_memory import Sharing, Storage, place, width
from kernels.plan_parts import KINDS, SPACES, Phase, StoredMatrix
from kernels.program import Program
from rwkv_core.models.packed import pack
from tests.packed_products import assert_product_close, draw

C, N = 96, 32


@pytest.fixture(autouse=True)
def _library() -> None:
    try:
        packed_library(default_cache())
    except BuildError as error:
        pytest.skip(str(error))


def weight_of(values: Tensor, format: PackedFormat = "fp32") -> StoredMatrix:
    return pack(values, format, threads=1).weight


def phases_of(p: Plan) -> list[list[str]]:
    made = p.for_threads()
    return [
        [SPACES[phase.space]]
        + [KINDS[s.kind] for s in made.steps[phase.first : phase.first + phase.count]]
        for phase in made.phases
    ]


def empty(B: int) -> tuple[Tensor, ...]:
    return torch.zeros(1, B, C), torch.zeros(1, B, C // N, N, N), torch.zeros(1, B, C)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("B", "T"), [(1, 1), (1, 70), (3, 40), (5, 1)])
@pytest.mark.parametrize("is_joined", [False, True])
def test_a_shift_makes_the_norm_of_another_threads_token_again(
    *, threads: int, B: int, T: int, is_joined: bool
) -> None:
    norm = nn.LayerNorm(C, eps=1e-3)
    norm.weight.data, norm.bias.data = draw(C, seed=1), draw(C, seed=2)
    x, share = draw(B * T, C, seed=3) * 2 + 1, draw(C, seed=4)
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
    if is_joined:  # what is normed was there before the phase
        with p.products():
            value = p.product(weight_of(torch.eye(C)), value)
    with p.rows():
        xn = p.layer_norm(value, norm)
    with p.rows():
        dx = p.shift(xn, 0, "time_mix")
    with p.rows():
        mixed = p.mix(xn, dx, share)
    with p.products():
        p.logits(weight_of(torch.eye(C)), mixed)
    last = ["products", "product"]
    if is_joined:
        rows = ["rows", "layer_norm", "shift", "mix"]
        assert phases_of(p) == [["rows", "embed"], last, rows, last]
    else:
        assert phases_of(p) == [["rows", "embed", "layer_norm"], ["rows", "shift", "mix"], last]

    state = draw(1, B, C, seed=5), *empty(B)[1:]
    ids = torch.arange(B * T).view(B, T)
    found, after, _ = Program(p, threads=threads).run(ids, state, all_logits=True)
    normed = norm(x).detach().view(B, T, C)
    before = torch.cat([state[0][0][:, None], normed], 1)[:, :-1]
    torch.testing.assert_close(found, normed + (before - normed) * share, rtol=2e-5, atol=1e-5)
    torch.testing.assert_close(after[0][0], normed[:, -1], rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tokens", [1, 2, 70, 300])
@pytest.mark.parametrize("hidden", [64, 100, 333])
@pytest.mark.parametrize("has_list", [False, True])
def test_results_rounded_where_they_are_made_are_the_rounded_results(
    *, format: PackedFormat, tokens: int, hidden: int, has_list: bool
) -> None:
    first, second = draw(hidden, C), draw(C, hidden, seed=2)
    one, two = weight_of(first), weight_of(second, format)
    x = draw(tokens, C, seed=1)
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
    with p.products():
        value = p.product(one, value, "squared_relu")
    listed = None
    if has_list:
        with p.rows():
            listed = p.nonzero(value, two)
    with p.products():
        out = p.product(two, value, nonzero=listed)
    with p.products():
        p.logits(weight_of(torch.eye(C)), out)
    assert not any("round" in phase for phase in phases_of(p))
    found = Program(p, threads=2).run(torch.arange(tokens)[None], empty(1), all_logits=True)
    inputs = F.relu(one.multiply(x)).square()
    assert_product_close(found.logits[0], two, second, inputs)
    if two.inputs != "fp32" and tokens > 1:
        poisoned = x.clone()
        poisoned[1] = torch.nan
        p = with_table(p, poisoned)
        again = Program(p, threads=2).run(torch.arange(tokens)[None], empty(1), all_logits=True)
        assert again.logits[0, 1].isnan().all()
        rest = [token for token in range(tokens) if token != 1]
        assert torch.equal(again.logits[0, rest], found.logits[0, rest])


def with_table(p: Plan, table: Tensor) -> Plan:
    """Have a plan look up other numbers."""
    p.kept.append(table)
    [embed] = [step for step in p.steps if step.kind == KINDS.index("embed")]
    embed.data[0] = table.data_ptr()
    return p


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("B", "T"), [(1, 193), (1, 256), (3, 67)])
def test_threads_with_tokens_of_their_own_make_what_one_makes(
    format: PackedFormat, B: int, T: int
) -> None:
    table = draw(B * T, C)
    p = Plan(C, N)
    with p.rows():
        x = p.embed(table)
    with p.products():
        wide = p.product(weight_of(draw(200, C, seed=1), format), x, "tanh")
        other = p.product(weight_of(draw(C, C, seed=2), format), x)
    with p.products():
        p.product(weight_of(draw(C, 200, seed=3), format), wide, add_to=other)
    with p.products():
        p.logits(weight_of(draw(333, C, seed=4), format), other)
    ids, state = torch.arange(B * T).view(B, T), empty(B)
    for all_logits in (False, True):
        alone = Program(p, threads=1).run(ids, state, all_logits=all_logits).logits
        for threads in (2, 3, 7):
            some = Program(p, threads=threads).run(ids, state, all_logits=all_logits).logits
            assert torch.equal(some, alone)


@pytest.mark.parametrize("seed", range(20))
def test_values_that_are_there_at_once_lie_apart(seed: int) -> None:
    draws, storages = random.Random(seed), []
    for number in range(30):
        first, last = sorted(draws.choices(range(12), k=2))
        sharing = draws.choice(list(Sharing))
        storages.append(Storage(draws.choice([16, 40, 100]), first, last, number, 0, sharing))
    slots, total = place(storages, [], [], packed_library(default_cache())[0].room)
    assert total <= sum(width(storage.size) for storage in storages)
    for (one, a), (two, b) in combinations(zip(storages, slots, strict=True), 2):
        is_apart = a.offset + a.ld <= b.offset or b.offset + b.ld <= a.offset
        is_later = one.last_phase < two.first_phase or two.last_phase < one.first_phase
        assert is_apart or is_later
        if one.sharing is not two.sharing and Sharing.OF_ONE not in (one.sharing, two.sharing):
            assert is_apart


def test_on_a_gpu_only_values_of_one_width_share_a_place() -> None:
    sizes = [16, 40, 40, 100, 16]
    storages = [Storage(size, n // 2, n // 2, n) for n, size in enumerate(sizes)]
    slots, total = place(storages, [Phase(0, 0, 0, 0)] * 3, [], None)
    assert total == sum(map(width, [16, 40, 100]))
    assert [slot.offset for slot in slots] == [0, 32, 32, 96, 0]


def test_values_are_told_apart_by_who_reads_them() -> None:
    x = draw(5, C)
    wide, narrow = weight_of(draw(200, C), "int8"), weight_of(draw(C, 200), "int8")
    p = Plan(C, N)
    with p.rows():
        value = p.embed(x)
    with p.products():
        by_heads = p.product(weight_of(draw(C, C)), value)
    with p.blocks():
        made = p.multiply(by_heads, value)
    with p.products():
        hidden = p.product(wide, made)
    with p.rows():
        listed = p.nonzero(hidden, narrow)
    with p.products():
        own = p.product(narrow, hidden, nonzero=listed)
    with p.products():
        p.logits(weight_of(torch.eye(C)), own)
    storages = p.for_threads()._storages
    sharing = [storages[v.number].sharing for v in (value, by_heads, made, hidden, listed, own)]
    by_all, by_token, of_one = Sharing
    assert sharing == [by_all, by_all, by_all, of_one, of_one, by_token]
