"""What only the last logits need is made for the last tokens only: every generation, every format."""

from pathlib import Path

import pytest
import torch

from kernels.plan_parts import KINDS
from kernels.program import Program
from rwkv_core.models import Model, load_model
from rwkv_core.models.runtime import PACKED
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, assert_states_close, random_tokens
from tests.tolerances import PACKED_INPUTS, assert_close

# Two blocks of 64 channels, the second half full.
SIZES = {"n_layer": 3, "n_embd": 96, "head_size": 16}
STRATEGIES = ("cpu fp32", "cpu bf16", "cpu int8", "cpu int4")


def packed(folder: Path, generation: str, strategy: str) -> Model:
    weights = RANDOM_WEIGHTS[generation](**SIZES, dtype=torch.bfloat16)
    model = load_model(write_pth(folder / "model.pth", weights), strategy, threads=2)
    if model.choices["kernel"].value != PACKED:
        pytest.skip(model.choices["kernel"].reason)
    return model


def program_of(model: Model) -> Program:
    assert isinstance(model._program, Program)
    return model._program


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_last_logits_and_states_are_those_of_reading_for_all_logits(
    generation: str, strategy: str, tmp_path: Path
) -> None:
    model = packed(tmp_path, generation, strategy)
    _, start = model.forward(random_tokens(1, 3, seed=5))
    limit = torch.float32 if strategy == "cpu fp32" else PACKED_INPUTS["int8 by 32"]
    # The last of these is read in two pieces, the first of which has no logits.
    for length in (1, 2, 3, 9, 40, 193, 300):
        tokens = random_tokens(1, length)
        expected, after = model.forward(tokens, start, all_logits=True)
        # Who needs what was not made would find it.
        program_of(model)._arena.fill_(torch.nan)
        logits, state = model.forward(tokens, start)
        assert_close(logits, expected[:, -1], limit)
        assert_states_close(state, after, limit)


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_a_plan_ends_with_steps_of_the_last_tokens(generation: str, tmp_path: Path) -> None:
    _, steps, phases = program_of(packed(tmp_path, generation, "cpu int8"))._arrays
    recurrences = [n for n, step in enumerate(steps) if KINDS[step.kind].startswith("wkv")]
    assert len(recurrences) == SIZES["n_layer"]
    behind = [step.tail for step in steps[recurrences[-1] + 1 :]]
    # The shift needs the token before; logits pick theirs.
    assert set(behind[:-1]) == {1, 2}
    assert behind[-1] == 0
    # Ahead are r and the gate, and no layer but the last.
    ahead = [n for n, step in enumerate(steps[: recurrences[-1]]) if step.tail]
    assert all(recurrences[-2] < n for n in ahead)
    assert {KINDS[steps[n].kind] for n in ahead} <= {"mix", "product", "round", "affine"}
    assert len(ahead) >= 2
    for phase in phases:
        own = [step.tail for step in steps[phase.first : phase.first + phase.count]]
        assert phase.tail == (max(own) if all(own) else 0)
