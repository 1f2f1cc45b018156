from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.inspection.lab import Lab, Text, finish
from rwkv_core.inspection.walk import Stage, Walk, walk_token
from tests.rwkv_core.inspection.test_comparison import lab_of

TEXT = Text((1, 2, 3, 4, 5, 6))
EVERY = pytest.mark.parametrize("generation", ["4", "5.0", "5.2", "6", "7", "7a"])


def stages(lab: Lab, layer: int = 1) -> dict[str, Stage]:
    return {stage.name: stage for stage in finish(walk_token(lab, TEXT, layer)).stages}


@EVERY
def test_the_walk_ends_where_a_plain_reading_does(generation: str, tmp_path: Path) -> None:
    lab = lab_of(generation, tmp_path)
    found = finish(walk_token(lab, TEXT, 1))
    logits, _ = lab.model.forward(list(TEXT.ids))
    chances = logits[0].double().softmax(-1)
    assert found.likeliest[0] == int(chances.argmax())
    np.testing.assert_allclose(found.chances[0], float(chances.max()), rtol=1e-3)


@EVERY
def test_each_generation_walks_its_own_stages(generation: str, tmp_path: Path) -> None:
    names = [
        stage.name for stage in finish(walk_token(lab_of(generation, tmp_path), TEXT, 0)).stages
    ]
    gate = ["gate"] if generation not in ("4", "5.0") else []
    rate = ["rate"] if generation.startswith("7") else []
    expected = ["shift", "receptance", *gate, "decay", *rate, "write", "read", "time_mix"]
    assert names == [*expected, "channel_mix"]


@pytest.mark.parametrize("generation", ["5.2", "6", "7"])
def test_fading_erasing_and_writing_are_those_of_the_states(
    generation: str, tmp_path: Path
) -> None:
    lab = lab_of(generation, tmp_path)
    write = stages(lab)["write"].numbers
    _, before = lab.model.forward(list(TEXT.ids[:-1]))
    _, after = lab.model.forward(list(TEXT.ids))
    S, S2 = before.wkv[1].double(), after.wkv[1].double()
    assert write["before"] == pytest.approx(float(S.norm()), rel=1e-4)
    assert write["after"] == pytest.approx(float(S2.norm()), rel=1e-4)
    assert write["changed"] == pytest.approx(float((S2 - S).norm() / S.norm()), rel=1e-4)


@pytest.mark.parametrize("generation", ["4", "5.2", "7"])
def test_the_share_of_the_token_before_is_that_of_the_weights(
    generation: str, tmp_path: Path
) -> None:
    lab = lab_of(generation, tmp_path)
    att = lab.model.network.layers[1].att
    if generation == "7":
        shares = att.get_parameter("x_k").detach().ravel()
    else:
        shares = 1 - att.get_parameter("time_mix_k").detach().ravel()
    _, state = lab.model.forward(list(TEXT.ids[:-1]))
    _, after = lab.model.forward([TEXT.ids[-1]], state)
    apart = (state.time_mix_shift - after.time_mix_shift)[1, 0].double()
    expected = float((shares.double() * apart**2).sum() / (apart**2).sum())
    assert stages(lab)["shift"].numbers["key"] == pytest.approx(expected, rel=1e-3)


def test_rwkv_4_says_how_much_of_its_mean_is_new(tmp_path: Path) -> None:
    lab = lab_of("4", tmp_path)
    found = stages(lab)["write"]
    _, before = lab.model.forward(list(TEXT.ids[:-1]))
    _, after = lab.model.forward(list(TEXT.ids))
    mean, mean2 = before.memory[1, 0, 0, 0].double(), after.memory[1, 0, 0, 0].double()
    share = torch.from_numpy(found.cells["share"].copy())
    v = torch.from_numpy(found.cells["v"].copy())
    torch.testing.assert_close(mean * (1 - share) + v * share, mean2, rtol=1e-4, atol=1e-5)
    exponent = float(after.wkv[1, 0, 2].max())
    assert found.numbers["largest_exponent"] == pytest.approx(exponent, rel=1e-5)


@EVERY
def test_what_both_halves_add_is_the_streams_change(generation: str, tmp_path: Path) -> None:
    lab = lab_of(generation, tmp_path)
    found = stages(lab)
    assert found["channel_mix"].numbers["added"] > 0
    assert found["time_mix"].numbers["added"] > 0
    assert 0 <= found["channel_mix"].numbers["active"] <= 1


def test_no_hook_stays_behind(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    assert isinstance(finish(walk_token(lab, TEXT, 0)), Walk)
    modules = lab.model.network.modules()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)


def test_what_cannot_be_walked_gets_a_sentence(tmp_path: Path) -> None:
    lab = lab_of("7", tmp_path)
    with pytest.raises(SettingsError, match="no layer 3; choose 1 to 2"):
        finish(walk_token(lab, TEXT, 2))
    with pytest.raises(InputError, match="at least two"):
        finish(walk_token(lab, Text((1,)), 0))
