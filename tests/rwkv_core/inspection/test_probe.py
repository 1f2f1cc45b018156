"""The probe on a model that is known to remember so many tokens and no more."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from rwkv_core.errors import InputError
from rwkv_core.inspection.lab import Lab, finish
from rwkv_core.inspection.probe import (
    Probe,
    Question,
    gained_bits,
    kept_tokens,
    probe_memory,
    probe_tokens,
    right_bits,
    right_choices,
    spaced_distances,
)
from rwkv_core.models import Model
from rwkv_core.state import State
from tests.rwkv_core.fakes import FakeTokenizer

V, SPAN, TOLD = 64, 40, (10, 11, 12)
FILLER = (1,) * 200
QUESTION = Question(
    facts=tuple((5, word) for word in TOLD), answers=tuple((word,) for word in TOLD), ask=(7, 8)
)


class Rememberer:
    """Remembers the last told word for SPAN tokens; then all tokens are alike again."""

    config = SimpleNamespace(vocab_size=V)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def forward(
        self, tokens: Tensor | list[int], state: State | None = None, *, all_logits: bool = False
    ) -> tuple[Tensor, State]:
        ids = torch.as_tensor(tokens)
        ids = ids[None] if ids.dim() == 1 else ids
        B, T = ids.shape
        self.calls.append(B * T)
        word, age = (
            (torch.zeros(B), torch.zeros(B))
            if state is None
            else (state.wkv[0, :, 0, 0, 0].clone(), state.wkv[0, :, 0, 0, 1].clone())
        )
        rows = []
        for column in ids.T:
            told = torch.isin(column, torch.tensor(TOLD))
            word = torch.where(told, column.float(), word)
            age = torch.where(told, 0.0, age + 1)
            logits = torch.zeros(B, V)
            known = (word > 0) & (age <= SPAN)
            logits[known, word[known].long()] = 10.0
            rows.append(logits)
        wkv = torch.zeros(1, B, 1, 1, 2)
        wkv[0, :, 0, 0, 0], wkv[0, :, 0, 0, 1] = word, age
        every = torch.stack(rows, 1)
        shift = torch.zeros(1, B, 1)
        return every if all_logits else every[:, -1], State(shift, wkv, shift)


@pytest.fixture
def lab() -> Lab:
    return Lab(cast(Model, Rememberer()), FakeTokenizer(), chunk_tokens=16)


def test_recall_ends_where_the_model_forgets(lab: Lab) -> None:
    found = finish(probe_memory(lab, (0,), QUESTION, FILLER, (0, 16, 38, 39, 128)))
    # The question is 2 tokens long: after 38 tokens of filler the age is exactly SPAN.
    certain = 10 / np.log(2) - np.log2(np.exp(10) + V - 1)
    expected = np.log2(np.exp(10) / (np.exp(10) + V - 1))
    np.testing.assert_allclose(right_bits(found)[:3], expected, atol=1e-6)
    np.testing.assert_allclose(right_bits(found)[3:], -6)
    assert certain < 0
    np.testing.assert_allclose(found.control_bits, -6)
    assert kept_tokens(found) == 38
    np.testing.assert_array_equal(right_choices(found)[:3], 1)
    np.testing.assert_array_equal(found.told_rank[:3], 1)
    np.testing.assert_allclose(gained_bits(found)[3:], 0, atol=1e-9)


def test_the_filler_is_read_once_and_the_questions_do_not_disturb_it(lab: Lab) -> None:
    distances = (0, 16, 32, 64)
    steps = list(probe_memory(lab, (0,), QUESTION, FILLER, distances))
    model = cast(Rememberer, lab.model)
    copies = len(TOLD) + 1
    facts = sum(3 for _ in TOLD) + 1
    assert sum(model.calls) == facts + copies * (64 + len(distances) * 2)
    assert max(model.calls) <= 16
    shown = [step.so_far for step in steps if isinstance(step.so_far, Probe)]
    assert [len(probe.distances) for probe in shown] == [1, 2, 3, 4]
    alone = finish(probe_memory(lab, (0,), QUESTION, FILLER, (64,)))
    np.testing.assert_allclose(shown[-1].told_bits[-1], alone.told_bits[0])


def test_an_answer_of_several_tokens_is_scored_as_a_whole(lab: Lab) -> None:
    question = Question(facts=((5, 10),), answers=((10, 20),), ask=(7,))
    found = finish(probe_memory(lab, (0,), question, FILLER, (0,)))
    _, state = lab.model.forward([0, 5, 10, 7])
    logits, after = lab.model.forward([7], lab.model.forward([0, 5, 10])[1])
    second, _ = lab.model.forward([10], after)
    expected = float(logits[0].log_softmax(-1)[10] + second[0].log_softmax(-1)[20]) / np.log(2)
    assert found.told_bits[0, 0, 0] == pytest.approx(expected, abs=1e-5)
    assert state is not None


def test_choices_are_by_chance_where_nothing_is_known() -> None:
    told = np.log2(np.array([[[0.5, 0.2], [0.6, 0.3]]]))
    probe = Probe(
        np.array([0]), told, np.log2([[0.25, 0.25]]), np.ones((1, 2), int), np.ones((1, 2), int), 9
    )
    # Both copies favour the first word, so one of two is right.
    np.testing.assert_array_equal(right_choices(probe), [0.5])
    assert kept_tokens(probe) is None


def test_distances_double_up_to_the_limit() -> None:
    assert spaced_distances(256) == (0, 16, 32, 64, 128, 256)
    assert spaced_distances(100) == (0, 16, 32, 64, 100)
    assert spaced_distances(0) == (0,)


def test_the_size_given_beforehand_is_about_what_is_read(lab: Lab) -> None:
    done = list(probe_memory(lab, (0,), QUESTION, FILLER, (0, 16, 32)))[-1].done
    assert done == pytest.approx(probe_tokens(QUESTION, (0, 16, 32)), rel=0.2)


@pytest.mark.parametrize(
    ("question", "filler", "words"),
    [
        (Question((), (), (7,)), FILLER, "0 answers"),
        (Question(((5,),) * 6, ((9,),) * 6, (7,)), FILLER, "give 1 to 5"),
        (Question(((5,),), ((),), (7,)), FILLER, "answer is empty"),
        (Question(((5,),), ((9,),), ()), FILLER, "question or an answer is empty"),
        (QUESTION, FILLER[:10], "filler has 10 tokens"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(
    lab: Lab, question: Question, filler: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        finish(probe_memory(lab, (0,), question, filler, (0, 16)))
