from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.peers import Runs
from benchmarks.peers_torch import OurEngine, ProbeEngine, RwkvEngine
from benchmarks.speed import random_ids, zero_share
from rwkv_core.models import load_model
from tests.checkpoints import random_weights, write_pth
from tests.cpu_features import has


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_pth(tmp_path / "m.pth", random_weights(n_layer=2, n_embd=64, head_size=64))


@pytest.mark.skipif(not has(["avx2", "fma", "f16c"]), reason="its code could not run here")
def test_ours_is_compiled_for_the_processor_asked_for(model: Path) -> None:
    with Runs(model, None, 1, "avx2").torch("ours", str(model), "cpu int8") as engine:
        assert "; AVX2; " in engine.facts["how"]
        assert engine.array("decode", ids=[1, 2]).shape == (50,)


def test_our_three_ways_of_reading_agree(model: Path) -> None:
    engine = OurEngine(str(model), "cpu fp32")
    ids = random_ids(5, 50)
    together = engine.batch(ids, 3)
    for row in range(3):
        turned = ids[row:] + ids[:row]
        np.testing.assert_allclose(together[row], engine.decode(turned), atol=1e-4)
        np.testing.assert_allclose(together[row], engine.prefill(turned), atol=1e-4)


def test_reading_every_row_changes_the_bytes_and_not_the_logits(model: Path) -> None:
    skipping, reading = (OurEngine(str(model), "cpu fp32", skips=skips) for skips in (True, False))
    ids = random_ids(4, 50)
    np.testing.assert_allclose(skipping.decode(ids), reading.decode(ids), atol=1e-6)
    assert skipping.facts()["bytes_per_token"] == reading.facts()["bytes_per_token"]
    assert skipping.facts()["skippable_bytes"] > 0
    assert reading.facts()["skippable_bytes"] == 0


def test_zeros_are_those_of_the_squared_relu(tmp_path: Path) -> None:
    weights = random_weights(n_layer=2, n_embd=64, head_size=64)
    quiet = weights | {"blocks.0.ffn.key.weight": torch.zeros(256, 64)}
    # All zeros in one of two layers, about half of the other's.
    share = zero_share(load_model(write_pth(tmp_path / "m.pth", quiet), "cpu fp32"))
    assert 0.65 < share < 0.85


def test_the_package_reads_one_sequence_at_a_time() -> None:
    assert set(RwkvEngine.tasks(RwkvEngine.__new__(RwkvEngine))) <= {"decode", "prefill"}


def test_the_probe_finds_a_plausible_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.MEMORY_BYTES", 2**22)
    assert 1e8 < float(ProbeEngine().probe()) < 1e13
