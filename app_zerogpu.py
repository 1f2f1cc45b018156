"""The playground on ZeroGPU, where a GPU is lent for seconds at a time: one text, one memory.

ZeroGPU runs a decorated call in a process of its own. The whole page needs an engine that lives on
between calls, so here is a page of one text instead; docs/hosting.md says how to put it on a Space.
"""

# Before torch, which it prepares.
import spaces  # isort: skip

from collections.abc import Iterator
from functools import cache

import gradio as gr

import presets
from rwkv_core import (
    GenerationSettings,
    Model,
    RwkvError,
    SamplingSettings,
    Tokenizer,
    load_model,
    load_tokenizer,
)
from rwkv_core.carried import write_elsewhere

MAX_CHARACTERS = 4000
STRATEGY = "cuda fp16"
# What is asked of the visitor's share of the GPU: reading and writing at a slow pace.
SECONDS_TO_START, CHARACTERS_PER_S, TOKENS_PER_S = 5, 2000, 20


@cache
def loaded() -> tuple[Model, Tokenizer]:
    """Load the model; ZeroGPU wants that at the start, outside any lent call."""
    path = presets.default_model_path()
    model = load_model(path, STRATEGY)
    return model, load_tokenizer(path, model.config.vocab_size)[0]


def seconds(text: str, memory: bytes, max_tokens: int) -> int:
    """Say how long the GPU is needed at most."""
    return int(SECONDS_TO_START + len(text) / CHARACTERS_PER_S + max_tokens / TOKENS_PER_S)


@spaces.GPU(duration=seconds)  # type: ignore[untyped-decorator]
def go_on(text: str, memory: bytes, max_tokens: int) -> Iterator[tuple[str, bytes]]:
    """Read a text after what the memory holds and go on writing.

    Args:
        text: what to read.
        memory: from an earlier call; empty to begin a text.
        max_tokens: the most to write.

    Yields:
        What was written so far, and at last the memory reached.
    """
    if not text.strip() or len(text) > MAX_CHARACTERS:
        raise gr.Error(f"Write 1 to {MAX_CHARACTERS:,} characters, then press Continue.")
    model, tokenizer = loaded()
    written = ""
    try:
        ids = [*([] if memory else [tokenizer.end_of_text]), *tokenizer.encode(text)]
        settings = GenerationSettings(SamplingSettings(), max_tokens=int(max_tokens))
        for piece in write_elsewhere(model, tokenizer, ids, settings, memory):
            if isinstance(piece, bytes):
                yield written, piece
            else:
                written += piece
                yield written, memory
    except RwkvError as error:
        raise gr.Error(f"{error}.", print_exception=False) from error


def build_page() -> gr.Blocks:
    """Lay out the page: a text, what comes after it, and a memory in between."""
    page = gr.Blocks(title="RWKV on ZeroGPU", analytics_enabled=False)
    with page:
        memory = gr.State(b"")
        text = gr.Textbox(label="Text", lines=5, max_length=MAX_CHARACTERS)
        most = gr.Slider(16, 300, 100, step=1, label="Longest answer, in tokens")
        written = gr.Textbox(label="What the model writes", lines=8, interactive=False)
        with gr.Row():
            run = gr.Button("Continue", variant="primary")
            anew = gr.Button("Forget")
        run.click(go_on, [text, memory, most], [written, memory])
        anew.click(lambda: ("", b""), None, [written, memory], api_visibility="private")
    return page


if __name__ == "__main__":
    loaded()
    build_page().queue(max_size=20).launch(ssr_mode=False)
