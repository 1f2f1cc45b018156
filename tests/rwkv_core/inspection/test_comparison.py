from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection.comparison import (
    compare_texts,
    cosine,
    distance,
    expectations,
    kl_bits,
    likeness,
)
from rwkv_core.inspection.lab import Lab, Text, finish
from rwkv_core.models import load_model
from rwkv_core.sampling import SamplingSettings
from tests.checkpoints import write_safetensors
from tests.generations import RANDOM_WEIGHTS
from tests.rwkv_core.fakes import FakeTokenizer

TOKENIZER = FakeTokenizer()


def lab_of(generation: str, tmp_path: Path) -> Lab:
    weights = RANDOM_WEIGHTS[generation](
        seed=0, n_layer=2, n_embd=32, head_size=8, vocab_size=TOKENIZER.vocab_size
    )
    return Lab(load_model(write_safetensors(tmp_path / "m.safetensors", weights)), TOKENIZER)


def test_cosine_and_distance_of_known_rows() -> None:
    a = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    b = np.array([[0.0, 1.0], [-2.0, 0.0], [3.0, 3.0], [1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosine(a, b), [0, -1, 1, np.nan, np.nan])
    np.testing.assert_allclose(distance(a, b), [np.sqrt(2), 2, 1, 2, 0])


def test_kl_of_known_distributions() -> None:
    p, q = np.log([[0.5, 0.5]]).astype(np.float32), np.log([[0.75, 0.25]]).astype(np.float32)
    expected = 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)
    np.testing.assert_allclose(kl_bits(p, q), [expected], rtol=1e-6)
    assert kl_bits(p, p + 7) == pytest.approx(0, abs=1e-9)


def test_the_words_that_differ_most_are_named_for_each_side() -> None:
    p = np.log(np.array([0.5, 0.3, 0.1, 0.1], np.float32))
    q = np.log(np.array([0.1, 0.2, 0.6, 0.1], np.float32))
    found = expectations(p, q, count=2)
    assert [mover.id for mover in found.only_first] == [0, 1]
    assert [mover.id for mover in found.only_second] == [2]
    assert found.only_second[0].change == pytest.approx(0.5)
    assert found.kl_bits == pytest.approx(float(kl_bits(p, q)))
    assert found.reverse_kl_bits == pytest.approx(float(kl_bits(q, p)))


@pytest.mark.parametrize("generation", ["4", "5.0", "6", "7", "7a"])
def test_a_text_compared_with_itself_is_the_same_in_everything(
    generation: str, tmp_path: Path
) -> None:
    settings = GenerationSettings(SamplingSettings(temperature=1, seed=5), max_tokens=6)
    ids = Text(tuple(TOKENIZER.encode("abcd")))
    found = finish(compare_texts(lab_of(generation, tmp_path), ids, ids, (), settings))
    np.testing.assert_allclose(found.likeness.memory_cosine, 1)
    np.testing.assert_array_equal(found.likeness.memory_distance, 0)
    np.testing.assert_array_equal(found.likeness.shift_distance, 0)
    assert found.expectations.kl_bits < 1e-9
    assert found.texts[0] == found.texts[1]


def test_the_numbers_are_those_of_the_raw_states(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    settings = GenerationSettings(SamplingSettings(seed=5), max_tokens=3)
    first, second, cue = (TOKENIZER.encode(text) for text in ("abcd", "abce fg", "hi"))
    found = finish(compare_texts(lab, Text(tuple(first)), Text(tuple(second)), cue, settings))
    (_, a), (_, b) = lab.model.forward(first), lab.model.forward(second)
    flat = [state.wkv[:, 0].flatten(1).double() for state in (a, b)]
    expected = torch.cosine_similarity(flat[0], flat[1])
    np.testing.assert_allclose(found.likeness.memory_cosine, expected, rtol=1e-4)
    logits = [lab.model.forward(cue, state)[0][0].double() for state in (a, b)]
    p, q = (row.log_softmax(-1) for row in logits)
    expected_kl = float((p.exp() * (p - q)).sum() / np.log(2))
    assert found.expectations.kl_bits == pytest.approx(expected_kl, rel=1e-3, abs=1e-6)


def test_rwkv_4_memories_are_compared_whatever_their_exponent(tmp_path: Path) -> None:
    lab = lab_of("4", tmp_path)
    _, state = lab.model.forward([5, 6, 7])
    numerator, denominator, exponent = state.wkv.unbind(2)
    again = replace(state, wkv=torch.stack([numerator / 8, denominator / 8, exponent + 2.0794], 2))
    found = likeness(state, again)
    np.testing.assert_allclose(found.memory_distance, 0, atol=1e-6)
