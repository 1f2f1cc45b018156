"""Measure what the shipped model knows and remembers: python -m benchmarks.quality --help."""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import presets
from benchmarks import formats
from benchmarks.machine import machine
from benchmarks.questions import (
    BINS,
    Question,
    new_wordings_of_facts,
    new_wordings_of_performances,
    new_wordings_of_recall,
    new_wordings_of_talk,
    recall_questions,
    story_wishes,
    world_facts,
)
from rwkv_core.engine import Engine, EngineLimits
from rwkv_core.generate import GenerationSettings
from rwkv_core.models import Model, load_model
from rwkv_core.sampling import SamplingSettings
from rwkv_core.tokenizer import Tokenizer, load_tokenizer
from rwkv_core.training.heldout import bits_per_byte, read_documents

# Training draws with whole numbers as seeds.
SEED = "questions that training text does not hold"
SLOTS = 16
GREEDY = SamplingSettings(
    temperature=0.0, presence_penalty=0.0, frequency_penalty=0.0, top_p=1.0, seed=0
)
# The engine serves this one reader, who looks at one answer after the other.
LIMITS = EngineLimits(
    slots=SLOTS,
    waiting=10_000,
    session_jobs=10_000,
    store_bytes=2**20,
    session_bytes=2**20,
    unread_s=1e9,
    deadline_s=1e9,
)


def interval(right: int, cases: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z = 1.96
    share, spread = right / cases, z * z / cases
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / cases + spread / cases / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def score(questions: Sequence[Question], answers: Sequence[str]) -> dict[str, Any]:
    """Count right answers, all together and by group."""
    groups: dict[str, list[int]] = {}
    for question, answer in zip(questions, answers, strict=True):
        counts = groups.setdefault(question.group, [0, 0])
        counts[0] += question.is_right(answer)
        counts[1] += 1
    right, cases = (sum(column) for column in zip(*groups.values(), strict=True))
    low, high = interval(right, cases)
    return {
        "cases": cases,
        "right": right,
        "share": round(right / cases, 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "groups": {name: {"cases": n, "right": k} for name, (k, n) in sorted(groups.items())},
    }


def answer_all(engine: Engine, prompts: Iterable[str], *, max_tokens: int = 48) -> list[str]:
    """Let the model answer each prompt greedily, from an empty memory."""
    end = engine.tokenizer.end_of_text
    settings = GenerationSettings(
        GREEDY, max_tokens=max_tokens, stop=presets.chat_template().stop, stop_tokens=(end,)
    )
    streams = [
        engine.submit(f"question {number}", [end, *engine.encode(prompt)], settings)
        for number, prompt in enumerate(prompts)
    ]
    return ["".join(token.text for token in stream).strip() for stream in streams]


def measure_recall(engine: Engine, per_bin: int) -> list[dict[str, Any]]:
    """Measure recall of a planted fact, by distance in tokens."""
    rows = []
    for (low, high), questions in zip(
        BINS, recall_questions(random.Random(SEED), engine.tokenizer, per_bin), strict=True
    ):
        answers = answer_all(engine, [question.prompt for question in questions])
        rows.append({"from_tokens": low, "to_tokens": high} | score(questions, answers))
        _report(f"recall {low}-{high}", questions, answers)
    return rows


def measure_answers(engine: Engine) -> dict[str, Any]:
    """Measure answers to questions worded as in training and in new ways."""
    rng = random.Random(SEED)
    sets = {
        "facts_as_trained": world_facts(rng, 200),
        "facts_new_wording": list(new_wordings_of_facts(rng, 20)),
        "recall_new_wording": list(new_wordings_of_recall(rng, 6)),
        "talk_new_wording": [*new_wordings_of_talk(rng), *new_wordings_of_performances(rng)],
        "stories_as_asked": story_wishes(rng, 150),
    }
    results = {}
    for name, questions in sets.items():
        answers = answer_all(engine, [question.prompt for question in questions])
        results[name] = score(questions, answers)
        _report(name, questions, answers)
    return results


def measure_heldout(model: Model, tokenizer: Tokenizer, path: Path) -> dict[str, Any]:
    """Measure bits per byte of texts that training never saw, see training/heldout.py."""
    documents = read_documents(path)
    figure = bits_per_byte(
        lambda tokens: model.forward(tokens, all_logits=True)[0], tokenizer, documents
    )
    return {"stories": len(documents), "bits_per_byte": round(figure, 4)}


def table(results: dict[str, Any]) -> str:
    """Write the results as the Markdown table of the model card."""
    rows = [("figure", "value", "cases"), ("---", "---", "---")]
    if heldout := results.get("heldout"):
        label = "Held-out TinyStories, bits per byte"
        rows.append((label, f"{heldout['bits_per_byte']:.3f}", f"{heldout['stories']} stories"))
    for row in results.get("recall", ()):
        label = f"Recall of a fact {row['from_tokens']} to {row['to_tokens']} tokens back"
        rows.append((label, _share(row), str(row["cases"])))
    labels = {
        "facts_as_trained": "Facts about the world, worded as in training",
        "facts_new_wording": "Facts about the world, in new words",
        "recall_new_wording": "A fact just told, asked for in new words",
        "talk_new_wording": "Small talk in new words",
        "stories_as_asked": "Stories about what was asked for, in their first 48 tokens",
    }
    for name, row in results.get("answers", {}).items():
        rows.append((labels[name], _share(row), str(row["cases"])))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _share(row: dict[str, Any]) -> str:
    low, high = row["interval_95"]
    return f"{row['share']:.0%} ({low:.0%} to {high:.0%})"


def _report(name: str, questions: Sequence[Question], answers: Sequence[str]) -> None:
    """Tell on stderr what was answered wrong, for whoever changes the data."""
    for question, answer in zip(questions, answers, strict=True):
        if not question.is_right(answer):
            asked = question.prompt.rpartition("User: ")[2].partition("\n")[0]
            line = f"[{name}/{question.group}] {asked} | wanted {question.wanted!r} | {answer!r}"
            print(line, file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--heldout", type=Path, help=".jsonl(.xz) with texts never trained on")
    parser.add_argument("--recall", action="store_true", help="measure recall by distance")
    parser.add_argument("--answers", action="store_true", help="measure answers in new wordings")
    parser.add_argument("--formats", action="store_true", help="measure number formats' errors")
    parser.add_argument("--per-bin", type=int, default=150, help="recall cases for each distance")
    parser.add_argument("--strategy", default="cpu fp32")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    model = load_model(options.model, options.strategy)
    tokenizer, _ = load_tokenizer(options.model, model.config.vocab_size)
    results: dict[str, Any] = {
        "model": {"fingerprint": model.fingerprint, "parameters": model.parameters},
        "strategy": options.strategy,
        "machine": machine(),
    }
    if options.heldout:
        results["heldout"] = measure_heldout(model, tokenizer, options.heldout)
    if options.formats:
        results["formats"] = formats.measure_formats(options.model, tokenizer)
    if options.recall or options.answers:
        with Engine(model, tokenizer, LIMITS) as engine:
            if options.recall:
                results["recall"] = measure_recall(engine, options.per_bin)
            if options.answers:
                results["answers"] = measure_answers(engine)
    results["seconds"] = round(time.perf_counter() - start)
    print(table(results))
    if options.formats:
        print(f"\n{formats.table(results['formats'])}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
