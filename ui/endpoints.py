"""The two named endpoints for programs; the page itself uses private ones."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import gradio as gr
from gradio.events import api

from presets import chat_template
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.generate import GenerationSettings
from rwkv_core.sessions import Conversation
from ui.chat.turns import open_turn, with_answer
from ui.components import as_gradio_error
from ui.controls import controls_of, generation_settings, preset_named


def build_endpoints(engine: Engine) -> None:
    """Publish /chat and /complete inside the current Blocks."""
    api(chat_endpoint(engine), api_name="chat", concurrency_limit=None)
    api(complete_endpoint(engine), api_name="complete", concurrency_limit=None)


def chat_endpoint(engine: Engine) -> Callable[..., AsyncIterator[str]]:
    """Make the function behind /chat; its own signature and docstring are what clients see."""
    template = chat_template()

    async def chat(
        message: str,
        history: list[list[str]] | None = None,
        style: str = "Balanced",
        persona: str = "",
        seed: int = -1,
        request: gr.Request | None = None,
    ) -> AsyncIterator[str]:
        """Answer a message; yields the answer so far.

        Args:
            message: what to say to the model.
            history: earlier exchanges as [[message, answer], ...], oldest first.
            style: "Precise", "Balanced" or "Wild".
            persona: text the model reads before the conversation.
            seed: the same seed gives the same answer; -1 draws one.
            request: filled in by the page.
        """
        try:
            conversation = Conversation()
            for said, answered in history or []:
                conversation = open_turn(engine, template, conversation, said, persona)
                ids = tuple(engine.encode(" " + answered.strip()))
                conversation = with_answer(conversation, answered, ids)
            conversation = open_turn(engine, template, conversation, message, persona)
            settings = style_settings(style, seed, template.stop)
            async for text in stream_text(engine, request, conversation.ids, settings):
                yield text.strip()
        except RwkvError as error:
            raise as_gradio_error(error) from error

    return chat


def complete_endpoint(engine: Engine) -> Callable[..., AsyncIterator[str]]:
    """Make the function behind /complete."""

    async def complete(
        text: str,
        style: str = "Balanced",
        max_tokens: int = 100,
        seed: int = -1,
        request: gr.Request | None = None,
    ) -> AsyncIterator[str]:
        """Go on writing from the end of a text; yields what was written so far.

        Args:
            text: the beginning.
            style: "Precise", "Balanced" or "Wild".
            max_tokens: 1 to 4096, the most to write.
            seed: the same seed gives the same text; -1 draws one.
            request: filled in by the page.
        """
        try:
            ids = (engine.tokenizer.end_of_text, *engine.encode(text))
            settings = replace(style_settings(style, seed), max_tokens=max_tokens)
            async for written in stream_text(engine, request, ids, settings):
                yield written
        except RwkvError as error:
            raise as_gradio_error(error) from error

    return complete


def style_settings(style: str, seed: int, stop: tuple[str, ...] = ()) -> GenerationSettings:
    """Settings of a preset with a seed.

    Raises:
        SettingsError: no such preset, or a seed out of range.
    """
    controls = controls_of(preset_named(style))._replace(seed=seed)
    return generation_settings(controls, stop)


async def stream_text(
    engine: Engine,
    request: gr.Request | None,
    ids: tuple[int, ...],
    settings: GenerationSettings,
) -> AsyncIterator[str]:
    """Yield the text written so far, at most 20 times a second.

    Raises:
        RwkvError: the text could not be written.
    """
    # A caller without a session gets one of its own, or it could time what others have sent.
    visitor = (request.session_hash if request is not None else None) or secrets.token_hex(16)
    stream = engine.submit(visitor, ids, settings)
    text = ""
    async for batch in stream.batches():
        if batch:
            text += "".join(token.text for token in batch)
            yield text
    if stream.result is not None and stream.result.error is not None:
        raise stream.result.error
