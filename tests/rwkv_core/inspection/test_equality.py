from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.inspection.equality import compare_modes, relative_difference, state_differences
from rwkv_core.inspection.lab import finish
from rwkv_core.state import State
from tests.rwkv_core.inspection.test_comparison import lab_of

TEXT = tuple(1 + 7 * n % 250 for n in range(11))


def ticks() -> Iterator[float]:
    """A clock that a look moves on: by 1 s while reading at once, by less later."""
    now = 0.0
    while True:
        yield now
        now += 1.0


@pytest.mark.parametrize("generation", ["4", "5.0", "6", "7", "7a"])
def test_the_numbers_are_those_of_a_direct_computation(generation: str, tmp_path: Path) -> None:
    lab = replace(lab_of(generation, tmp_path), chunk_tokens=4)
    found = finish(compare_modes(lab, TEXT))
    pieces, state = [], None
    for at in range(0, len(TEXT), 4):
        logits, state = lab.model.forward(torch.tensor([TEXT[at : at + 4]]), state, all_logits=True)
        pieces.append(logits[0])
    rows, one_by_one = [], None
    for token in TEXT:
        logits, one_by_one = lab.model.forward([token], one_by_one)
        rows.append(logits[0])
    gpt, rnn = torch.cat(pieces).double(), torch.stack(rows).double()
    np.testing.assert_allclose(found.difference, (gpt - rnn).abs().amax(1), rtol=1e-12)
    assert found.logit_spread == pytest.approx(float(rnn.std(correction=0)))
    assert found.same_likeliest == int((gpt.argmax(1) == rnn.argmax(1)).sum())
    # Float32, so the two ways may differ, but hardly.
    assert found.difference.max() < 1e-3 * found.logit_spread
    assert found.memory_difference.max() < 1e-4
    assert state is not None


def test_a_difference_that_is_there_is_measured(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    _, state = lab.model.forward(list(TEXT))
    wkv = state.wkv.clone()
    wkv[1] *= 1.5
    memory, shift = state_differences(
        State(state.time_mix_shift, wkv, state.channel_mix_shift), state
    )
    np.testing.assert_allclose(memory, [0, 0.5], atol=1e-6)
    np.testing.assert_array_equal(shift, [0, 0])


def test_relative_difference_of_known_rows() -> None:
    a, b = (
        np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]),
        np.array([[0.0, 0.0], [0.0, 0.0], [2.0, 0.0]]),
    )
    np.testing.assert_array_equal(relative_difference(a, b), [np.inf, 0, 0.5])


def test_times_are_those_of_the_model_alone(tmp_path: Path) -> None:
    lab = replace(lab_of("7", tmp_path), chunk_tokens=8)
    clock = ticks()
    found = finish(compare_modes(lab, TEXT, clock=lambda: next(clock)))
    # Each call of the model lies between two looks at the clock: 2 pieces, 11 tokens.
    assert (found.gpt_s, found.rnn_s, found.piece_tokens) == (2.0, 11.0, 8)
