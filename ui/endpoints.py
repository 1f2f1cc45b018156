"""The named endpoints for programs; the page itself uses private ones.

Each is made by a function that binds the engine. Its own signature and docstring are what
clients and tools see, so they speak to whoever calls it.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.events import api

from presets import chat_template_for
from presets.catalogue import first_preset, presets_for
from presets.limits import RequestLimits
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection import head_norms, layer_norms, wkv_array
from rwkv_core.sessions import Conversation
from ui.chat.turns import open_turn, with_answer
from ui.components import as_gradio_error
from ui.controls import controls_of, generation_settings, preset_named
from ui.endpoint_values import exchanges, stops_value, text_value, whole_value
from ui.kept_texts import KeptTexts, new_name

# A longer list would be larger than any program needs at once.
MAX_LISTED_TOKENS = 50_000
TAIL_CHARACTERS = 80
# A program reads no faster for being told of each word, and with many of them telling costs more
# than writing.
FIRST_PAUSE_S, LAST_PAUSE_S, PAUSE_GROWTH = 0.05, 0.5, 1.6

Facts = dict[str, Any]


def build_endpoints(engine: Engine, limits: RequestLimits) -> None:
    """Publish the endpoints inside the current Blocks."""
    kept = KeptTexts(limits.kept_texts, limits.kept_tokens)
    for name, endpoint in {
        "chat": chat_endpoint(engine),
        "complete": complete_endpoint(engine, kept),
        "tokenise": tokenise_endpoint(engine),
        "score": score_endpoint(engine),
        "snapshot": snapshot_endpoint(engine, kept),
    }.items():
        api(endpoint, api_name=name, concurrency_limit=None)


def chat_endpoint(engine: Engine) -> Callable[..., AsyncIterator[str]]:
    """Make the function behind /chat."""
    template, _ = chat_template_for(engine.model.name, engine.tokenizer.name)

    async def chat(
        message: str,
        history: list[list[str]] | None = None,
        style: str = "",
        persona: str = "",
        seed: int = -1,
        request: gr.Request | None = None,
    ) -> AsyncIterator[str]:
        """Answer a message; yields the answer so far.

        Args:
            message: what to say to the model.
            history: earlier exchanges as [[message, answer], ...], oldest first.
            style: "Precise", "Balanced", "Wild", or "Advised" where a model's makers advise
                one; "" for what the page begins with.
            persona: text the model reads before the conversation.
            seed: the same seed gives the same answer; -1 draws one.
            request: filled in by the page.
        """
        with sentences():
            conversation, persona = Conversation(), text_value(persona, "persona")
            for said, answered in exchanges(history):
                conversation = open_turn(engine, template, conversation, said, persona)
                ids = tuple(engine.encode(" " + answered.strip()))
                conversation = with_answer(conversation, answered, ids)
            message = text_value(message, "message")
            conversation = open_turn(engine, template, conversation, message, persona)
            settings = style_settings(engine.model.name, style, seed, template.stop)
            async for text in stream_text(engine, request, conversation.ids, settings):
                yield text.strip()

    return chat


def complete_endpoint(engine: Engine, kept: KeptTexts) -> Callable[..., AsyncIterator[str]]:
    """Make the function behind /complete."""

    async def complete(
        text: str,
        style: str = "",
        max_tokens: int = 100,
        seed: int = -1,
        after: str = "",
        stop: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> AsyncIterator[str]:
        """Go on writing from the end of a text; yields what was written so far.

        Args:
            text: the beginning.
            style: "Precise", "Balanced", "Wild", or "Advised" where a model's makers advise
                one; "" for what the page begins with.
            max_tokens: the most to write, up to this server's limit.
            seed: the same seed gives the same text; -1 draws one.
            after: the id of a snapshot whose text comes before this one.
            stop: texts that end what is written; they are not part of it.
            request: filled in by the page.
        """
        with sentences():
            ids = ids_after(engine, kept, text, after)
            settings = style_settings(engine.model.name, style, seed, stops_value(stop))
            settings = replace(settings, max_tokens=whole_value(max_tokens, "max_tokens"))
            async for written in stream_text(engine, request, ids, settings, session=after):
                yield written

    return complete


def tokenise_endpoint(engine: Engine) -> Callable[[str], Facts]:
    """Make the function behind /tokenise."""

    def tokenise(text: str) -> Facts:
        """Split a text into the pieces the model reads.

        Args:
            text: any text.

        Returns:
            count, ids and texts of the tokens; a piece of a character shows as its bytes.
        """
        with sentences():
            ids = engine.encode(text_value(text, "text"))
            if len(ids) > MAX_LISTED_TOKENS:
                raise InputError(
                    f"the text has {len(ids)} tokens, the limit here is {MAX_LISTED_TOKENS}; send "
                    "it in parts"
                )
            pieces = [engine.tokenizer.token_bytes(token) for token in ids]
            texts = [piece.decode(errors="backslashreplace") for piece in pieces]
            return {"count": len(ids), "ids": ids, "texts": texts}

    return tokenise


def score_endpoint(engine: Engine) -> Callable[..., Coroutine[Any, Any, Facts]]:
    """Make the function behind /score."""

    async def score(text: str, request: gr.Request | None = None) -> Facts:
        """Say how likely the model finds each token of a text.

        Args:
            text: up to about 4,000 tokens.
            request: filled in by the page.

        Returns:
            ids and logprobs (natural logarithms) of the tokens, their sum, the perplexity, and
            bits per byte.
        """
        with sentences():
            ids = engine.encode(text_value(text, "text"))
            session, _ = session_of(request)
            job = engine.trace(session, (engine.tokenizer.end_of_text, *ids))
            async for _ in job.progress():
                pass
            # The first one is the beginning of the text, which nothing predicts.
            logprobs = [-math.log(2) * float(bits) for bits in job.result().surprise_bits[1:]]
            total = sum(logprobs)
            return {
                "ids": ids,
                "logprobs": logprobs,
                "total": total,
                "perplexity": math.exp(min(700.0, -total / len(ids))),
                "bits_per_byte": -total / math.log(2) / len(text.encode()),
            }

    return score


def snapshot_endpoint(engine: Engine, kept: KeptTexts) -> Callable[..., Coroutine[Any, Any, Facts]]:
    """Make the function behind /snapshot."""

    async def snapshot(text: str, after: str = "") -> Facts:
        """Let the model read a text and keep its memory under an id.

        Give the id to /complete or to /snapshot as `after`, and what was read is not read again.
        Whoever knows the id can go on from the text, so treat it as a secret.

        Args:
            text: what to read.
            after: the id of a snapshot whose text comes before this one.

        Returns:
            id, tokens, the memory's bytes, how much each layer holds (Frobenius norm of its
            matrices), and the end of the text.
        """
        with sentences():
            ids = ids_after(engine, kept, text, after)
            name = new_name()
            stream = engine.read(name, ids)
            async for _ in stream.batches():
                pass
            if stream.result is None or stream.result.error is not None:
                raise (stream.result and stream.result.error) or InputError(
                    "the reading was ended; try again"
                )
            state = engine.state_at(name, ids)
            if state is None:
                raise InputError("the memory could not be kept; read a shorter text")
            for gone in kept.keep(name, ids):
                engine.drop_session(gone)
            norms = layer_norms(head_norms(wkv_array(state)))
            return {
                "id": name,
                "tokens": len(ids),
                "bytes": engine.model.config.state_bytes,
                "layer_norms": [round(float(norm), 4) for norm in norms],
                "tail": text[-TAIL_CHARACTERS:],
            }

    return snapshot


def ids_after(engine: Engine, kept: KeptTexts, text: object, after: object) -> tuple[int, ...]:
    """Ids of a text, and of the snapshot's before it.

    Raises:
        InputError: no such snapshot, or the text is empty, too long or none.
    """
    name = text_value(after, "after").strip()
    before = kept.ids(name) if name else (engine.tokenizer.end_of_text,)
    return (*before, *engine.encode(text_value(text, "text")))


def style_settings(
    model: str, style: object, seed: object, stop: tuple[str, ...] = ()
) -> GenerationSettings:
    """Settings of a preset with a seed, of those on offer with a model.

    Raises:
        SettingsError: no such preset, or a seed out of range.
    """
    number = whole_value(seed, "seed")
    presets = presets_for(model)
    name = text_value(style, "style") or first_preset(presets).name
    controls = controls_of(preset_named(name, presets))._replace(seed=number)
    return generation_settings(controls, stop)


def session_of(request: gr.Request | None) -> tuple[str, bool]:
    """Name the caller's session, and say whether it was made up for this one call.

    A caller without a session gets one of its own, or it could time what others have sent.
    """
    given = request.session_hash if request is not None else None
    return (given, False) if given else (new_name(), True)


async def stream_text(
    engine: Engine,
    request: gr.Request | None,
    ids: tuple[int, ...],
    settings: GenerationSettings,
    session: str = "",
) -> AsyncIterator[str]:
    """Yield the text written so far: the first words at once, then ever less often.

    Args:
        engine: runs the model.
        request: tells the caller's session.
        ids: the whole text so far.
        settings: how to write.
        session: of a snapshot, whose memory is used in place of the caller's own.

    Raises:
        RwkvError: the text could not be written.
    """
    own, is_made_up = session_of(request)
    stream = engine.submit(session.strip() or own, ids, settings)
    text = shown = ""
    shown_at, pause_s = 0.0, FIRST_PAUSE_S
    try:
        async for batch in stream.batches():
            text += "".join(token.text for token in batch)
            now = time.monotonic()
            if text != shown and now - shown_at >= pause_s:
                shown_at, pause_s = now, min(LAST_PAUSE_S, PAUSE_GROWTH * pause_s)
                shown = text
                yield text
        if text != shown:
            yield text
    finally:
        if is_made_up and not session:
            engine.drop_session(own)
    if stream.result is not None and stream.result.error is not None:
        raise stream.result.error


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what a caller did wrong into what Gradio's clients show."""
    try:
        yield
    except RwkvError as error:
        raise as_gradio_error(error) from error
