"""Score models and the mean of their probabilities: python -m rwkv_core.training.ensemble --help.

The mean is what `--teachers` teaches: its bits per byte say how good a student could become.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rwkv_core.errors import RwkvError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.tokenizer import BpeTokenizer
from rwkv_core.training.heldout import bits_per_byte, read_documents
from rwkv_core.training.teachers import Teacher, open_teachers


def mean_log_probabilities(models: Sequence[Teacher], tokens: Tensor) -> Tensor:
    """Compute log(mean over models of softmax(logits)) after (B, T) tokens; (B, T, V)."""
    total = models[0].logits(tokens).log_softmax(-1)
    for model in models[1:]:
        total = torch.logaddexp(total, model.logits(tokens).log_softmax(-1))
    return total - math.log(len(models))


def main() -> None:
    """Score from the command line; prints one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m rwkv_core.training.ensemble", description=__doc__
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="model files")
    parser.add_argument("--heldout", type=Path, required=True, help=".jsonl(.xz) with texts")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of all")
    parser.add_argument("--documents", type=int, default=200, help="how many texts, from the first")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args()
    try:
        figures = score(options)
    except RwkvError as error:
        parser.error(str(error))
    sys.stdout.write(json.dumps(figures) + "\n")


def score(options: argparse.Namespace) -> dict[str, object]:
    """Score each model and the mean of all.

    Raises:
        RwkvError: a model or the texts cannot be used.
    """
    is_cuda = torch.cuda.is_available() if options.device == "auto" else options.device == "cuda"
    vocab_size = open_checkpoint(options.weights[0]).config.vocab_size
    models = open_teachers(options.weights, vocab_size, torch.device("cuda" if is_cuda else "cpu"))
    tokenizer = BpeTokenizer(options.tokenizer, vocab_size)
    documents = read_documents(options.heldout)[: options.documents]
    batch = 64 if is_cuda else 16
    each = [bits_per_byte(m.logits, tokenizer, documents, batch=batch) for m in models]
    mean = bits_per_byte(
        lambda tokens: mean_log_probabilities(models, tokens), tokenizer, documents, batch=batch
    )
    return {
        "documents": len(documents),
        "bits_per_byte": {str(p): round(b, 4) for p, b in zip(options.weights, each, strict=True)},
        "bits_per_byte_of_mean": round(mean, 4),
    }


if __name__ == "__main__":
    main()
