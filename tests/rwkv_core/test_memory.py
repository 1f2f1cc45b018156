from pathlib import Path

import pytest
import torch

from kernels.build import BuildError, default_cache
from kernels.packed import FORMATS, packed_library
from rwkv_core.config import ModelConfig
from rwkv_core.errors import StrategyError
from rwkv_core.limits import EngineLimits
from rwkv_core.memory import GB, MemoryPlan, judge, packed_bytes, plan_memory
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import Inventory, Sizes, inventory_of_file, inventory_of_sizes
from tests.checkpoints import write_safetensors
from tests.foreign_formats import Kind, write_gguf
from tests.generations import RANDOM_WEIGHTS

RANKS = (("w", 96), ("a", 96), ("v", 64), ("g", 256))
SMALL = inventory_of_sizes(Sizes("7", 24, 2048, 65536, ranks=RANKS))
LARGE = inventory_of_sizes(Sizes("4", 40, 5120, 50277))


def plan_of(strategy: str, inventory: Inventory = SMALL, sessions: int = 1) -> MemoryPlan:
    return plan_memory(inventory, strategy, sessions=sessions)


@pytest.mark.parametrize("generation", ["4", "5.2", "6", "7a"])
@pytest.mark.parametrize("kernel", ["fastest", "torch"])
@pytest.mark.parametrize(
    "strategy", ["cpu fp32", "cpu int8", "cpu int4", "cpu bf16 *1 -> cpu int8 *1+"]
)
def test_planned_weights_are_those_of_the_loaded_model(
    generation: str, kernel: str, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in models that do not fit into caches.
    monkeypatch.setattr("rwkv_core.models.packed.CACHED_NUMBERS", 0)
    weights = RANDOM_WEIGHTS[generation](n_embd=128, head_size=64, dtype=torch.bfloat16)
    path = write_safetensors(tmp_path / "tiny.safetensors", weights)
    model = load_model(path, strategy, kernel="torch" if kernel == "torch" else "fastest")
    plan = plan_memory(
        inventory_of_file(open_checkpoint(path)), strategy, has_compiler=kernel == "fastest"
    )
    # Packed matrices begin on borders of 64 bytes.
    slack = 64 * len(weights) if plan.is_packed else 0
    assert 0 <= model.weight_bytes - plan.needs["cpu"].weights <= slack


@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu int8"])
def test_a_quantised_files_table_is_planned_as_it_lies(strategy: str, tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS["7"](n_embd=128, head_size=64, vocab_size=500)
    path = write_gguf(tmp_path / "tiny.gguf", weights, generation="7", kind=Kind.Q8_0)
    model = load_model(path, strategy)
    need = plan_memory(inventory_of_file(open_checkpoint(path)), strategy).needs["cpu"]
    assert 0 <= model.weight_bytes - need.weights <= 64 * len(weights)
    assert need.mapped < 500 * 128 * 4


@pytest.mark.parametrize("kept", FORMATS)
def test_packed_bytes_are_the_librarys(kept: str) -> None:
    try:
        library, _ = packed_library(default_cache())
    except BuildError as error:
        pytest.skip(str(error))
    number = next(number for name, number in FORMATS.items() if name == kept)
    for rows, columns in ((64, 32), (65, 33), (768, 3072), (1, 1)):
        assert packed_bytes(kept, rows, columns) == library.bytes(number, rows, columns)


def test_state_grows_with_conversations_until_the_store_is_full() -> None:
    limits = EngineLimits(slots=2, store_bytes=10**9)
    states = [
        plan_memory(SMALL, "cpu fp32", sessions=n, limits=limits).needs["cpu"].state
        for n in (1, 2, 3, 1000)
    ]
    one = SMALL.config.state_bytes
    assert states[0] == 3 * one + 4 * 65536
    assert states[2] - states[1] == one + 4 * 65536
    assert states[3] == 10**9 + 4 * one


def test_a_split_model_needs_memory_in_both_places() -> None:
    plan = plan_of("cuda fp16 *10 -> cpu bf16")
    whole = plan_of("cuda fp16")
    assert set(plan.needs) == {"cpu", "cuda"}
    assert plan.strip == [("cuda fp16", 10), ("cpu bf16", 15)]
    assert plan.needs["cuda"].weights < whole.needs["cuda"].weights
    # The embedding is looked up in the CPU's memory, whatever the strategy says.
    assert whole.needs["cpu"].weights == 2 * 65536 * 2048
    # The plan of a model that lies on one GPU looks up there.
    mixed = plan_of("cuda fp16 *1 -> cuda bf16")
    copy = whole.needs["cuda"].weights - mixed.needs["cuda"].weights
    assert copy == 2 * 65536 * 2048
    streamed = plan_of("cuda fp16 *0+")
    assert streamed.needs["cuda"].weights < 0.1 * whole.needs["cuda"].weights
    assert streamed.needs["cpu"].weights > 0.9 * (whole.needs["cuda"].weights - copy)


def test_a_verdict_names_the_device_and_both_numbers() -> None:
    need = plan_of("cuda fp16").needs["cuda"].total
    for room, answer in ((2 * need, "fits"), (need + 1, "tight"), (need - 1, "no")):
        verdict = judge(plan_of("cuda fp16"), {"cpu": 64 * GB, "cuda:0": 0, "cuda": room})
        assert (verdict.answer, verdict.device) == (answer, "cuda")
        assert (verdict.needed, verdict.available) == (need, room)
    # A machine names its cards with numbers, a strategy the first one without.
    assert judge(plan_of("cuda fp16"), {"cpu": 64 * GB, "cuda:0": 2 * need}).answer == "fits"
    assert judge(plan_of("cuda fp16"), {"cpu": 64 * GB}).available == 0
    assert judge(plan_of("cuda fp16"), {"cpu": 1, "cuda": 64 * GB}).device == "cpu"


def test_of_two_devices_that_suffice_the_verdict_tells_the_fuller_one() -> None:
    plan = plan_of("cuda fp16")
    verdict = judge(plan, {"cpu": 64 * GB, "cuda": 80 * GB})
    assert (verdict.answer, verdict.device) == ("fits", "cuda")
    assert verdict.needed == plan.needs["cuda"].total


def test_text_that_is_no_strategy_is_refused_and_a_missing_card_is_not() -> None:
    with pytest.raises(StrategyError, match="underlined"):
        plan_of("cpu fp99")
    assert plan_of("cuda:1 fp16").needs["cuda:1"].weights


def test_without_a_compiler_matrices_are_torchs() -> None:
    config: ModelConfig = SMALL.config
    packed, plain = (
        plan_memory(SMALL, "cpu fp32", has_compiler=has).needs["cpu"] for has in (True, False)
    )
    assert config.n_layer == 24
    # 16-bit weights stay 16-bit only where they are packed.
    assert plain.weights > 1.8 * packed.weights
