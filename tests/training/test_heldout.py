"""Held-out bits per byte on a model whose answer is known."""

import json
import lzma
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rwkv_core.training.heldout import bits_per_byte, read_documents
from tests.training.letters import LetterTokenizer


def uniform_logits(tokens: Tensor) -> Tensor:
    return torch.zeros(*tokens.shape, 27)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_a_uniform_model_needs_log2_of_the_vocabulary_per_letter(batch: int) -> None:
    documents = ["abc", "hello", "z", "abcabcabc"]
    figure = bits_per_byte(uniform_logits, LetterTokenizer(), documents, batch=batch)
    assert figure == pytest.approx(math.log2(27))


def test_each_document_begins_after_an_end_of_text_token() -> None:
    seen: list[Tensor] = []

    def logits_of(tokens: Tensor) -> Tensor:
        seen.append(tokens)
        return uniform_logits(tokens)

    bits_per_byte(logits_of, LetterTokenizer(), ["abc", "hello"])
    assert seen[0][:, 0].tolist() == [0, 0]
    assert seen[0].shape == (2, 5)


def test_padding_is_not_counted() -> None:
    def sure_of_a(tokens: Tensor) -> Tensor:
        logits = torch.full((*tokens.shape, 27), -50.0)
        logits[..., 1] = 0.0
        return logits

    assert bits_per_byte(sure_of_a, LetterTokenizer(), ["a", "aaaa"]) == pytest.approx(0, abs=1e-5)


def test_documents_are_read_packed_or_plain(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": f" {word}\n"}) + "\n" for word in ("one", "two"))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(lines.encode()))
    assert read_documents(tmp_path / "a.jsonl") == ["one", "two"]
    # A separator of lines within a text, and an empty line at the end.
    (tmp_path / "b.jsonl").write_text('{"text": "one\u2028two"}\n\n', encoding="utf-8")
    assert read_documents(tmp_path / "b.jsonl") == ["one\u2028two"]
    assert read_documents(tmp_path / "a.jsonl.xz") == ["one", "two"]
