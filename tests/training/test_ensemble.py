"""The score of a mean of models against one made by hand."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from rwkv_core.models import load_model
from rwkv_core.tokenizer import BpeTokenizer
from rwkv_core.training import ensemble
from rwkv_core.training.heldout import bits_per_byte
from tests.checkpoints import random_weights, write_safetensors

TEXTS = ["One day a cat sat.", "Oh no!", "never read"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two models of 257 tokens, their tokenizer, and three texts."""
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE({name: i for i, name in enumerate(["<|endoftext|>", *names])}, [])
    )
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for seed, n_embd in enumerate((64, 128)):
        weights = random_weights(seed, vocab_size=257, n_embd=n_embd, head_size=64)
        write_safetensors(tmp_path / f"{seed}.safetensors", weights)
    lines = [json.dumps({"text": text}) + "\n" for text in TEXTS]
    (tmp_path / "heldout.jsonl").write_text("".join(lines))
    return tmp_path


def score(
    files: Path, names: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[list[float], float]:
    """Run the command on the first two texts; each model's figure, and the mean's."""
    paths = [str(files / f"{name}.safetensors") for name in names]
    others = f"--heldout {files}/heldout.jsonl --tokenizer {files}/tokenizer.json --documents 2"
    arguments = ["ensemble", "--weights", *paths, *others.split(), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", arguments)
    ensemble.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["documents"] == 2
    assert list(printed["bits_per_byte"]) == paths
    return list(printed["bits_per_byte"].values()), printed["bits_per_byte_of_mean"]


def by_hand(files: Path, names: str) -> float:
    """Score the mean of the probabilities that the runtime gives."""
    loaded = [load_model(files / f"{name}.safetensors", "cpu fp32") for name in names]

    def logits_of(tokens: torch.Tensor) -> torch.Tensor:
        each = [model.forward(tokens, all_logits=True)[0].softmax(-1) for model in loaded]
        return torch.stack(each).mean(0).log()

    return bits_per_byte(logits_of, BpeTokenizer(files / "tokenizer.json"), TEXTS[:2])


def test_one_model_is_its_own_mean(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    each, mean = score(files, "0", monkeypatch, capsys)
    assert each == [mean]
    assert mean == pytest.approx(by_hand(files, "0"), abs=1e-4)


def test_two_models_are_scored_by_the_mean_of_their_probabilities(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    each, mean = score(files, "01", monkeypatch, capsys)
    assert each == pytest.approx([by_hand(files, name) for name in "01"], abs=1e-4)
    assert mean == pytest.approx(by_hand(files, "01"), abs=1e-4)
    # Nearer than the mean of the figures: probabilities are averaged, not their logarithms.
    assert mean < sum(each) / 2 - 0.01
