import json
import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import presets
from benchmarks import formats, quality
from benchmarks.formats import MODES, STRATEGIES, Amount, Shape
from presets.texts import public_text
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.tokenizer import load_tokenizer

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "formats.json"
TINY = Shape(n_layer=2, n_embd=64, head_size=64, vocab_size=120)


def test_errors_are_measured_in_the_spread_of_the_better_logits() -> None:
    exact = torch.tensor([[3.0, 1.0, -1.0, -3.0], [1.0, 3.0, -3.0, -1.0]])
    rounded = exact + torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.5, 0.0, 0.0, 0.0]])
    assert formats.errors(rounded, exact) == {
        "max_abs_over_std": pytest.approx(2.5 / math.sqrt(40 / 7), rel=1e-2),
        "relative_l2": pytest.approx(2.5 / math.sqrt(40), rel=1e-2),
        "same_top": 0.5,
    }


@pytest.mark.parametrize("generation", ["4", "7"])
def test_fewer_bits_cost_more_in_both_modes(generation: str) -> None:
    measured = formats.measure_generation(generation, TINY, Amount(tokens=5))
    assert measured.keys() == STRATEGIES.keys()
    for mode in MODES:
        found = [measured[name][mode]["relative_l2"] for name in STRATEGIES]
        fp32, bf16, fp16, int8, int4 = found
        assert 0 < fp32 < 1e-5 < fp16 < bf16 < int8 < int4 < 1


def test_both_modes_read_the_same_text() -> None:
    path = presets.default_model_path()
    model, tokens = load_model(path, "cpu fp32"), torch.tensor([[5, 6, 7, 8]])
    at_once, one_by_one = (read(model, tokens) for read in MODES.values())
    torch.testing.assert_close(one_by_one, at_once, atol=1e-3, rtol=1e-4)


def test_the_text_is_measured_in_bits_per_byte() -> None:
    path = presets.default_model_path()
    model = load_model(path, "cpu fp32")
    tokenizer, _ = load_tokenizer(path, model.config.vocab_size)
    measured = formats.measure_text(path, tokenizer, 200)
    nats, state = 0.0, None
    ids = [0, *tokenizer.encode(public_text()[:200])]
    for token, following in pairwise(ids):
        logits, state = model.forward([token], state)
        nats -= float(logits[0].log_softmax(0)[following])
    assert measured["bytes"] == 200
    for kind in ("bits_per_byte", "bits_per_byte_packed"):
        bits = measured[kind]
        assert bits["fp32"] == pytest.approx(nats / math.log(2) / 200, rel=1e-4)
        assert bits["int4"] != bits["int8"] != bits["fp32"]


def test_quantised_files_are_measured_as_they_run() -> None:
    path = presets.default_model_path()
    tokenizer, _ = load_tokenizer(path, open_checkpoint(path).config.vocab_size)
    measured = formats.measure_files(path, tokenizer, 200)
    exact = formats.measure_text(path, tokenizer, 200)["bits_per_byte_packed"]
    assert measured["Q8_0"]["bits"] < 10 > 6 > measured["Q4_0"]["bits"]
    assert measured["Q8_0"]["fp32"] == pytest.approx(exact["fp32"], rel=1e-3)
    for found in measured.values():
        assert found["int8"] == pytest.approx(found["fp32"], rel=2e-3)
        assert found["int4"] != found["int8"] != found["fp32"]


def test_the_command_measures_and_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "Shape", lambda: TINY)
    monkeypatch.setattr(formats, "Amount", partial(Amount, 3, 100))
    monkeypatch.setattr(formats, "GENERATIONS", ("6",))
    quality.main(["--formats", "--out", str(tmp_path / "out.json")])
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["formats"]["generations"].keys() == {"6"}
    assert formats.table(results["formats"]) in capsys.readouterr().out
    assert {"cpu", "versions", "commit"} <= results["machine"].keys()


def test_the_document_shows_the_measured_figures() -> None:
    results = json.loads(RESULTS.read_text())
    document = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    assert formats.table(results["formats"]) in document
    assert results["formats"]["generations"].keys() == set(formats.GENERATIONS)
    shipped = open_checkpoint(presets.default_model_path())
    assert results["model"]["fingerprint"] == shipped.fingerprint
