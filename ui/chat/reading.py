"""Reading a message while it is typed, so that its answer begins at once."""

from collections.abc import AsyncIterator
from functools import partial

import gradio as gr
from gradio.components import Component

from presets import ChatTemplate
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from ui.chat.turns import opened
from ui.chat.values import Ask, Chats
from ui.drafting import (
    COUNTED_CHARACTERS,
    build_ahead,
    build_listener,
    counts,
    follow_draft,
)
from ui.session import MODEL_EVENT


async def read_message(
    engine: Engine,
    template: ChatTemplate,
    visitor: str,
    language: str,
    text: str,
    chats: Chats,
    persona: str,
    wants_reading: bool,
) -> AsyncIterator[str]:
    """Read the message as it would be sent now, and say how far that is.

    Args:
        engine: reads it while it has nothing else to do.
        template: writes the roles.
        visitor: session id.
        language: the visitor's.
        text: what stands in the message box.
        chats: all the visitor has.
        persona: text read before the first turn.
        wants_reading: whether the visitor wants it read.
    """
    if not wants_reading or not text.strip() or len(text) > COUNTED_CHARACTERS:
        yield counts(language, "", None, 0)
        return
    try:
        tree, _ = opened(engine, template, chats.current.tree.settled(), Ask(text), persona)
        talk = tree.conversation
        async for line in follow_draft(
            engine, visitor, language, text, talk.ids, root=talk.root, may_read=True
        ):
            yield line
    except RwkvError:
        # A draft is nobody's order: what is wrong with it is said when it is sent.
        yield counts(language, "", None, 0)


def build_reading(
    engine: Engine, template: ChatTemplate, inputs: list[Component], *, may_read_ahead: bool
) -> gr.Checkbox | None:
    """Lay out the switch and the line beside it, and wire them; None where it is not allowed.

    Args:
        engine: reads.
        template: writes the roles.
        inputs: what gives visitor, language, message, chats and persona.
        may_read_ahead: whether the owner allows it.
    """
    if not may_read_ahead:
        return None
    ahead = build_ahead(may_read_ahead=True)
    line = build_listener("#chat-box textarea", "chat-counts")
    gr.on(
        [line.input, ahead.input],
        partial(read_message, engine, template),
        [*inputs, ahead],
        line,
        trigger_mode="always_last",
        **MODEL_EVENT,
    )
    return ahead
