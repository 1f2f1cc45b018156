"""What a visitor holds of the Chat tab between two events."""

from typing import NamedTuple

import gradio as gr

from ui.chat.values import MAX_CHATS, Ask, Chats
from ui.kept_settings import browser_state


class Held(NamedTuple):
    """What a visitor holds, on the server and in the browser."""

    visitor: gr.State
    language: gr.State
    chats: gr.State
    ask: gr.State
    beside: gr.State
    ask_beside: gr.State
    pair_seed: gr.State
    saved: gr.State
    listing: gr.BrowserState
    slots: list[gr.BrowserState]


def build_held(visitor: gr.State) -> Held:
    """Make room for what a visitor holds; the browser's part has a fixed key and secret."""
    return Held(
        visitor,
        gr.State("en"),
        gr.State(Chats()),
        gr.State(Ask("")),
        gr.State(Chats()),
        gr.State(None),
        gr.State(-1),
        gr.State({}),
        browser_state("chats"),
        [browser_state(f"chat-{slot}") for slot in range(MAX_CHATS)],
    )
