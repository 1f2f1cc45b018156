"""A small vocabulary learned from the corpus's own talk, so that distances are as in earnest."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from rwkv_core.tokenizer import BpeTokenizer
from rwkv_core.training.corpus.__main__ import TOKENIZER_SHARE, train_tokenizer
from rwkv_core.training.corpus.conversation import ordinary_talk
from rwkv_core.training.corpus.stories import write_story

VOCAB_SIZE = 900


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    talk = [ordinary_talk(rng, write_story) for _ in range(150)]
    sources: dict[str, list[str]] = {name: [] for name in TOKENIZER_SHARE}
    learned: Tokenizer = train_tokenizer({**sources, "talk": talk}, VOCAB_SIZE, 0)
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    learned.save(str(path))
    return path


@pytest.fixture
def tokenizer(tokenizer_file: Path) -> BpeTokenizer:
    return BpeTokenizer(tokenizer_file)
