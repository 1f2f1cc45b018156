"""The whole program in its own process, with the shipped model or a seeded random one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import presets
from tests.checkpoints import random_weights, write_safetensors

ROOT = Path(__file__).parent.parent.parent
VOCAB_SIZE = 320
START_LIMIT_S = 120
# The end of what a program said, in characters.
SHOWN_LOG = 4000


def model_options(folder: Path) -> list[str]:
    """Command line for the shipped model, or for a random one written to the folder."""
    if presets.default_model_path().exists():
        return []
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat and the dog went to the park " * 9], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    # Small enough to answer quickly, slow enough to be seen writing.
    weights = random_weights(n_layer=4, n_embd=64, vocab_size=VOCAB_SIZE)
    return ["--model", str(write_safetensors(folder / "random.safetensors", weights))]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run app.py until the block ends; gives its address."""
    with program(folder, model_options(folder), {"HF_HUB_OFFLINE": "1"}) as (_, address):
        yield address


@contextmanager
def program(
    folder: Path, options: list[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run app.py until the block ends; gives its process, and its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--threads", "1", "--api"]
    log = folder / "app.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        ) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}/"
            wait_until_served(address, process, log)
            yield process, address
        finally:
            process.terminate()
            sys.stdout.write(log.read_text(errors="replace")[-SHOWN_LOG:])


def wait_until_served(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the page answers; the log is in the error when it never does."""
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"app.py did not serve its page:\n{log.read_text()}")
