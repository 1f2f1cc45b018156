"""Where weights land, in which form, and that running there is the same model."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from rwkv_core.errors import NonFiniteError
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import Checkpoint, open_checkpoint
from rwkv_core.models.placing import build_network, is_matrix
from rwkv_core.quantization import QuantizedMatrix
from rwkv_core.state import State
from rwkv_core.strategy import Placement, Stage
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, random_tokens
from tests.references.pypi_rwkv import run_package
from tests.tolerances import assert_close

SIZES = {"n_layer": 7, "n_embd": 32, "head_size": 16}
META = torch.device("meta")
CPU = torch.device("cpu")

every_generation = pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
rescaled_generations = pytest.mark.parametrize("generation", ["4", "5.0", "5.1", "5.2", "6"])
# Where torch's layers lie; a packed model has one place.
load_torch = partial(load_model, kernel="torch")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each generation, deep enough to be rescaled once."""
    folder = tmp_path_factory.mktemp("placed")
    return {
        name: write_pth(folder / f"rwkv{name}.pth", draw(**SIZES))
        for name, draw in RANDOM_WEIGHTS.items()
    }


@pytest.fixture
def path(paths: dict[str, Path], generation: str) -> Path:
    return paths[generation]


@every_generation
def test_two_stages_are_the_layers_of_two_models(path: Path) -> None:
    mixed = load_torch(path, "cpu fp32 *3 -> cpu bf16")
    first, second = load_torch(path, "cpu fp32"), load_torch(path, "cpu bf16")
    for layer in range(3):
        second.network.blocks[layer] = first.network.blocks[layer]
    tokens = random_tokens(2, 9)
    expected, expected_state = second.forward(tokens)
    logits, state = mixed.forward(tokens)
    assert torch.equal(logits, expected)
    pairs = zip(vars(state).values(), vars(expected_state).values(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)
    assert not torch.equal(logits, first.forward(tokens)[0])


@every_generation
def test_the_dtypes_of_a_stage_are_those_of_its_matrices_alone(path: Path) -> None:
    network = load_torch(path, "cpu fp32 *2 -> cpu bf16").network
    dtypes = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert dtypes["blocks.1.att.key.weight"] == torch.float32
    assert dtypes["blocks.2.att.key.weight"] == torch.bfloat16
    assert dtypes["head.weight"] == torch.bfloat16
    vectors = [name for name, p in network.named_parameters() if p.squeeze().dim() < 2]
    assert {dtypes[name] for name in vectors} == {torch.float32}


@every_generation
@pytest.mark.parametrize("strategy", ["cpu fp32 *2+", "cpu fp32 *0+", "cpu int8 *1+"])
def test_streaming_changes_nothing_but_the_place(path: Path, strategy: str) -> None:
    tokens = random_tokens(1, 5)
    whole = load_torch(path, strategy.split(" *")[0])
    assert torch.equal(load_torch(path, strategy).forward(tokens)[0], whole.forward(tokens)[0])


@every_generation
@pytest.mark.parametrize("form", ["float", "int8", "int4"])
def test_a_streamed_stage_keeps_its_matrices_in_the_cpus_memory(path: Path, form: str) -> None:
    # torch's meta device stands for a GPU: it computes shapes and holds no numbers.
    stage = Stage(META, torch.float16, form, count=2, is_streamed=True)  # type: ignore[arg-type]
    network = build_network(open_checkpoint(path), Placement((stage,)))
    for layer, block in enumerate(network.layers):
        parts = {name: _device(part) for name, part in block.named_modules() if _is_matrix(part)}
        small = [name for name in parts if name.rpartition(".")[2][-1] in "012345"]
        assert {parts[name] for name in parts if name not in small} == {META if layer < 2 else CPU}
        # Vectors and low ranks are small and always where the layer runs.
        assert {block.ln1.weight.device, *(parts[name] for name in small)} == {META}
    assert network.emb.weight.device == CPU
    config = network.config
    state = State.zeros(config, 1, META)

    def recurrence(*arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.empty_like(arguments[-2 if config.has_exponents else 2]), arguments[-1]

    x, after = network(random_tokens(1, 4), state, recurrence)
    assert (x.device, network.logits(x).shape) == (META, (1, 4, config.vocab_size))
    assert after.wkv.device == META


def _is_matrix(part: nn.Module) -> bool:
    return type(part).__name__ in ("Matrix", "QuantizedMatrix")


def _device(part: nn.Module) -> torch.device:
    return next(tensor.device for tensor in (*part.parameters(), *part.buffers()))


@every_generation
def test_a_state_goes_home_from_every_stage(path: Path) -> None:
    # The first layers run on the stand-in, the last on the CPU; the memory given lies there too.
    stages = (Stage(CPU, torch.float32, count=3), Stage(META, torch.float32))
    network = build_network(open_checkpoint(path), Placement(stages))
    assert network.layers[2].ln1.weight.device == CPU
    assert network.layers[3].ln1.weight.device == network.head.weight.device == META


@every_generation
@pytest.mark.parametrize("strategy", ["cpu int8", "cpu int4", "cpu bf16i8"])
def test_every_matrix_but_the_embedding_is_quantised(path: Path, strategy: str) -> None:
    model = load_torch(path, strategy)
    kinds = {name: type(part) for name, part in model.network.named_modules()}
    whole = load_torch(path, "cpu fp32")
    names = [name for name, part in whole.network.named_modules() if _is_matrix(part)]
    assert {kinds[name] for name in names if name != "emb"} == {QuantizedMatrix}
    left = [name for name, p in model.network.named_parameters() if is_matrix(name, p)]
    assert all(name.endswith("emb.weight") for name in left)  # tables
    assert kinds["emb"] is not QuantizedMatrix
    assert model.parameters == whole.parameters
    assert model.weight_bytes < 0.65 * whole.weight_bytes
    assert model.choices["weights"].reason


@rescaled_generations
def test_fp16_halves_the_stream_as_the_package_does(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    network = load_torch(path, "cpu fp16").network
    assert network.rescale_every == 6
    for layer, share in ((5, 1), (6, 2)):
        for name in (f"blocks.{layer}.att.output.weight", f"blocks.{layer}.ffn.value.weight"):
            expected = (checkpoint.tensors[name] / share).half()
            assert torch.equal(network.get_parameter(name), expected)
    assert load_torch(path, "cpu bf16").network.rescale_every == 0
    assert load_torch(path, "cpu fp32 *3 -> cpu fp16").network.rescale_every == 6


@rescaled_generations
def test_halving_the_stream_changes_no_logits(path: Path) -> None:
    # An fp16 stage that holds no layer: the halving alone, in float32.
    plain = load_torch(path, "cpu fp32")
    halved = load_torch(path, "cpu fp32 *8 -> cpu fp16")
    assert halved.network.rescale_every == 6
    tokens = random_tokens(2, 9)
    # Not nearer: the norms' epsilon is not halved with the stream.
    assert (halved.forward(tokens)[0] - plain.forward(tokens)[0]).abs().max() < 1e-4


@pytest.mark.parametrize("generation", ["7", "7a"])
def test_rwkv_7_is_never_rescaled(path: Path) -> None:
    assert load_torch(path, "cpu fp16").network.rescale_every == 0


@pytest.mark.parametrize("generation", ["4", "5.2", "6"])
def test_fp16_agrees_with_the_pypi_package_in_fp16(path: Path, tmp_path: Path) -> None:
    ids = random_tokens(1, 12)[0].tolist()
    result = tmp_path / "result.npz"
    expected = run_package(path, [ids], result, strategy="cpu fp16")
    logits, _ = load_torch(path, "cpu fp16").forward(ids)
    assert_close(logits, expected["logits"], torch.float16)


def overflowing(generation: str, folder: Path) -> Path:
    """Weights whose channel mix squares numbers beyond 65,504 in the fifth layer alone."""
    weights = RANDOM_WEIGHTS[generation](**SIZES)
    weights["blocks.4.ffn.key.weight"] *= 300
    return write_pth(folder / "large.pth", weights)


@every_generation
def test_an_overflow_names_its_layer_and_the_type_that_can_hold_it(
    generation: str, tmp_path: Path
) -> None:
    path = overflowing(generation, tmp_path)
    with pytest.raises(NonFiniteError, match=r"layer 5 of 7 gave NaN or infinity in float16.*bf16"):
        load_torch(path, "cpu fp16").forward([1, 2, 3])
    logits, _ = load_torch(path, "cpu bf16").forward([1, 2, 3])
    assert torch.isfinite(logits).all()


def test_an_overflow_in_the_head_is_named(paths: dict[str, Path]) -> None:
    model = load_torch(paths["7"], "cpu fp32")
    model.network.head.weight.mul_(1e38)
    with pytest.raises(NonFiniteError, match=r"the head gave NaN.*float32.*fetch the checkpoint"):
        model.forward([1, 2, 3])


def test_a_memory_with_nan_is_not_blamed_on_a_layer(paths: dict[str, Path]) -> None:
    model = load_torch(paths["7"], "cpu fp32")
    state = model.initial_state()
    state.wkv[2] = torch.nan
    with pytest.raises(NonFiniteError, match="memory given already holds NaN"):
        model.forward([1], state)


def test_looking_for_an_overflow_leaves_no_hooks(paths: dict[str, Path]) -> None:
    model: Model = load_torch(paths["7"], "cpu fp32")
    state = model.initial_state()
    state.wkv[0] = torch.inf
    with pytest.raises(NonFiniteError):
        model.forward([1], state)
    assert not any(block._forward_hooks for block in model.network.layers)
    assert torch.isfinite(model.forward([1])[0]).all()


def test_every_name_that_is_rescaled_is_matched(paths: dict[str, Path]) -> None:
    checkpoint: Checkpoint = open_checkpoint(paths["6"])
    names = [n for n in checkpoint.tensors if re.search(r"att\.output|ffn\.value", n)]
    assert len(names) == 2 * SIZES["n_layer"]
