"""The packed runtime computes what the network in torch does: every generation, every format."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.load_memory import measure_apart
from benchmarks.prefill_memory import PROC_STATUS
from kernels.cpu_library import cpu_library
from kernels.packed import PackedFormat, PackedMatrix, packed_library
from kernels.program import Outcome, Program, StateParts
from kernels.recycled import Layout
from presets import default_model_path
from rwkv_core.errors import InputError, NonFiniteError, ShapeError
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import Sizes, inventory_of_sizes
from rwkv_core.models.packed import is_cached
from rwkv_core.models.runtime import PACKED
from rwkv_core.state import State
from tests.checkpoints import random_weights, write_pth
from tests.generations import RANDOM_WEIGHTS, assert_states_close, random_state, random_tokens
from tests.tolerances import PACKED_INPUTS, Tolerance, assert_close

# Two blocks of 64 channels, the second half full.
SIZES = {"n_layer": 3, "n_embd": 96, "head_size": 16}
# And as what the whole matrices of each are packed.
STRATEGIES: Mapping[str, PackedFormat] = {
    "cpu fp32": "fp32",
    "cpu int8": "int8",
    "cpu int4": "int4",
}
FILES = (torch.float32, torch.bfloat16, torch.float16)


def packed(path: Path, strategy: str, threads: int = 2) -> Model:
    model = load_model(path, strategy, threads=threads)
    if model.choices["kernel"].value != PACKED:
        pytest.skip(model.choices["kernel"].reason)
    return model


def limit_of(strategy: str) -> torch.dtype | Tolerance:
    """How far rounded inputs, which differ by processor, may move results from torch's."""
    inputs = PackedMatrix(1, 1, STRATEGIES[strategy], threads=1).inputs
    return PACKED_INPUTS.get(inputs, torch.float32)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, torch.dtype], Path]:
    folder = tmp_path_factory.mktemp("packed")
    return {
        (name, dtype): write_pth(folder / f"{name}-{dtype}.pth", draw(**SIZES, dtype=dtype))
        for name, draw in RANDOM_WEIGHTS.items()
        for dtype in FILES
    }


@pytest.fixture
def path(paths: Mapping[tuple[str, torch.dtype], Path]) -> Path:
    """An RWKV-7 file in bf16, as they are released."""
    return paths["7", torch.bfloat16]


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
@pytest.mark.parametrize("dtype", FILES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_logits_and_state_are_those_of_torch(
    paths: Mapping[tuple[str, torch.dtype], Path],
    generation: str,
    dtype: torch.dtype,
    strategy: str,
) -> None:
    path = paths[generation, dtype]
    model, torchs = packed(path, strategy), load_model(path, strategy, kernel="torch")
    limit = limit_of(strategy)
    for batch, length in ((1, 1), (3, 1), (1, 37), (2, 9)):
        _, start = torchs.forward(random_tokens(batch, 3, seed=5))
        kept = [part.clone() for part in vars(start).values()]
        tokens = random_tokens(batch, length)
        expected, after = torchs.forward(tokens, start, all_logits=True)
        logits, state = model.forward(tokens, start, all_logits=True)
        assert_close(logits, expected, limit)
        assert_states_close(state, after, limit)
        assert_close(model.forward(tokens, start)[0], logits[:, -1], limit)
        assert all(torch.equal(a, b) for a, b in zip(kept, vars(start).values(), strict=True))


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
@pytest.mark.parametrize(("strategy", "relative"), [("cpu bf16", 0.02), ("cpu fp16", 0.003)])
def test_where_torch_rounds_products_only_that_rounding_differs(
    paths: Mapping[tuple[str, torch.dtype], Path], generation: str, strategy: str, relative: float
) -> None:
    path, tokens = paths[generation, torch.float32], random_tokens(2, 9)
    expected, _ = load_model(path, strategy, kernel="torch").forward(tokens)
    logits, _ = packed(path, strategy).forward(tokens)
    assert float((logits - expected).norm() / expected.norm()) < relative


@pytest.mark.parametrize("batch", [1, 2, 7, 32])
def test_a_batch_decodes_as_each_of_its_conversations(path: Path, batch: int) -> None:
    model = packed(path, "cpu int8")
    _, state = model.forward(random_tokens(batch, 4))
    tokens = random_tokens(batch, 1, seed=8)
    together, after = model.forward(tokens, state)
    for index in range(batch):
        alone, alone_after = model.forward(tokens[index : index + 1], state.select(index))
        assert_close(together[index : index + 1], alone, limit_of("cpu int8"))
        assert_states_close(after.select(index), alone_after, limit_of("cpu int8"))


def test_a_text_longer_than_one_run_is_read_in_pieces(path: Path) -> None:
    model, tokens = packed(path, "cpu fp32"), random_tokens(2, 300)
    expected, after = load_model(path, "cpu fp32", kernel="torch").forward(tokens, all_logits=True)
    logits, state = model.forward(tokens, all_logits=True)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, after)
    assert_close(model.forward(tokens)[0], expected[:, -1], torch.float32)


@pytest.mark.parametrize(
    ("batch", "length", "expected"),
    [(1, 257, [129, 128]), (1, 600, [200] * 3), (2, 300, [100] * 3)],
)
def test_runs_of_a_long_text_are_even(
    path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, length: int, expected: list[int]
) -> None:
    program, lengths = packed(path, "cpu fp32")._program, []
    assert isinstance(program, Program)
    run = program._run

    def counted(
        ids: int, size: tuple[int, int], state: StateParts, layout: Layout, logits_kind: int
    ) -> Outcome:
        lengths.append(size[1])
        return run(ids, size, state, layout, logits_kind)

    monkeypatch.setattr(program, "_run", counted)
    shift, wkv = torch.zeros(3, batch, 96), torch.zeros(3, batch, 6, 16, 16)
    program.run(random_tokens(batch, length), (shift, wkv, shift), all_logits=False)
    assert lengths == expected


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_the_number_of_threads_changes_no_bit(
    paths: Mapping[tuple[str, torch.dtype], Path], generation: str
) -> None:
    path = paths[generation, torch.bfloat16]
    for batch, length in ((1, 1), (2, 5)):
        tokens = random_tokens(batch, length)
        found = [packed(path, "cpu fp32", threads).forward(tokens) for threads in (1, 2, 5)]
        for logits, state in found[1:]:
            assert torch.equal(logits, found[0][0])
            pairs = zip(vars(state).values(), vars(found[0][1]).values(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_a_trace_is_that_of_torch(
    paths: Mapping[tuple[str, torch.dtype], Path], generation: str
) -> None:
    path, ids = paths[generation, torch.bfloat16], random_tokens(1, 9)[0].tolist()
    mine = packed(path, "cpu fp32").trace(ids)
    expected = load_model(path, "cpu fp32", kernel="torch").trace(ids)
    assert_close(mine.logits, expected.logits, torch.float32)
    for name in ("state_norm", "change_norm", "log_decay"):
        left, right = getattr(mine, name), getattr(expected, name)
        assert abs(left - right).max() <= 1e-5 * abs(right).max()


def test_bf16_weights_are_kept_in_bf16_where_products_are_in_fp32(path: Path) -> None:
    model, torchs = packed(path, "cpu fp32"), load_model(path, "cpu fp32", kernel="torch")
    matrices = sum(p.nbytes for n, p in torchs.network.named_parameters() if "emb" not in n)
    mine = sum(b.nbytes for b in model.network.buffers())
    # Half, though panels of 64 rows do not divide 96 channels or the low ranks.
    assert mine < 0.75 * matrices
    assert "kept in bf16, products in fp32" in model.choices["dtype"].reason
    assert not {p.dtype for p in model.network.parameters()} & {torch.float16}


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu bf16"])
def test_models_beyond_the_caches_keep_bf16_in_12_bits_without_loss(
    paths: Mapping[tuple[str, torch.dtype], Path],
    generation: str,
    strategy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = paths[generation, torch.bfloat16]
    cached = packed(path, strategy)
    monkeypatch.setattr("rwkv_core.models.packed.CACHED_NUMBERS", 0)
    model = packed(path, strategy)
    assert "kept in bf16 (12 bit), products" in model.choices["dtype"].reason
    assert "kept in bf16, products" in cached.choices["dtype"].reason
    # Lists of strays take more in small matrices.
    assert model.weight_bytes < 0.9 * cached.weight_bytes
    for batch, length in ((1, 1), (3, 1), (1, 37), (2, 9)):
        tokens = random_tokens(batch, length)
        expected, after = cached.forward(tokens, all_logits=True)
        logits, state = model.forward(tokens, all_logits=True)
        limit = torch.float32 if strategy == "cpu fp32" else torch.bfloat16
        assert_close(logits, expected, limit)
        assert_states_close(state, after, limit)
        # Columns are made longer then, and the same numbers are multiplied in the same order.
        if batch * length > 4:
            assert torch.equal(logits, expected)


def test_models_are_beyond_the_caches_from_the_smallest_released_size_on() -> None:
    ranks = (("w", 64), ("a", 64), ("v", 32), ("g", 128))
    assert not is_cached(inventory_of_sizes(Sizes("7", 12, 768, 65536, ranks=ranks)).config)
    assert is_cached(open_checkpoint(default_model_path()).config)


@pytest.mark.parametrize("strategy", ["cpu int8", "cpu int4"])
def test_a_model_without_float_weights_names_none(path: Path, strategy: str) -> None:
    reason = packed(path, strategy).choices["dtype"].reason
    assert reason == "products of whole numbers, added up in fp32"


def test_no_weight_is_held_twice(path: Path) -> None:
    model = packed(path, "cpu int4")
    held = {name for name, _ in model.network.named_parameters()}
    assert not any(name.endswith(("key.weight", "w1", "g2", "head.weight")) for name in held)
    assert "emb.weight" in held


def test_a_strategy_of_two_stages_runs_in_torch_and_says_why(path: Path) -> None:
    model = load_model(path, "cpu fp32 *2 -> cpu bf16")
    assert model.choices["kernel"].value != PACKED
    assert "packed weights are for strategies of one stage" in model.choices["kernel"].reason


def test_a_head_without_code_runs_in_torch_and_says_why(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "narrow.pth", random_weights(n_embd=32, head_size=8))
    model = load_model(path, "cpu fp32")
    assert "heads of 8 have no packed code" in model.choices["kernel"].reason


def test_without_a_compiler_torch_takes_over_and_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    libraries = packed_library, cpu_library
    for library in libraries:
        library.cache_clear()
    try:
        model = load_model(path, "cpu fp32")
    finally:
        for library in libraries:
            library.cache_clear()
    assert model.choices["kernel"].value != PACKED
    # Once, though neither the plan nor the recurrence could be compiled.
    assert model.choices["kernel"].reason.count("no C++ compiler") == 1
    assert model.forward([1, 2])[0].shape == (1, 50)


def test_torch_can_be_asked_for(path: Path) -> None:
    model = load_model(path, "cpu fp32", kernel="torch")
    assert "torch's matrices: asked for" in model.choices["kernel"].reason


def test_the_choice_names_the_threads(path: Path) -> None:
    assert "threads: 3;" in packed(path, "cpu fp32", threads=3).choices["kernel"].reason


def test_a_state_of_other_sizes_is_refused_before_it_is_read(path: Path) -> None:
    model = packed(path, "cpu fp32")
    state = model.initial_state()
    other = State(state.time_mix_shift, state.wkv[:2], state.channel_mix_shift)
    with pytest.raises(ShapeError, match=r"wkv is .*\(2, 1, 6, 16, 16\).*\(3, 1, 6, 16, 16\)"):
        model.forward([1], other)
    half = State(state.time_mix_shift, state.wkv.half(), state.channel_mix_shift)
    with pytest.raises(ShapeError, match=r"float16.*needs float32"):
        model.forward([1], half)


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_a_token_after_a_state_just_made_is_read_as_any_other(
    paths: Mapping[tuple[str, torch.dtype], Path], generation: str
) -> None:
    model = packed(paths[generation, torch.bfloat16], "cpu fp32")
    _, made = model.forward([1, 2, 3])
    for token in (7, 49, 0):
        copied = State(*(part.clone() for part in vars(made).values()))
        found, after = model.forward([token], made)
        every, _ = model.forward([token], after, all_logits=True)
        again, _ = model.forward(torch.tensor([[token]]), after)
        expected, expected_after = model.forward([token], copied)
        mixed, _ = model.forward([token], replace(made, wkv=copied.wkv))
        assert torch.equal(found, expected)
        assert torch.equal(mixed, expected)
        assert_states_close(after, expected_after)
        assert torch.equal(every[:, 0], again)
        pairs = zip(vars(made).values(), vars(copied).values(), strict=True)
        assert all(torch.equal(before, kept) for before, kept in pairs)
        _, made = model.forward([token], made)


def test_after_a_batch_one_conversation_goes_on_alone(path: Path) -> None:
    model = packed(path, "cpu fp32")
    _, both = model.forward(random_tokens(2, 3))
    with pytest.raises(ShapeError, match="tokens hold 1 sequences, the state 2"):
        model.forward([5], both)
    _, alone = model.forward([5], both.select(0))
    _, alone = model.forward([6], alone)
    _, both = model.forward(torch.tensor([[5], [7]]), both)
    _, both = model.forward(torch.tensor([[6], [8]]), both)
    assert_states_close(both.select(0), alone)


def test_a_part_of_another_size_after_a_state_just_made_is_refused(path: Path) -> None:
    model = packed(path, "cpu fp32")
    _, state = model.forward([1])
    with pytest.raises(ShapeError, match="wkv is"):
        model.forward([1], replace(state, wkv=state.wkv[:2]))


def test_an_unknown_token_after_a_state_just_made_is_refused(path: Path) -> None:
    model = packed(path, "cpu fp32")
    _, state = model.forward([1])
    for token in (-1, 50):
        with pytest.raises(InputError, match=f"token id {token} is outside"):
            model.forward([token], state)


def test_a_state_just_made_that_is_spoilt_is_named(path: Path) -> None:
    model = packed(path, "cpu fp32")
    _, state = model.forward([1])
    state.wkv[1, 0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="already holds NaN"):
        model.forward([1], state)


def test_a_strided_state_is_understood(path: Path) -> None:
    model = packed(path, "cpu fp32")
    state = random_state(model, 2)
    turned = State(state.time_mix_shift, state.wkv.mT.contiguous().mT, state.channel_mix_shift)
    assert not turned.wkv.is_contiguous()
    tokens = random_tokens(2, 1)
    assert torch.equal(model.forward(tokens, turned)[0], model.forward(tokens, state)[0])


def test_a_state_with_nan_is_named(path: Path) -> None:
    model = packed(path, "cpu fp32")
    state = model.initial_state()
    state.wkv[1, 0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="already holds NaN"):
        model.forward([1], state)


@pytest.mark.skipif(not PROC_STATUS.exists(), reason="memory is told by Linux")
@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu int4"])
def test_loading_takes_little_more_than_the_packed_weights(
    path: Path, tmp_path: Path, strategy: str
) -> None:
    packed(path, strategy)
    weights = random_weights(
        n_layer=2, n_embd=512, head_size=64, vocab_size=60000, dtype=torch.bfloat16
    )
    large = write_pth(tmp_path / "large.pth", weights)
    del weights
    found = measure_apart(large, strategy, loads=0)
    assert found["is_within_limit"], found
