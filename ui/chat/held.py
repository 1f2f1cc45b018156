"""What a visitor holds of the Chat tab between two events."""

from typing import NamedTuple

import gradio as gr

from ui.chat.values import Ask, Chats


class Held(NamedTuple):
    """What a visitor holds on the server, and what passes to and from the browser's storage."""

    visitor: gr.State
    language: gr.State
    chats: gr.State
    ask: gr.State
    beside: gr.State
    ask_beside: gr.State
    pair_seed: gr.State
    saved: gr.State
    stored: gr.JSON


def build_held(visitor: gr.State) -> Held:
    """Make room for what a visitor holds."""
    return Held(
        visitor,
        gr.State("en"),
        gr.State(Chats()),
        gr.State(Ask("")),
        gr.State(Chats()),
        gr.State(None),
        gr.State(-1),
        gr.State({}),
        gr.JSON(visible=False),
    )
