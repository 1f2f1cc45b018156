import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import presets
from benchmarks import lambada
from benchmarks.lambada_published import PUBLISHED, find_published
from presets.texts import lambada_excerpt_path
from rwkv_core.config import ModelConfig
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.tokenizer import load_tokenizer
from tests.checkpoints import random_weights, write_pth
from tests.generations import RANDOM_WEIGHTS

VOCAB = 256


class Bytes:
    """A vocabulary of bytes, in which 0 ends a text."""

    name = "bytes"
    vocab_size = VOCAB
    end_of_text = 0

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode()

    def token_bytes(self, token: int) -> bytes:
        return bytes([token])


def counting_model(path: Path) -> Model:
    """A model that follows every byte by the next larger one, with probability PROBABILITY."""
    weights = random_weights(n_layer=1, n_embd=VOCAB, head_size=64, vocab_size=VOCAB)
    for name, value in weights.items():
        if name.endswith((".att.output.weight", ".ffn.value.weight")):
            value.zero_()
        elif ".ln" in f".{name}" and name.count(".ln_x") == 0:
            value.fill_(1.0 if name.endswith("weight") else 0.0)
    weights["emb.weight"] = torch.eye(VOCAB)
    weights["head.weight"] = SHARPNESS * torch.eye(VOCAB).roll(1, 0)
    return load_model(write_pth(path / "counting.pth", weights), "cpu fp32")


# A norm brings a one-hot vector to sqrt(V - 1) where it is hot and to -1 / sqrt(V - 1) elsewhere.
SHARPNESS = 0.5
APART = SHARPNESS * (math.sqrt(VOCAB - 1) + 1 / math.sqrt(VOCAB - 1))
PROBABILITY = math.exp(APART) / (math.exp(APART) + VOCAB - 1)
OTHER = (1 - PROBABILITY) / (VOCAB - 1)


def write_passages(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_accuracy_and_perplexity_of_a_model_that_counts_are_known(tmp_path: Path) -> None:
    # Byte 31 stands before the space, whose number is 32; "!" is 33.
    texts = ['a longer context\x1f !"#', "b \x1f !", "c\x1f !#", "a !", "\x1f b"]
    path = write_passages(tmp_path / "passages.jsonl", texts)
    results = lambada.measure(counting_model(tmp_path), Bytes(), path, None)
    assert (results["items"], results["right"], results["accuracy"]) == (5, 2, 0.4)
    follows, others = 4 + 2 + 2 + 1 + 1, 0 + 0 + 1 + 1 + 1
    nats = follows * math.log(PROBABILITY) + others * math.log(OTHER)
    assert results["perplexity"] == pytest.approx(math.exp(-nats / 5), rel=2e-3)
    assert (results["start_tokens"], results["is_whole_test"]) == ([0], False)


def test_only_the_first_passages_are_read_under_a_limit(tmp_path: Path) -> None:
    path = write_passages(tmp_path / "passages.jsonl", ["\x1f !", "b c", "b c"])
    results = lambada.measure(counting_model(tmp_path), Bytes(), path, 1)
    assert (results["items"], results["accuracy"]) == (1, 1.0)


def test_a_passage_is_split_before_its_last_space() -> None:
    lines = '{"text": "one two\\n\\nthree, he  said"}\n{"text": "a b"}\n'
    assert lambada.split_passages(lines) == [("one two\n\nthree, he ", " said"), ("a", " b")]


def test_every_passage_is_in_one_batch_and_no_batch_is_too_large() -> None:
    items = [lambada.Item([0] * (length + 1), [1]) for length in (900, 3, 5000, 4, 800, 3)]
    grouped = list(lambada.batches(items, vocab_size=50))
    assert sorted(number for batch in grouped for number in batch) == [0, 1, 2, 3, 4, 5]
    assert [len(batch) for batch in grouped] == [3, 2, 1]
    # A large vocabulary's logits fill a pass sooner.
    assert len(list(lambada.batches(items[:2], vocab_size=2**17))) == 2


def test_the_shipped_model_agrees_with_reading_token_by_token() -> None:
    path = presets.default_model_path()
    model = load_model(path, "cpu fp32")
    tokenizer, _ = load_tokenizer(path, model.config.vocab_size)
    passages = [
        json.loads(line)["text"] for line in lambada_excerpt_path().read_text().splitlines()
    ][:10]
    logs, right = [], 0
    for text in passages:
        context, word = text.rsplit(" ", 1)
        logits, state = model.forward([0])
        for token in tokenizer.encode(context):
            logits, state = model.forward([token], state)
        nats, greedy = 0.0, True
        for token in tokenizer.encode(" " + word):
            nats += math.log(float(torch.softmax(logits[0].double(), 0)[token]))
            greedy = greedy and int(logits.argmax()) == token
            logits, state = model.forward([token], state)
        logs.append(nats)
        right += greedy

    results = lambada.measure(model, tokenizer, lambada_excerpt_path(), 10)
    assert results["right"] == right
    assert results["perplexity"] == pytest.approx(math.exp(-sum(logs) / 10), rel=1e-4)
    items = lambada.encode_items(
        lambada.split_passages(lambada_excerpt_path().read_text()), tokenizer, [0]
    )
    scored = [score.log_probability for score in lambada.score_batch(model, items[:10])]
    assert scored == pytest.approx(logs, abs=1e-3)


def test_the_excerpt_is_the_head_of_the_test_and_the_note_beside_it_names_the_licence() -> None:
    lines = lambada_excerpt_path().read_text(encoding="ascii").splitlines()
    assert len(lines) == 64
    assert json.loads(lines[0])["text"].startswith("In my palm is a clear stone")
    note = (lambada_excerpt_path().parent / "README.md").read_text(encoding="utf-8")
    assert all(words in note for words in ("Paperno", "CC BY 4.0", lambada.OFFICIAL_SHA256))


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_a_passage_begins_with_a_newline_for_rwkv_4_and_with_the_end_of_a_text_for_others(
    generation: str,
) -> None:
    config = ModelConfig(generation, VOCAB, 1, 8, 32, 1, 8)
    expected = [ord("\n")] if generation == "4" else [0]
    assert lambada.start_tokens(config, Bytes()) == expected


def config_of(generation: str, n_layer: int, n_embd: int, vocab_size: int) -> ModelConfig:
    return ModelConfig(generation, vocab_size, n_layer, n_embd, 4 * n_embd, 1, n_embd)


def test_a_published_figure_is_found_by_name_and_by_shape() -> None:
    pile = config_of("4", 12, 768, 50277)
    row, about = find_published("RWKV-4-Pile-169M-20220807-8023", pile)
    assert row is not None
    assert (row.perplexity, row.accuracy) == (29.33, 0.3299)
    assert "as this file is named" in about
    other, about = find_published("my-finetune", pile)
    assert other == row
    assert "another model" in about


def test_no_figure_is_shown_for_a_model_that_nobody_published_one_for() -> None:
    for name, config in {
        "RWKV-4-Pile-169M": config_of("4", 3, 768, 50277),
        "model": config_of("7", 12, 768, 65536),
    }.items():
        assert find_published(name, config) == (None, "no published figure")


def test_no_two_published_rows_have_one_shape() -> None:
    assert len({row.shape for row in PUBLISHED}) == len(PUBLISHED)


def test_the_published_figure_stands_beside_ours() -> None:
    results: dict[str, Any] = {
        "model": {"name": "RWKV-x070-Pile-168M-20241120-ctx4096"},
        "items": 5153,
        "perplexity": 14.213,
        "accuracy": 0.4559,
        "interval_95": [0.4424, 0.4696],
        "is_whole_test": True,
    }
    row, about = find_published(results["model"]["name"], config_of("7", 12, 768, 50304))
    assert row is not None
    results["published"] = {"about": about} | row._asdict()
    lines = lambada.table(results).splitlines()
    assert lines[2].endswith("| 14.21 | 45.59% (44.24% to 46.96%) | 5153 |")
    assert lines[3].endswith("| 14.20 | 45.60% | 5153 |")
    assert "not all" in lambada.table(results | {"is_whole_test": False})


def test_the_command_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    lambada.main(["--limit", "3", "--strategy", "cpu fp32", "--json", str(out)])
    results = json.loads(out.read_text())
    assert lambada.table(results) in capsys.readouterr().out
    assert results["items"] == 3
    assert {"cpu", "versions", "commit"} <= results["machine"].keys()
    assert "no published figure" in lambada.table(results)


def test_the_document_shows_the_shipped_models_figures() -> None:
    root = Path(__file__).parent.parent.parent
    results = json.loads((root / "benchmarks" / "results" / "lambada.json").read_text())
    shown = f"{results['accuracy']:.1%} right at a perplexity of {results['perplexity']:,.0f}"
    assert shown in (root / "docs" / "quality.md").read_text(encoding="utf-8")
    assert results["is_whole_test"]
    shipped = open_checkpoint(presets.default_model_path())
    assert results["model"]["fingerprint"] == shipped.fingerprint
