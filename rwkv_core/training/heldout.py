"""Held-out bits per byte: whole documents after an end-of-text token."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from rwkv_core.errors import InputError
from rwkv_core.tokenizer import Tokenizer


def read_documents(path: Path) -> list[str]:
    """Read the `text` of every line of a .jsonl or .jsonl.xz file, stripped.

    Raises:
        InputError: it is no such file.
    """
    try:
        data = path.read_bytes()
        content = lzma.decompress(data) if path.suffix == ".xz" else data
        # Not splitlines(), for which a text's own separators end lines too.
        lines = [line for line in content.decode().split("\n") if line.strip()]
        return [json.loads(line)["text"].strip() for line in lines]
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path} cannot be read as texts ({error}); give a .jsonl or .jsonl.xz with {{"text": ...}} '
            "in every line"
        ) from error


@torch.no_grad()
def bits_per_byte(
    logits_of: Callable[[Tensor], Tensor],
    tokenizer: Tokenizer,
    documents: Sequence[str],
    *,
    batch: int = 16,
) -> float:
    """Score documents whole, each after an end-of-text token, from the empty state.

    Args:
        logits_of: (B, T) tokens to (B, T, V) float32 logits, on any device.
        tokenizer: of the model.
        documents: texts; each counts with its UTF-8 bytes.
        batch: documents at a time; similar lengths go together.

    Returns:
        Bits per byte over all documents. The end-of-text token that the model should
        write after a document is not counted.
    """
    coded = sorted((tokenizer.encode(text) for text in documents), key=len)
    nats = 0.0
    for start in range(0, len(coded), batch):
        rows = coded[start : start + batch]
        tokens = torch.zeros(len(rows), len(rows[-1]) + 1, dtype=torch.int64)
        tokens[:, 0] = tokenizer.end_of_text
        targets = torch.full((len(rows), len(rows[-1])), -100)
        for i, row in enumerate(rows):
            tokens[i, 1 : len(row) + 1] = targets[i, : len(row)] = torch.tensor(row)
        logits = logits_of(tokens[:, :-1])
        told = targets.flatten().to(logits.device)
        nats += float(F.cross_entropy(logits.flatten(0, 1), told, reduction="sum"))
    return nats / math.log(2) / sum(len(text.encode()) for text in documents)
