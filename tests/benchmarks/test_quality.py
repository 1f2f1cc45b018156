import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import presets
from benchmarks import quality
from benchmarks.questions import Question
from rwkv_core.models.loading import open_checkpoint
from tests.benchmarks.conftest import VOCAB_SIZE
from tests.checkpoints import random_weights, write_safetensors

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
NOT_MEASURED = "Not measured yet."


def shipped_results() -> dict[str, Any] | None:
    results: dict[str, Any] | None = json.loads(RESULTS.read_text()) if RESULTS.exists() else None
    return results


def test_the_card_shows_the_measured_figures() -> None:
    card = (ROOT / "presets" / "default" / "README.md").read_text(encoding="utf-8")
    results = shipped_results()
    assert (quality.table(results) if results else NOT_MEASURED) in card
    assert (NOT_MEASURED in card) == (results is None)


def test_the_measured_model_is_the_shipped_one() -> None:
    results = shipped_results()
    if results is not None:
        shipped = open_checkpoint(presets.default_model_path())
        assert results["model"]["fingerprint"] == shipped.fingerprint


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert quality.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert quality.interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_right_answers_are_counted_by_group() -> None:
    asked = [
        Question(group, "", lambda answer: answer == "yes", "yes") for group in ("b", "a", "b", "b")
    ]
    counted = quality.score(asked, ["yes", "no", "no", "yes"])
    assert (counted["cases"], counted["right"], counted["share"]) == (4, 2, 0.5)
    assert counted["groups"] == {"a": {"cases": 1, "right": 0}, "b": {"cases": 3, "right": 2}}


def test_the_table_has_a_row_for_each_figure() -> None:
    counted = {"cases": 200, "right": 150, "share": 0.75, "interval_95": [0.686, 0.805]}
    rows = quality.table(
        {
            "heldout": {"stories": 12, "bits_per_byte": 0.81237},
            "recall": [{"from_tokens": 60, "to_tokens": 140, **counted}],
            "answers": {"talk_new_wording": counted},
        }
    ).splitlines()
    assert rows[2:] == [
        "| Held-out TinyStories, bits per byte | 0.812 | 12 stories |",
        "| Recall of a fact 60 to 140 tokens back | 75% (69% to 80%) | 200 |",
        "| Small talk in new words | 75% (69% to 80%) | 200 |",
    ]


def test_a_tiny_model_is_measured_from_the_command_line(
    tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tokenizer_file, tmp_path / "tokenizer.json")
    model = write_safetensors(tmp_path / "model.safetensors", random_weights(vocab_size=VOCAB_SIZE))
    heldout, out = tmp_path / "heldout.jsonl", tmp_path / "results.json"
    heldout.write_text('{"text": "A cat."}\n{"text": "Two dogs sat."}\n')

    flags = ["--model", str(model), "--heldout", str(heldout), "--recall", "--per-bin", "1"]
    quality.main([*flags, "--out", str(out)])

    results = json.loads(out.read_text())
    assert quality.table(results) in capsys.readouterr().out
    assert results["heldout"]["stories"] == 2
    # A random model knows nothing: about log2(900) bits for each token, or more.
    assert results["heldout"]["bits_per_byte"] > 3
    assert [row["cases"] for row in results["recall"]] == [1] * len(results["recall"])
    assert str(tmp_path) not in out.read_text()
