from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwkv_core.inspection.lab import Text, finish
from rwkv_core.inspection.lesson import STRETCHED_TO, explain_token
from rwkv_core.recording import Wanted
from rwkv_core.sessions import Snapshot
from tests.rwkv_core.inspection.test_comparison import lab_of

TEXT = Text(tuple(range(1, 20)))


@pytest.mark.parametrize("generation", ["4", "5.0", "6", "7"])
def test_the_lesson_holds_this_texts_own_keys_and_decays(generation: str, tmp_path: Path) -> None:
    lab = lab_of(generation, tmp_path)
    found = finish(explain_token(lab, TEXT, 1))
    assert (found.first, len(found.keys)) == (0, len(TEXT.ids))
    # Of the whole layer, the head whose cells the walk shows among it.
    assert found.decay.shape == (lab.model.config.n_embd,)
    (cells,) = (stage.cells["w"] for stage in found.walk.stages if stage.name == "decay")
    np.testing.assert_allclose(np.isin(cells.round(5), found.decay.round(5)), 1)
    assert found.stretched.max() == pytest.approx(STRETCHED_TO)
    np.testing.assert_allclose(found.keys / found.keys.max(), found.stretched / STRETCHED_TO)
    assert np.isinf(found.total.plain).any()
    assert np.isfinite(found.total.kept).all()
    assert ((found.decay > 0) & (found.decay <= 1)).all()
    if generation == "7":
        assert found.decay.min() > 0.545


@pytest.mark.parametrize("generation", ["4", "7"])
@pytest.mark.parametrize("root", ["", "3-held"])
def test_the_keys_at_the_end_are_those_after_all_that_came_before(
    generation: str, root: str, tmp_path: Path
) -> None:
    lab = replace(lab_of(generation, tmp_path), chunk_tokens=8)
    state = None
    if root:
        _, state = lab.model.forward([40, 41, 42])
        held = Snapshot(0, state, np.zeros(0, np.float32))
        lab = replace(lab, recall=lambda _text: held)
    found = finish(explain_token(lab, TEXT._replace(root=root), 1))
    wanted = Wanted(inputs_tokens=8, layers=(1,))
    k = lab.model.trace(list(TEXT.ids), state, wanted=wanted).layers[1].k.reshape(8, -1)
    assert found.first == len(TEXT.ids) - 8
    np.testing.assert_allclose(found.keys, k[:, k.max(0).argmax()], rtol=1e-4, atol=1e-5)


def test_one_token_after_a_held_memory_is_a_text(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    held = Snapshot(0, lab.model.forward([40, 41])[1], np.zeros(0, np.float32))
    lab = replace(lab, recall=lambda _text: held)
    found = finish(explain_token(lab, Text((5,), "2-held"), 1))
    assert (found.first, len(found.keys)) == (0, 1)
