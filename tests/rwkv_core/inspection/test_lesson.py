from pathlib import Path

import numpy as np
import pytest

from rwkv_core.inspection.lab import Text, finish
from rwkv_core.inspection.lesson import STRETCHED_TO, explain_token
from tests.rwkv_core.inspection.test_comparison import lab_of

TEXT = Text(tuple(range(1, 20)))


@pytest.mark.parametrize("generation", ["4", "5.0", "6", "7"])
def test_the_lesson_holds_this_texts_own_keys_and_decays(generation: str, tmp_path: Path) -> None:
    found = finish(explain_token(lab_of(generation, tmp_path), TEXT, 1))
    assert len(found.keys) == len(TEXT.ids)
    assert found.stretched.max() == pytest.approx(STRETCHED_TO)
    np.testing.assert_allclose(found.keys / found.keys.max(), found.stretched / STRETCHED_TO)
    assert np.isinf(found.total.plain).any()
    assert np.isfinite(found.total.kept).all()
    assert ((found.decay > 0) & (found.decay <= 1)).all()
    if generation == "7":
        assert found.decay.min() > 0.545
