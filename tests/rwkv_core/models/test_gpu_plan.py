"""Whole models as a GPU runs them, played by the CPU: every generation, every weight format."""

import weakref
from pathlib import Path

import pytest
import torch

from kernels.build import BuildError
from kernels.cuda.device import Device
from rwkv_core.config import Choice
from rwkv_core.errors import ShapeError
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import GENERATIONS, open_checkpoint
from rwkv_core.models.runtime import CUDA, Runtime, choose_runtime, planned_gpu
from rwkv_core.state import State
from rwkv_core.strategy import parse_strategy
from tests.generations import RANDOM_WEIGHTS, assert_states_close, random_state, random_tokens
from tests.kernels.cuda.emulator import Emulator
from tests.tolerances import assert_close

FORMATS = ["cpu fp32", "cpu bf16", "cpu int8", "cpu int4"]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    try:
        return Emulator(tmp_path_factory.mktemp("emulator")).device()
    except BuildError as error:
        pytest.skip(str(error))


def save(folder: Path, generation: str) -> Path:
    weights = RANDOM_WEIGHTS[generation](
        seed=0, n_layer=2, n_embd=48, head_size=16, vocab_size=50, dtype=torch.bfloat16
    )
    path = folder / "model.pth"
    torch.save(weights, path)
    return path


def on_device(path: Path, strategy: str, device: Device) -> Model:
    """Load a model as if the CPU were a GPU."""
    checkpoint, placement = open_checkpoint(path), parse_strategy(strategy)
    operator = GENERATIONS[checkpoint.config.generation].select_operator(checkpoint.config)
    runtime = Runtime(Choice(CUDA, "for the test"), gpu=device)
    return Model(checkpoint, placement, operator, "for the test", runtime)


CASES = [*((generation, "cpu fp32") for generation in RANDOM_WEIGHTS)]
CASES += [(generation, format) for generation in ("6", "7") for format in FORMATS[1:]]


@pytest.mark.parametrize(("generation", "strategy"), CASES)
def test_a_model_writes_what_torch_writes(
    tmp_path: Path, device: Device, generation: str, strategy: str
) -> None:
    path = save(tmp_path, generation)
    # What bf16 keeps of a bf16 file is all of it, and the plan rounds nothing else.
    exact = strategy.replace("bf16", "fp32")
    mine, torchs = on_device(path, strategy, device), load_model(path, exact, kernel="torch")
    for batch, length in ((1, 1), (3, 2)):
        tokens, state = random_tokens(batch, length), random_state(mine, batch)
        if mine.config.has_exponents:
            _, state = torchs.forward(tokens, mine.initial_state(batch))
        other, kept = state, [part.clone() for part in vars(state).values()]
        for t in range(length):
            logits, state = mine.forward(tokens[:, t : t + 1], state)
            expected, other = torchs.forward(tokens[:, t : t + 1], other)
            assert_close(logits, expected, torch.float32)
        assert_states_close(state, other)
        assert kept[0].shape[1] == batch


@pytest.mark.parametrize("shape", [(1, 5), (3, 4)], ids=str)
@pytest.mark.parametrize(("generation", "strategy"), CASES)
def test_a_model_reads_a_text_as_torch_does(
    tmp_path: Path, device: Device, generation: str, strategy: str, shape: tuple[int, int]
) -> None:
    path = save(tmp_path, generation)
    mine, torchs = on_device(path, strategy, device), load_model(path, strategy, kernel="torch")
    tokens, state = random_tokens(*shape), random_state(mine, shape[0])
    if mine.config.has_exponents:
        _, state = torchs.forward(random_tokens(shape[0], 2), mine.initial_state(shape[0]))
    kept = [part.clone() for part in vars(state).values()]
    dtype = torch.float32 if strategy == "cpu fp32" else torch.bfloat16
    for all_logits in (False, True):
        logits, after = mine.forward(tokens, state, all_logits=all_logits)
        expected, other = torchs.forward(tokens, state, all_logits=all_logits)
        assert logits.shape == expected.shape
        assert_close(logits, expected, dtype)
        assert_states_close(after, other, dtype)
    assert all(map(torch.equal, vars(state).values(), kept))


def test_a_text_longer_than_the_room_is_read_in_pieces(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "7")
    mine, torchs = on_device(path, "cpu fp32", device), load_model(path, kernel="torch")
    monkeypatch.setattr("kernels.cuda.program.MAX_ROWS", 4)
    for shape in ((2, 5), (5, 2)):
        tokens, state = random_tokens(*shape), random_state(mine, shape[0])
        for all_logits in (False, True):
            logits, after = mine.forward(tokens, state, all_logits=all_logits)
            expected, other = torchs.forward(tokens, state, all_logits=all_logits)
            assert_close(logits, expected, torch.float32)
            assert_states_close(after, other)


def test_a_batch_beyond_eight_uses_the_library_and_agrees(tmp_path: Path, device: Device) -> None:
    path = save(tmp_path, "7")
    mine, torchs = on_device(path, "cpu fp32", device), load_model(path, kernel="torch")
    tokens, state = random_tokens(9, 1), random_state(mine, 9)
    before = [part.clone() for part in vars(state).values()]
    logits, after = mine.forward(tokens, state)
    expected, other = torchs.forward(tokens, state)
    assert_close(logits, expected, torch.float32)
    assert_states_close(after, other)
    assert all(map(torch.equal, vars(state).values(), before))


def test_reading_a_text_and_writing_on_fit_together(tmp_path: Path, device: Device) -> None:
    path = save(tmp_path, "7")
    mine = on_device(path, "cpu int4", device)
    tokens = random_tokens(2, 3)
    at_once, state = mine.forward(tokens, all_logits=True)
    after: State | None = None
    for t in range(3):
        one, after = mine.forward(tokens[:, t : t + 1], after, all_logits=True)
        assert one.shape == (2, 1, 50)
        assert_close(one[:, 0], at_once[:, t], torch.float32)
    assert after is not None
    assert_states_close(after, state)


def test_a_released_model_gives_its_memory_back_at_once(tmp_path: Path, device: Device) -> None:
    mine = on_device(save(tmp_path, "7"), "cpu fp32", device)
    for batch in (1, 9):
        mine.forward(random_tokens(batch, 1))
    program = weakref.ref(mine._program)
    mine.release()
    assert program() is None


def test_a_state_of_another_model_is_refused(tmp_path: Path, device: Device) -> None:
    mine = on_device(save(tmp_path, "7"), "cpu fp32", device)
    state = mine.initial_state()
    wrong = State(state.time_mix_shift[..., :-1], state.wkv, state.channel_mix_shift)
    with pytest.raises(ShapeError, match="give a state of this model"):
        mine.forward([1], wrong)


@pytest.mark.parametrize(
    ("strategy", "is_planned"),
    [
        ("cuda fp16", True),
        ("cuda:1 int4", True),
        ("cuda fp16 *1 -> cpu fp32", False),
        ("cuda fp16 *1+", False),
        ("cpu fp32", False),
    ],
)
def test_models_that_lie_on_one_gpu_are_planned(
    tmp_path: Path, strategy: str, is_planned: bool
) -> None:
    config = open_checkpoint(save(tmp_path, "7")).config
    placement = parse_strategy(strategy, must_be_here=False)
    assert (planned_gpu(config, placement) is not None) == is_planned


def test_the_choice_is_shown_with_its_reason_and_a_broken_toolchain_with_its_own(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = open_checkpoint(save(tmp_path, "7")).config
    placement = parse_strategy("cuda:0 fp16", must_be_here=False)
    monkeypatch.setattr("kernels.operators.open_device", lambda gpu: device)
    operator = GENERATIONS["7"].select_operator(config, [torch.device("cuda:0")])
    monkeypatch.setattr("rwkv_core.models.runtime.open_device", lambda gpu: device)
    chosen = choose_runtime(config, placement, operator)
    assert chosen.gpu is device
    assert chosen.kernel.value == "CUDA"
    assert "NVRTC" in chosen.kernel.reason

    def refuse(gpu: torch.device) -> Device:
        raise BuildError("NVRTC was lost")

    monkeypatch.setattr("rwkv_core.models.runtime.open_device", refuse)
    left = choose_runtime(config, placement, operator)
    assert left.gpu is None
    assert left.kernel.value == "CUDA"  # of the recurrence, between torch's matrices
    assert "torch's matrices: NVRTC was lost" in left.kernel.reason
    asked = choose_runtime(config, placement, operator, kernel="torch")
    assert "torch's matrices: asked for" in asked.kernel.reason


@pytest.mark.cuda
@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_on_a_gpu_a_model_agrees_with_the_cpu(tmp_path: Path, generation: str) -> None:
    path = save(tmp_path, generation)
    gpu, cpu = load_model(path, "cuda fp32"), load_model(path, "cpu fp32", kernel="torch")
    assert gpu.choices["kernel"].value == CUDA, gpu.choices["kernel"].reason
    tokens = random_tokens(3, 12)
    logits, state = gpu.forward(tokens[:, :7])
    expected, other = cpu.forward(tokens[:, :7])
    for t in range(7, 12):  # launched, recorded, replayed
        logits, state = gpu.forward(tokens[:, t : t + 1], state)
        expected, other = cpu.forward(tokens[:, t : t + 1], other)
        assert_close(logits.cpu(), expected, torch.float32)
    assert_states_close(state.to("cpu"), other)
