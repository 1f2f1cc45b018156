"""A real engine with a tiny random model, for tests of the experiments' handlers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from rwkv_core.engine import Engine
from rwkv_core.models import load_model
from tests.checkpoints import write_safetensors
from tests.generations import RANDOM_WEIGHTS
from tests.rwkv_core.watched import LIMITS, TOKENIZER

Updates = dict[Any, Any]


@contextmanager
def tiny_engine(folder: Path, generation: str = "7") -> Iterator[Engine]:
    """An engine with two layers; its tokens are bytes."""
    weights = RANDOM_WEIGHTS[generation](
        seed=0, n_layer=2, n_embd=32, head_size=8, vocab_size=TOKENIZER.vocab_size
    )
    model = load_model(write_safetensors(folder / "tiny.safetensors", weights), kernel="torch")
    with Engine(model, TOKENIZER, LIMITS) as engine:
        yield engine


def laid_out(build: Callable[[], Any], folder: Path) -> Any:
    """Lay out a panel whose files go to a folder."""
    with gr.Blocks():
        panel = build()
    for part in vars(panel).values():
        if hasattr(part, "numbers"):
            part.numbers.GRADIO_CACHE = str(folder)
    return panel


def collect(updates: AsyncIterator[Updates]) -> list[Updates]:
    """Run a handler to its end."""

    async def run() -> list[Updates]:
        return [update async for update in updates]

    return asyncio.run(run())


def last(updates: list[Updates]) -> Updates:
    """Everything that is shown in the end."""
    shown: Updates = {}
    for update in updates:
        shown |= update
    return shown
