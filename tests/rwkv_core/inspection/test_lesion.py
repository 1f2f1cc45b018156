from pathlib import Path

import numpy as np
import pytest

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.inspection.comparison import kl_bits
from rwkv_core.inspection.editing import ZeroHead, ZeroLayer, apply_edit
from rwkv_core.inspection.lab import Text, finish
from rwkv_core.inspection.lesion import Lesions, lesion, strongest, tokens_of
from tests.rwkv_core.inspection.test_comparison import lab_of

TEXT, CUE = (1, 2, 3, 4, 5, 6), (11, 12)


@pytest.mark.parametrize("generation", ["4", "5.2", "6", "7"])
def test_each_layers_effect_is_that_of_emptying_it_alone(generation: str, tmp_path: Path) -> None:
    lab = lab_of(generation, tmp_path)
    found = finish(lesion(lab, Text(TEXT), CUE))
    _, before = lab.model.forward(list(TEXT))
    whole, _ = lab.model.forward(list(CUE), before)
    assert found.whole_likeliest == int(whole.argmax())
    for layer in range(2):
        logits, _ = lab.model.forward(list(CUE), apply_edit(before, ZeroLayer(layer)))
        expected = kl_bits(whole[0].numpy(), logits[0].numpy())
        assert found.kl_bits[layer] == pytest.approx(float(expected), rel=1e-3, abs=1e-9)
        assert found.likeliest[layer] == int(logits.argmax())


def test_heads_are_measured_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_core.inspection.lesion.BATCH", 3)
    lab = lab_of("6", tmp_path)
    found = finish(lesion(lab, Text(TEXT), (), by_head=True))
    _, before = lab.model.forward(list(TEXT[:-1]))
    whole, _ = lab.model.forward([TEXT[-1]], before)
    logits, _ = lab.model.forward([TEXT[-1]], apply_edit(before, ZeroHead(1, 2)))
    assert found.kl_bits.shape == (2, 4)
    expected = float(kl_bits(whole[0].numpy(), logits[0].numpy()))
    assert found.kl_bits[1, 2] == pytest.approx(expected, rel=1e-3)


def test_what_is_known_is_shown_and_the_count_is_right(tmp_path: Path) -> None:
    steps = list(lesion(lab_of("7", tmp_path), Text(TEXT), CUE))
    assert isinstance(steps[-1].so_far, Lesions)
    assert steps[-1].done == tokens_of(2, 4, len(TEXT), len(CUE), by_head=False)


def test_the_strongest_part_is_found_past_what_is_not_measured() -> None:
    table = np.array([[0.1, np.nan], [0.5, 0.2]])
    found = Lesions(table, np.zeros((2, 2), int), table, 0, 1.0)
    assert strongest(found) == (1, 0)


def test_what_cannot_be_damaged_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no heads"):
        finish(lesion(lab_of("4", tmp_path), Text(TEXT), CUE, by_head=True))
    with pytest.raises(InputError, match="longer"):
        finish(lesion(lab_of("7", tmp_path), Text((1,)), ()))
