"""What See shows of a reading: the first look, and the closer one at a layer, a head and a word."""

from __future__ import annotations

import secrets
from functools import partial
from html import escape
from pathlib import Path
from typing import Literal

import gradio as gr
import numpy as np

from presets.words import translated
from rwkv_core.engine import Engine
from rwkv_core.errors import Sentence
from rwkv_core.inspection import settled_change
from rwkv_core.recording import CLOSE_LOOK, Recording
from ui.inspector_cards import Updates, show_view
from ui.inspector_close import Choice, layer_views, memory_views, read_shares, word_views
from ui.inspector_layout import Panel
from ui.inspector_views import View, views
from ui.readings import findings, paragraph, token_text, token_texts, word_at
from ui.word_strip import word_strip

# What a choice changes: everything of a closer look, one layer's part, or one word's.
Part = Literal["memory", "layer", "word"]
# What the value of a coloured word is.
BITS = "{value:.3g} bits of surprise"
CHANGED = "{value:.3g} % of the memory changed"
READ = "{value:.3g} % of what is read"


def render(language: str, engine: Engine, panel: Panel, recording: Recording) -> Updates:
    """Make everything that a first look at one recording shows.

    Args:
        language: of the visitor.
        engine: gives the tokenizer and the model's sizes.
        panel: where things are shown.
        recording: what was measured.
    """
    texts, config = _texts(engine, recording), engine.model.config
    bits = recording.surprise_bits
    # Among the words that a closer look can follow; the last one has no later one to fade by.
    first = max(0, len(bits) - CLOSE_LOOK.inputs_tokens)
    near = bits[first:-1]
    word = first + (int(np.nanargmax(near)) if np.isfinite(near).any() else 0)
    shown: Updates = {
        panel.empty: gr.update(visible=False),
        panel.findings: f"<p>{escape(translated(language, findings(recording, texts)))}</p>",
        panel.surprise: word_strip(texts, bits, BITS, language),
        panel.change: word_strip(texts, 100 * settled_change(recording), CHANGED, language),
        panel.word: gr.update(maximum=max(2, len(texts)), value=word + 1),
        panel.layer: gr.update(maximum=max(2, config.n_layer)),
        panel.head: gr.update(maximum=max(2, config.n_head)),
    }
    return shown | _filled(language, panel, views(recording, texts, config))


def render_closer(
    language: str,
    engine: Engine,
    panel: Panel,
    recording: Recording,
    choice: Choice,
    part: Part,
) -> Updates:
    """Make what a closer look shows.

    Args:
        language: of the visitor.
        engine: gives the tokenizer and the model's sizes.
        panel: where things are shown.
        recording: what was measured, the chosen layer's inputs among it.
        choice: what to look at.
        part: what to make; a part holds the ones after it.
    """
    texts, config = _texts(engine, recording), engine.model.config
    made = word_views(recording, texts, config, name=partial(_token, engine), choice=choice)
    if part != "word":
        made |= layer_views(recording, texts, config, choice)
    if part == "memory":
        made |= memory_views(recording, texts, config)
    shares = read_shares(recording.layers[choice.layer], choice.word, len(texts))
    said: str = Sentence(
        "Token {token:,} of {tokens:,}: {word}.",
        token=choice.word + 1, tokens=len(texts), word=word_at(texts, choice.word),
    )  # fmt: skip
    # Of words before the last ones nothing is kept, so nothing is coloured.
    if np.isfinite(shares).any():
        colour = Sentence(
            "The colour shows what layer {layer} reads there, as a mean over its channels."
            if config.has_exponents
            else "The colour shows what layer {layer} reads there, as a mean over its heads.",
            layer=choice.layer + 1,
        )
        said = paragraph(said, colour)
    strip = word_strip(texts, 100 * shares, READ, language)
    chosen = f"<p>{escape(translated(language, said))}</p>{strip}"
    return {panel.chosen: chosen, **_filled(language, panel, made)}


def _filled(language: str, panel: Panel, made: dict[str, View]) -> Updates:
    # An unguessable folder: whoever knows a file's address can fetch it.
    folder = Path(panel.text.GRADIO_CACHE) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    shown: Updates = {}
    for name, view in made.items():
        shown |= show_view(panel.cards[name], view, folder, name, language)
    return shown


def _token(engine: Engine, token: int) -> str:
    return token_text(engine.tokenizer.token_bytes(token))


def _texts(engine: Engine, recording: Recording) -> list[str]:
    return token_texts([engine.tokenizer.token_bytes(int(token)) for token in recording.tokens])
