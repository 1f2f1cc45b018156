"""Prepare the corpus of the shipped model: python -m rwkv_core.training.corpus --help.

Reads the text files listed in presets/default/README.md, adds text that the generators
beside this file write, trains the tokenizer, and saves every source as token ids.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rwkv_core.training.corpus.augment import vary_story
from rwkv_core.training.corpus.conversation import render, write_conversation
from rwkv_core.training.corpus.recall import write_plain_recall
from rwkv_core.training.corpus.stories import write_story
from rwkv_core.training.corpus.tales import write_tale, write_wished_tale

END_OF_TEXT = "<|endoftext|>"
SPEAKERS = (
    "Tom",
    "Lily",
    "Ben",
    "Sara",
    "Max",
    "Mia",
    "Anna",
    "Sam",
    "Leo",
    "Emma",
    "Jack",
    "Lucy",
)
# Characters of each source that the tokenizer learns from: what the model mostly writes.
TOKENIZER_SHARE = {
    "tinystories": 5_000_000,
    "stories": 1_500_000,
    "talk": 2_000_000,
    "books": 1_000_000,
    "two_people": 500_000,
}
_PLACEHOLDER = re.compile(r"\(name\)|\[name\]|juvenile|shoplift|prison", re.IGNORECASE)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a .jsonl.xz file."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tinystories(folder: Path, variants: int, seed: int) -> list[str]:
    """Real stories without repeats, each also in some variants with other names and things."""
    # The published stories part their paragraphs with an empty line; some copies lost it.
    texts = [
        re.sub(r"\s*\n\s*", "\n\n", row["text"].strip())
        for piece in "abc"
        for row in read_lines(folder / f"corpus/tinystories_piece_{piece}.jsonl.xz")
    ]
    heldout = read_lines(folder / "eval/tinystories_val_heldout.jsonl.xz")
    begun = {_beginning(row["text"]) for row in heldout}
    texts = [text for text in dict.fromkeys(texts) if _beginning(text) not in begun]
    rng = random.Random(seed)
    return texts + [vary_story(text, rng) for _ in range(variants) for text in texts]


def tales(stories: Iterable[str], wished: int, seed: int) -> list[str]:
    """Stories as answers to who asks for them: real ones, and so many tries to make one."""
    rng = random.Random(seed)
    texts = [write_tale(rng, text) for text in stories]
    texts += [write_wished_tale(rng) for _ in range(wished)]
    return [text for text in texts if text]


def _beginning(text: str) -> str:
    """The first words, however they are spaced: how a repeated story is known."""
    return " ".join(text.split())[:90]


def books(folder: Path, first: int, last: int) -> list[str]:
    """Children's books, by their place in the list from plainest to hardest."""
    with (folder / "corpus/book_simplicity.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1 + first : 1 + last]
    wanted = {row[3] for row in rows}
    return [
        re.sub(r"[ \t]*\n[ \t]*", "\n", row["text"])
        for name in ("gutenberg_children", "chilit_19c_children")
        for row in read_lines(folder / f"corpus/{name}.jsonl.xz")
        if row["id"] in wanted
    ]


def picture_books(folder: Path) -> list[str]:
    """Short modern children's stories."""
    names = ("african_storybook_en", "pratham_storyweaver_en")
    return [row["text"] for name in names for row in read_lines(folder / f"corpus/{name}.jsonl.xz")]


def two_people(folder: Path, names: Iterable[str], seed: int) -> list[str]:
    """Dialogues between two named people: language, but not the assistant's own voice."""
    rng, texts = random.Random(seed), []
    for name in names:
        for row in read_lines(folder / f"corpus/{name}.jsonl.xz"):
            if any(_PLACEHOLDER.search(turn["text"]) for turn in row["turns"]):
                continue
            speaker = dict(zip(("user", "assistant"), rng.sample(SPEAKERS, 2), strict=True))
            texts.append(
                "\n\n".join(
                    f"{speaker[turn['role']]}: {' '.join(turn['text'].split())}"
                    for turn in row["turns"]
                )
            )
    return texts


def reading_questions(folder: Path) -> list[str]:
    """A passage, a question, and its short answer, as a chat."""
    return [
        "\n\n".join(
            f"{turn['role'].capitalize()}: {' '.join(turn['text'].split())}"
            for turn in row["turns"]
        )
        for row in read_lines(folder / "corpus/fairytaleqa_qa.jsonl.xz")
        if row.get("split") == "train"
    ]


def generated(write: Callable[[random.Random], str], count: int, seed: int) -> list[str]:
    """Write texts by code, without repeats."""
    rng = random.Random(seed)
    return list(dict.fromkeys(write(rng) for _ in range(count)))


def all_sources(folder: Path, seed: int, scale: float) -> dict[str, list[str]]:
    """Make every source's documents; scale is the share of the generated text to write."""

    def count(full: int) -> int:
        return max(1, int(full * scale))

    stories = tinystories(folder, variants=9, seed=seed)
    return {
        "tinystories": stories,
        "tales": tales(stories, count(40_000), seed + 6),
        "stories": generated(lambda rng: write_story(rng).text, count(40_000), seed + 1),
        "talk": generated(
            lambda rng: render(*write_conversation(rng, write_story)[:2]), count(80_000), seed + 2
        ),
        "recall": generated(
            lambda rng: write_plain_recall(rng, write_story), count(15_000), seed + 3
        ),
        "books": books(folder, 0, 55),
        "harder_books": books(folder, 55, 115),
        "picture_books": picture_books(folder),
        "two_people": two_people(folder, ["synthetic_persona_chat"], seed + 4),
        "students": two_people(folder, ["byu_chitchat", "self_dialogue"], seed + 5),
        "reading": reading_questions(folder),
    }


def train_tokenizer(sources: dict[str, list[str]], vocab_size: int, seed: int) -> Tokenizer:
    """Learn a byte-level BPE whose id 0 is the end of a text."""
    rng, sample = random.Random(seed), []
    for name, characters in TOKENIZER_SHARE.items():
        texts = sources[name][:]
        rng.shuffle(texts)
        for text in texts:
            if characters <= 0:
                break
            sample.append(text[:40_000])
            characters -= len(sample[-1])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def save_source(path: Path, texts: list[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Save documents as token ids, each after an end-of-text id; return their counts."""
    rows = [[0, *encoding.ids] for encoding in tokenizer.encode_batch(texts)]
    lengths = [len(row) for row in rows]
    tokens = np.concatenate([np.array(row, dtype=np.uint16) for row in rows])
    np.savez(path, tokens=tokens, starts=np.cumsum([0, *lengths[:-1]]))
    return {"documents": len(texts), "characters": sum(map(len, texts)), "tokens": len(tokens)}


def main() -> None:
    """Write the corpus folder."""
    parser = argparse.ArgumentParser(
        prog="python -m rwkv_core.training.corpus", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with corpus/ and eval/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--tokenizer", type=Path, help="keep this tokenizer.json, train none")
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the generated text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    missing = [name for name in ("corpus", "eval") if not (options.data / name).is_dir()]
    if missing:
        parser.error(
            f"{options.data} has no folder {missing[0]}; presets/default/README.md lists what it holds"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    sources = all_sources(options.data, options.seed, options.scale)
    tokenizer = (
        Tokenizer.from_file(str(options.tokenizer))
        if options.tokenizer
        else train_tokenizer(sources, options.vocab_size, options.seed)
    )
    tokenizer.save(str(options.out / "tokenizer.json"))
    counts = {
        name: save_source(options.out / f"{name}.npz", texts, tokenizer)
        for name, texts in sources.items()
    }
    summary = {"vocab_size": tokenizer.get_vocab_size(), "sources": counts}
    (options.out / "corpus.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
