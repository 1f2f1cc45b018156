from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import InputError
from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection.comparison import kl_bits
from rwkv_core.inspection.editing import Gain, KeepSlow, ZeroLayer, apply_edit, blend
from rwkv_core.inspection.lab import Text, finish
from rwkv_core.inspection.trial import Recipe, Trial, make_memory, try_recipe
from rwkv_core.sampling import SamplingSettings
from rwkv_core.sessions import Snapshot
from tests.rwkv_core.inspection.test_comparison import lab_of

A, B, CUE = (1, 2, 3, 4, 5), (9, 8, 7), (11, 12)
# Rows of one batch may differ in the last bit.
ROUNDING = 1e-9
SETTINGS = GenerationSettings(SamplingSettings(temperature=1, seed=5), max_tokens=5)
EVERY = pytest.mark.parametrize("generation", ["4", "5.1", "6", "7"])


@EVERY
@pytest.mark.parametrize("cue", [(), CUE], ids=["no cue", "cue"])
def test_no_change_at_all_has_no_effect_at_all(
    generation: str, cue: tuple[int, ...], tmp_path: Path
) -> None:
    found = finish(
        try_recipe(lab_of(generation, tmp_path), Recipe((Text(A),), (1,), (), cue), SETTINGS)
    )
    assert found.kl_bits[0] < ROUNDING
    assert found.expectations.only_second == ()
    assert found.texts[0] == found.texts[1]
    np.testing.assert_array_equal(found.likeness.memory_distance, 0)


@EVERY
def test_the_ends_of_a_blend_write_what_their_sources_write(
    generation: str, tmp_path: Path
) -> None:
    lab = lab_of(generation, tmp_path)
    for weights, source in (((1, 0), 0), ((0, 1), 1)):
        found = finish(try_recipe(lab, Recipe((Text(A), Text(B)), weights, (), CUE), SETTINGS))
        assert found.kl_bits[source] < ROUNDING
        assert found.kl_bits[1 - source] > 100 * ROUNDING
        assert found.texts[2] == found.texts[source]


def test_the_effect_is_that_of_a_direct_computation(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    edits = (ZeroLayer(0), Gain(2.0))
    found = finish(try_recipe(lab, Recipe((Text(A), Text(B)), (1, 3), edits, CUE), SETTINGS))
    (_, a), (_, b) = lab.model.forward(list(A)), lab.model.forward(list(B))
    changed = blend([a, b], (1, 3))
    for edit in edits:
        changed = apply_edit(changed, edit)
    plain, _ = lab.model.forward(list(CUE), a)
    logits, _ = lab.model.forward(list(CUE), changed)
    assert found.expectations.kl_bits == pytest.approx(
        float(kl_bits(plain[0].numpy(), logits[0].numpy())), rel=1e-3
    )
    made = finish(make_memory(lab, Recipe((Text(A), Text(B)), (1, 3), edits, CUE)))
    torch.testing.assert_close(made.state.wkv, changed.wkv, rtol=1e-4, atol=1e-5)
    assert (made.tokens, made.logits) == (len(A), None)


def test_the_last_token_is_held_back_where_there_is_no_cue(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    made = finish(make_memory(lab, Recipe((Text(A),), (1,), (ZeroLayer(0),))))
    _, before = lab.model.forward(list(A[:-1]))
    logits, _ = lab.model.forward([A[-1]], apply_edit(before, ZeroLayer(0)))
    assert made.logits is not None
    np.testing.assert_allclose(made.logits, logits[0], rtol=1e-3, atol=1e-4)
    mixed = finish(make_memory(lab, Recipe((Text(A), Text(B)), (1, 1))))
    other = lab.model.forward(list(B[:-1]))[1]
    logits, _ = lab.model.forward([A[-1]], blend([before, other], (1, 1)))
    assert mixed.logits is not None
    np.testing.assert_allclose(mixed.logits, logits[0], rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="has only 1"):
        finish(try_recipe(lab, Recipe((Text((1,)),), (1,)), SETTINGS))


@pytest.mark.parametrize("cue", [(), CUE], ids=["no cue", "cue"])
def test_a_memory_counts_the_tokens_that_its_root_had_read(
    cue: tuple[int, ...], tmp_path: Path
) -> None:
    lab = lab_of("7", tmp_path)
    root = Snapshot(0, lab.model.forward(list(B))[1], np.empty(0, np.float32))
    lab = replace(lab, recall=lambda _text: root)
    made = finish(make_memory(lab, Recipe((Text(A, "29-loaded"),), (1,), (), cue)))
    assert made.tokens == 29 + len(A)


@pytest.mark.parametrize(("limit", "is_same"), [(0.0, True), (1e9, False)])
def test_slow_channels_are_told_by_what_the_text_does(
    limit: float, is_same: bool, tmp_path: Path
) -> None:
    lab = lab_of("6", tmp_path)
    recipe = Recipe((Text(A),), (1,), (KeepSlow(limit),), CUE)
    assert (finish(try_recipe(lab, recipe, SETTINGS)).kl_bits[0] < ROUNDING) == is_same


def test_the_text_grows_while_it_is_written(tmp_path: Path) -> None:
    steps = try_recipe(lab_of("7", tmp_path), Recipe((Text(A),), (1,), (Gain(3),), CUE), SETTINGS)
    shown = [step.so_far for step in steps if isinstance(step.so_far, Trial)]
    assert len(shown) == SETTINGS.max_tokens
    assert shown[0].expectations.kl_bits == shown[-1].expectations.kl_bits
