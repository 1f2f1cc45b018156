"""Predict the last word of LAMBADA's passages, as RWKV's own demos do.

A passage is split at its last space. A start token and the text before the space are read; the
target is the space and the word. Right is a passage all of whose target tokens are the likeliest.
Perplexity is exp(-mean over passages of the target's log probability).

Source: RWKV-v7/rwkv_v7_demo.py in RWKV-LM, v2/benchmark.py in ChatRWKV.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

import presets
from benchmarks.lambada_published import find_published
from benchmarks.machine import machine
from benchmarks.quality import interval
from presets.texts import lambada_excerpt_path
from rwkv_core.config import ModelConfig
from rwkv_core.models import Model, load_model
from rwkv_core.tokenizer import Tokenizer, load_tokenizer

OFFICIAL_SHA256 = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226"
OFFICIAL_ITEMS = 5153
# One pass's logits, so that memory does not grow with the vocabulary.
LOGITS_BYTES = 2**28
# A pass with more tokens is not faster on a CPU.
PASS_TOKENS = 2048


class Item(NamedTuple):
    """One passage as ids: what is read first, and what should follow."""

    context: list[int]
    target: list[int]


class Score(NamedTuple):
    """What a model makes of one target: its log probability, nats, and whether it is greedy."""

    log_probability: float
    is_right: bool


def split_passages(content: str) -> list[tuple[str, str]]:
    """Split the `text` of every JSON line before its last space."""
    texts = [json.loads(line)["text"] for line in content.splitlines()]
    halves = [text.rpartition(" ") for text in texts]
    return [(context, f" {word}") for context, _, word in halves]


def start_tokens(config: ModelConfig, tokenizer: Tokenizer) -> list[int]:
    """Choose what stands before a passage: a newline for RWKV-4, else the end of a text.

    The published figures of RWKV-4 were made with a newline, id 187 of the Pile's vocabulary;
    those of RWKV-7 with id 0, which ends a text in both the Pile's and the World vocabulary.
    """
    return tokenizer.encode("\n") if config.generation == "4" else [tokenizer.end_of_text]


def encode_items(
    passages: Sequence[tuple[str, str]], tokenizer: Tokenizer, start: Sequence[int]
) -> list[Item]:
    """Turn passages into ids; context and target are encoded apart."""
    return [
        Item([*start, *tokenizer.encode(context)], tokenizer.encode(target))
        for context, target in passages
    ]


def batches(items: Sequence[Item], vocab_size: int) -> Iterator[list[int]]:
    """Group the numbers of items of similar length, as many as one pass holds."""
    lengths = [len(item.context) + len(item.target) for item in items]
    most = max(1, min(PASS_TOKENS, LOGITS_BYTES // (4 * vocab_size)))
    batch: list[int] = []
    for number in sorted(range(len(items)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[number] > most:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def score_batch(model: Model, items: Sequence[Item]) -> list[Score]:
    """Score items together: shorter rows end in padding, which comes too late to be seen."""
    longest = max(len(item.context) + len(item.target) for item in items)
    tokens = torch.zeros(len(items), longest, dtype=torch.int64)
    for row, (context, target) in zip(tokens, items, strict=True):
        row[: len(context) + len(target)] = torch.tensor(context + target)
    logits = model.forward(tokens, all_logits=True)[0]
    scores = []
    for row, (context, target) in zip(logits, items, strict=True):
        # The logits after a token are about the next one.
        told = row[len(context) - 1 : len(context) - 1 + len(target)]
        wanted = torch.tensor(target, device=told.device)
        nats = told.double().log_softmax(-1).gather(1, wanted[:, None]).sum()
        scores.append(Score(float(nats), bool((told.argmax(-1) == wanted).all())))
    return scores


def score_all(model: Model, items: Sequence[Item]) -> list[Score]:
    """Score items in their order, telling on stderr how far it has come."""
    scores: dict[int, Score] = {}
    for numbers in batches(items, model.config.vocab_size):
        found = score_batch(model, [items[number] for number in numbers])
        scores.update(zip(numbers, found, strict=True))
        print(f"\r{len(scores)} of {len(items)} passages", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [scores[number] for number in range(len(items))]


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Count right answers and take the mean: items, right, accuracy, interval_95, perplexity."""
    right = sum(score.is_right for score in scores)
    mean = sum(score.log_probability for score in scores) / len(scores)
    return {
        "items": len(scores),
        "right": right,
        "accuracy": round(right / len(scores), 4),
        "interval_95": [round(bound, 4) for bound in interval(right, len(scores))],
        "perplexity": round(math.exp(-mean), 4),
    }


def measure(model: Model, tokenizer: Tokenizer, path: Path, limit: int | None) -> dict[str, Any]:
    """Measure a model on a file of passages.

    Args:
        model: to measure.
        tokenizer: of the model.
        path: .jsonl or .jsonl.xz, a passage's `text` in each line.
        limit: how many of the first passages; None: all.
    """
    content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    start = start_tokens(model.config, tokenizer)
    passages = split_passages(content.decode())[:limit]
    figures = summarise(score_all(model, encode_items(passages, tokenizer, start)))
    digest = hashlib.sha256(content).hexdigest()
    published, about = find_published(model.name, model.config)
    return {
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "tokenizer": tokenizer.name,
        "choices": {name: choice.value for name, choice in model.choices.items()},
        "start_tokens": start,
        "data": {"file": path.name, "sha256": digest},
        "is_whole_test": digest == OFFICIAL_SHA256 and len(passages) == OFFICIAL_ITEMS,
        **figures,
        "published": {"about": about} | (published._asdict() if published else {}),
    }


def table(results: dict[str, Any]) -> str:
    """Write ours and the published figure as a Markdown table, and say if they compare."""
    low, high = results["interval_95"]
    published = results["published"]
    rows = [
        "| figures | perplexity | accuracy | passages |",
        "| --- | --- | --- | --- |",
        f"| ours, {results['model']['name']} | {results['perplexity']:.2f} "
        f"| {results['accuracy']:.2%} ({low:.2%} to {high:.2%}) | {results['items']} |",
    ]
    if "perplexity" in published:
        rows.append(
            f"| {published['about']} ({published['source']}) | {published['perplexity']:.2f} "
            f"| {published['accuracy']:.2%} | {OFFICIAL_ITEMS} |"
        )
    else:
        rows.append(f"\n{published['about']}")
    if not results["is_whole_test"]:
        rows.append(
            f"\nThese are not all {OFFICIAL_ITEMS:,} official passages: "
            "no figure to set beside a published one."
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lambada", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--strategy", help="of the model; chosen for this machine")
    parser.add_argument("--tokenizer", help="world, 20B, or a tokenizer.json; chosen by the model")
    parser.add_argument(
        "--data",
        type=Path,
        default=lambada_excerpt_path(),
        help="lambada_test.jsonl(.xz); the first 64 passages, which come with this repository",
    )
    parser.add_argument("--limit", type=int, help="read only so many passages")
    parser.add_argument("--json", "--out", dest="out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit is {options.limit}; give at least 1")
    start = time.perf_counter()
    model = load_model(options.model, options.strategy)
    tokenizer, _ = load_tokenizer(options.model, model.config.vocab_size, options.tokenizer)
    results = measure(model, tokenizer, options.data, options.limit)
    results |= {"seconds": round(time.perf_counter() - start, 1), "machine": machine()}
    print(table(results))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
