"""The training command end to end: train a little, resume, export, load."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rwkv_core.errors import CheckpointError
from rwkv_core.models import load_model
from rwkv_core.tokenizer import load_tokenizer
from rwkv_core.training import __main__ as command
from rwkv_core.training import export
from rwkv_core.training.export import export_model
from tests.checkpoints import random_weights, write_safetensors

pytestmark = pytest.mark.filterwarnings(
    "ignore:The 'train_dataloader' does not have many workers",
    "ignore:You're resuming from a checkpoint that ended before the epoch ended",
)
TEXTS = ["One day a cat sat on a mat. " * 4, "The dog ran to the cat and sat down. " * 4]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A prepared corpus of one source with a tokenizer of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rows = [[0, *tokenizer.encode(text).ids] for text in TEXTS]
    tokens = np.concatenate([np.array(row, dtype=np.uint16) for row in rows])
    np.savez(tmp_path / "cats.npz", tokens=tokens, starts=np.array([0, len(rows[0])]))
    size = {"vocab_size": tokenizer.get_vocab_size()}
    (tmp_path / "corpus.json").write_text(json.dumps(size))
    (tmp_path / "heldout.jsonl").write_text(json.dumps({"text": "A dog sat."}) + "\n")
    return tmp_path


def train(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, more: str = ""
) -> list[dict[str, float]]:
    """Run the command; returns the log's lines."""
    arguments = (
        f"--corpus {corpus} --run {corpus / 'run'} --mix cats=1 --tokens {tokens} --layers 2 "
        f"--embd 64 --batch 2 --length 32 --precision 32-true --accelerator cpu --log-steps 2 "
        f"--heldout {corpus / 'heldout.jsonl'} --dropout 0 {more}"
    )
    monkeypatch.setattr(sys, "argv", ["training", *arguments.split()])
    command.main()
    lines = (corpus / "run" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_learns_resumes_and_becomes_a_model_that_loads(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = train(corpus, monkeypatch, 64 * 20)
    assert [line["step"] for line in lines] == list(range(2, 21, 2))
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    assert lines[-1]["bits_per_byte_first_1"] > 0
    assert not (corpus / "run" / "last.new").exists()

    lines = train(corpus, monkeypatch, 64 * 24)
    assert [line["step"] for line in lines[10:]] == [22, 24]

    path = export_model(corpus / "run" / "last.ckpt", corpus / "tokenizer.json", corpus / "out")
    model = load_model(path, "cpu fp32")
    tokenizer, _ = load_tokenizer(path, model.config.vocab_size)
    logits, _ = model.forward([0, *tokenizer.encode("One day a")])
    assert torch.isfinite(logits).all()
    # It has seen little else than these words.
    likely = logits[0].topk(8).indices.tolist()
    assert " cat" in [tokenizer.decode([token]) for token in likely]


def test_a_model_is_exported_again_with_all_logits_scaled(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    weights = random_weights(n_layer=2, n_embd=128, head_size=64)
    stored = {name: tensor.bfloat16() for name, tensor in weights.items()}
    found = write_safetensors(tmp_path / "found.safetensors", stored)
    # By a power of two: nothing is rounded anew.
    path = export_model(found, tmp_path / "tokenizer.json", tmp_path / "out", logit_scale=0.5)
    before, _ = load_model(found, "cpu fp32").forward([1, 2, 3])
    after, _ = load_model(path, "cpu fp32").forward([1, 2, 3])
    torch.testing.assert_close(after, 0.5 * before)


def test_an_export_lies_between_two_checkpoints_as_its_share_says(tmp_path: Path) -> None:
    weights = random_weights(n_layer=2)
    other = {name: x + 1 for name, x in weights.items()}
    one = write_safetensors(tmp_path / "one.safetensors", weights)
    two = write_safetensors(tmp_path / "two.safetensors", other)
    (tmp_path / "tokenizer.json").write_text("{}")
    path = export_model(
        one, tmp_path / "tokenizer.json", tmp_path / "out", blend=two, blend_share=0.25
    )
    for name, x in export.network_weights(path).items():
        wanted = (weights[name] + 0.25).bfloat16()
        torch.testing.assert_close(x.bfloat16(), wanted, rtol=1e-2, atol=1e-2)
    small = write_safetensors(tmp_path / "small.safetensors", random_weights(n_layer=1))
    with pytest.raises(CheckpointError, match="of another size"):
        export_model(one, tmp_path / "tokenizer.json", tmp_path / "out", blend=small)


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf"])
def test_a_scale_of_logits_that_makes_no_model_is_refused(
    scale: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"export last.ckpt --tokenizer t.json --out out --logit-scale {scale}"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit):
        export.main()
    assert f"--logit-scale is {float(scale)}; give a number above 0" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    words = f"export {broken} --tokenizer t.json --out {tmp_path / 'out'}"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit):
        export.main()
    assert "export: error: " in (said := capsys.readouterr().err)
    assert "broken.safetensors" in said


def said_by_command(words: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["training", *words.split()])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    return str(stopped.value)


def test_what_cannot_be_trained_on_is_refused_in_a_sentence(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = f"--run {corpus / 'run'} --accelerator cpu"
    said = said_by_command(f"--corpus {corpus / 'nowhere'} --mix cats=1 {run}", monkeypatch)
    assert "nowhere holds no prepared corpus" in said
    said = said_by_command(f"--corpus {corpus} --mix cats=1,dogs=1 {run}", monkeypatch)
    assert "holds no source 'dogs'; it has cats" in said
    teacher = corpus / "teacher.safetensors"
    said = said_by_command(
        f"--corpus {corpus} --mix cats=1 --teachers {teacher} {run}", monkeypatch
    )
    assert "teacher.safetensors" in said


def test_a_run_of_no_step_or_of_another_network_is_refused_in_a_sentence(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stopped:
        train(corpus, monkeypatch, 63)
    assert "--tokens 63 is less than a step's 64" in str(stopped.value)
    train(corpus, monkeypatch, 64 * 2)
    with pytest.raises(SystemExit) as stopped:
        train(corpus, monkeypatch, 64 * 4, "--layers 3")
    assert "last.ckpt is of a network of another shape" in str(stopped.value)
    (corpus / "heldout.jsonl").unlink()
    with pytest.raises(SystemExit) as stopped:
        train(corpus, monkeypatch, 64 * 4)
    assert "heldout.jsonl cannot be read as texts" in str(stopped.value)


@pytest.mark.parametrize(
    ("wish", "says"),
    [("--embd=100", "a multiple of 64"), ("--embd=32", "a multiple of 64"),
     ("--batch=0", "a whole number above 0"), ("--length=x", "a whole number above 0")],
)  # fmt: skip
def test_sizes_that_no_network_has_are_refused(
    wish: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments(["--corpus", "c", "--run", "r", "--mix=cats=1", wish])
    assert f"{wish.partition('=')[2]} is none; give {says}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.ckpt", "model.pth", "text.ckpt"])
def test_what_is_no_run_is_not_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"emb.weight": torch.zeros(1)}, tmp_path / "model.pth")
    (tmp_path / "text.ckpt").write_text("no run")
    words = f"export {tmp_path / name} --tokenizer t.json --out {tmp_path / 'out'}"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit):
        export.main()
    assert f"{name} cannot be exported" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_its_tokenizer_no_model_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write_safetensors(tmp_path / "found.safetensors", random_weights(n_layer=2))
    words = f"export {found} --tokenizer {tmp_path / 't.json'} --out {tmp_path / 'out'}"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit):
        export.main()
    assert "t.json" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("mix", ["cats", "cats=", "=1", "cats=-1", "cats=nan", "cats=1,"])
def test_a_mix_without_shares_is_refused(mix: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments(["--corpus", "c", "--run", "r", f"--mix={mix}"])
    assert "is no source and its share; give some as in" in capsys.readouterr().err


def test_a_student_learns_from_a_teacher_of_another_size(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = json.loads((corpus / "corpus.json").read_text())["vocab_size"]
    weights = random_weights(vocab_size=size, n_embd=128, head_size=64)
    teacher = write_safetensors(corpus / "teacher.safetensors", weights)
    taught = train(corpus, monkeypatch, 64 * 4, f"--teachers {teacher} {teacher}")
    assert all(line["text_loss"] != line["loss"] for line in taught)

    shutil.rmtree(corpus / "run")
    told = train(corpus, monkeypatch, 64 * 4, f"--teachers {teacher} --teacher-share 0")
    assert all(line["text_loss"] == line["loss"] for line in told)
    assert told[-1]["text_loss"] != taught[-1]["text_loss"]


@pytest.mark.parametrize("share", ["1.5", "-0.1", "half"])
def test_a_share_of_teachers_outside_0_to_1_is_refused(
    share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments(["--teacher-share", share])
    assert f"{share} is no share; give a number from 0 to 1" in capsys.readouterr().err


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments(["--help"])
    assert "--heldout" in capsys.readouterr().out
