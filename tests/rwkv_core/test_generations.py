"""What holds for every generation: memory is a value, and how a text is cut does not matter."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import GENERATIONS, open_checkpoint
from rwkv_core.state import State
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, assert_states_close, greedy, random_tokens
from tests.tolerances import assert_close

ROOT = Path(__file__).parents[2]
# C++ runs this head size where there is a compiler; the parity tests cover torch.
SIZES = {"n_layer": 3, "n_embd": 32, "head_size": 16}
PROMPT = [3, 1, 4, 1, 5]
CONTINUED = 12
LONG_TEXT = random_tokens(1, 2100)[0].tolist()
# Arguments: pairs of a model and a state file. Prints what each continues with.
CONTINUE = """
import json, sys
from pathlib import Path
from rwkv_core.models import load_model
from rwkv_core.state import State
from tests.generations import greedy

texts = []
for path, saved in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    model = load_model(path, "cpu fp32")
    state, _, last = State.load(Path(saved), model.config, model.fingerprint)
    logits, state = model.forward([int(last)], state)
    texts.append(greedy(model, logits, state, 12))
print(json.dumps(texts))
"""

every_generation = pytest.mark.parametrize("generation", RANDOM_WEIGHTS)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """One tiny file of each generation."""
    folder = tmp_path_factory.mktemp("generations")
    return {
        name: write_pth(folder / f"rwkv{name}.pth", draw(**SIZES))
        for name, draw in RANDOM_WEIGHTS.items()
    }


@pytest.fixture(scope="module")
def models(paths: Mapping[str, Path]) -> Mapping[str, Model]:
    return {name: load_model(path, "cpu fp32") for name, path in paths.items()}


@pytest.fixture
def model(models: Mapping[str, Model], generation: str) -> Model:
    return models[generation]


def test_every_registered_generation_is_tested() -> None:
    assert RANDOM_WEIGHTS.keys() == GENERATIONS.keys()


@every_generation
def test_a_file_is_told_to_be_of_its_generation(model: Model, generation: str) -> None:
    assert model.config.generation == generation
    assert (model.config.n_layer, model.config.n_embd) == (3, 32)
    assert model.config.has_exponents == (generation == "4")


@every_generation
def test_all_at_once_agrees_with_one_by_one(model: Model) -> None:
    tokens = random_tokens(2, 37)
    at_once, state_at_once = model.forward(tokens, all_logits=True)
    state, rows = model.initial_state(2), []
    for t in range(tokens.shape[1]):
        logits, state = model.forward(tokens[:, t : t + 1], state)
        rows.append(logits)
    assert_close(torch.stack(rows, dim=1), at_once, torch.float32)
    assert_states_close(state, state_at_once)


@every_generation
@pytest.mark.parametrize("chunk", [1, 2, 16, 36, 37, 100])
def test_prefill_in_chunks_equals_prefill_at_once(model: Model, chunk: int) -> None:
    ids = random_tokens(1, 37)[0].tolist()
    expected, expected_state = model.forward(ids)
    logits, state = model.prefill(ids, chunk_tokens=chunk)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.fixture(scope="module")
def read_at_once(models: Mapping[str, Model]) -> Mapping[str, tuple[torch.Tensor, State]]:
    """Logits and state after a text much longer than a piece."""
    return {name: model.forward(LONG_TEXT) for name, model in models.items()}


@every_generation
@pytest.mark.parametrize("chunk", [1, 256, 1024])
def test_a_long_text_ends_alike_in_pieces_of_any_size(
    model: Model,
    generation: str,
    chunk: int,
    read_at_once: Mapping[str, tuple[torch.Tensor, State]],
) -> None:
    expected, expected_state = read_at_once[generation]
    logits, state = model.prefill(LONG_TEXT, chunk_tokens=chunk)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@pytest.mark.parametrize("chunk", [1, 256, 1024])
def test_pieces_do_not_matter_where_rwkv_6_forgets_all_or_nothing(
    tmp_path: Path, chunk: int
) -> None:
    weights = RANDOM_WEIGHTS["6"](**SIZES)
    for layer in range(SIZES["n_layer"]):
        # exp(-exp(-12)) to exp(-exp(6)) a token: unlike RWKV-7's, this decay has no floor.
        decay = weights[f"blocks.{layer}.att.time_decay"]
        decay.copy_(torch.linspace(-12, 6, decay.numel()).view_as(decay))
    model = load_model(write_pth(tmp_path / "extreme.pth", weights), "cpu fp32")
    expected, expected_state = model.forward(LONG_TEXT)
    assert bool(torch.isfinite(expected_state.wkv).all())
    logits, state = model.prefill(LONG_TEXT, chunk_tokens=chunk)
    assert_close(logits, expected, torch.float32)
    assert_states_close(state, expected_state)


@every_generation
def test_a_state_used_twice_gives_the_same_logits_and_is_unchanged(model: Model) -> None:
    _, state = model.forward([7, 8, 9])
    kept = [part.clone() for part in vars(state).values()]
    first, _ = model.forward([1, 2, 3], state)
    model.forward([4], state)
    second, _ = model.forward([1, 2, 3], state)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(kept, vars(state).values(), strict=True))


@every_generation
@pytest.mark.parametrize("part", ["time_mix_shift", "wkv", "channel_mix_shift"])
def test_every_part_of_the_state_is_remembered(model: Model, part: str) -> None:
    _, state = model.forward(PROMPT)
    forgot = vars(state) | {part: getattr(model.initial_state(), part)}
    remembered, _ = model.forward([7], state)
    assert not torch.allclose(model.forward([7], State(**forgot))[0], remembered, atol=1e-2)


@every_generation
def test_conversations_in_one_batch_do_not_touch_each_other(model: Model) -> None:
    tokens = random_tokens(3, 11)
    _, state = model.forward(tokens)
    together, after = model.forward(tokens.flip(0), state)
    for index in range(3):
        alone, alone_after = model.forward(tokens.flip(0)[index : index + 1], state.select(index))
        assert_close(together[index : index + 1], alone, torch.float32)
        assert_states_close(after.select(index), alone_after)


@every_generation
def test_a_trace_measures_the_states_that_forward_makes(model: Model) -> None:
    recording = model.trace(PROMPT)
    state, before, after = model.initial_state(), [], []
    for token in PROMPT:
        before.append(matrices(model, state))
        _, state = model.forward([token], state)
        after.append(matrices(model, state))
    states, changes = torch.stack(after), torch.stack(after) - torch.stack(before)
    # (T, L, H, ...), flattened over the state of a layer, then of a head.
    assert_close(recording.state_norm, states.flatten(2).norm(dim=-1).T, torch.float32)
    assert_close(recording.change_norm, changes.flatten(2).norm(dim=-1).T, torch.float32)
    assert_close(recording.head_norm, states[-1].flatten(2).norm(dim=-1), torch.float32)
    heads = model.config.n_layer, model.config.n_head, model.config.head_size
    assert recording.log_decay.shape == heads
    assert (recording.log_decay < 0).all()
    logits, last = model.forward(PROMPT)
    assert_close(recording.logits, logits[0], torch.float32)
    assert_states_close(recording.state, last)
    assert np.isnan(recording.surprise_bits[0])
    assert (recording.surprise_bits[1:] > 0).all()


def matrices(model: Model, state: State) -> torch.Tensor:
    """What trace measures, (L, H, ...): the wkv state, or RWKV-4's mean, which has no exponent."""
    wkv = state.wkv[:, 0]
    if not model.config.has_exponents:
        return wkv
    numerator, denominator = wkv[:, :1], wkv[:, 1:2]
    return torch.where(denominator > 0, numerator / denominator, torch.zeros(()))


@every_generation
def test_a_saved_state_comes_back_bit_by_bit(model: Model, tmp_path: Path) -> None:
    _, state = model.forward(PROMPT)
    path = tmp_path / "state.safetensors"
    state.save(path, model.config, model.fingerprint, tokens=5, text_tail="tail")
    loaded, tokens, tail = State.load(path, model.config, model.fingerprint)
    assert (tokens, tail) == (5, "tail")
    pairs = zip(vars(loaded).values(), vars(state).values(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)


@pytest.fixture(scope="module")
def continued_elsewhere(
    paths: Mapping[str, Path],
    models: Mapping[str, Model],
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, list[int]]:
    """What one new process makes of every generation's saved state."""
    folder, arguments = tmp_path_factory.mktemp("states"), []
    for name, model in models.items():
        _, state = model.forward(PROMPT[:-1])
        saved = folder / f"{name}.safetensors"
        last = str(PROMPT[-1])
        state.save(saved, model.config, model.fingerprint, tokens=4, text_tail=last)
        arguments += [str(paths[name]), str(saved)]
    done = subprocess.run(
        [sys.executable, "-c", CONTINUE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(models, json.loads(done.stdout), strict=True))


@every_generation
def test_a_saved_state_continues_in_a_new_process_with_the_same_text(
    model: Model, generation: str, continued_elsewhere: Mapping[str, list[int]]
) -> None:
    expected = greedy(model, *model.forward(PROMPT), CONTINUED)
    assert continued_elsewhere[generation] == expected
    assert len(set(expected)) > 1


@every_generation
def test_a_missing_tensor_is_named(generation: str, tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS[generation](**SIZES)
    del weights["blocks.2.ffn.key.weight"]
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor \(blocks\.2\.ffn\.key\.weight\)"):
        open_checkpoint(write_pth(tmp_path / "less.pth", weights))


@every_generation
def test_a_tensor_that_no_equation_uses_is_named(generation: str, tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS[generation](**SIZES) | {"blocks.1.att.extra": torch.zeros(3)}
    expected = rf"\(blocks\.1\.att\.extra\), which RWKV-{generation} does not know"
    with pytest.raises(CheckpointError, match=expected):
        open_checkpoint(write_pth(tmp_path / "more.pth", weights))


@every_generation
def test_a_tensor_of_another_shape_is_named(generation: str, tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS[generation](**SIZES)
    name = "blocks.1.ffn.value.weight"
    weights[name] = weights[name].T.contiguous()
    with pytest.raises(CheckpointError, match=r"tensor blocks\.1\.ffn\.value\.weight is"):
        open_checkpoint(write_pth(tmp_path / "turned.pth", weights))
