"""What the Completion tab shows: the box, its buttons, one quiet line and the words below."""

from html import escape
from typing import Any, NamedTuple

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.state import tokens_of
from rwkv_core.streams import Reason, StreamResult
from ui.completion.strip import strip
from ui.completion.values import Versions
from ui.components import bytes_text, memory_card, words_in
from ui.drafting import counts
from ui.session import Draft, Drafts

SKIP: dict[str, Any] = gr.skip()
_ENDINGS: dict[Reason, str] = {
    "length": "completion.reached_length",
    "cancelled": "chat.stopped",
    "deadline": "chat.too_long",
    "unread": "chat.unread",
}


class CompletionFrame(NamedTuple):
    """What the tab shows next, in the order of its outputs.

    Attributes:
        box: the text.
        drafts: the text as the model left it, with what came before and after.
        run, more, stop: the buttons that go on, try versions and stop.
        status: one line of HTML.
        words: the written words to look at.
        memory: the memory card.
        grid: the versions, as HTML.
        versions: the same as values.
        counted: how long the text is.
        root: the held memory that the text begins from, for the browser to keep.
    """

    box: dict[str, Any]
    drafts: Drafts | dict[str, Any]
    run: dict[str, Any]
    more: dict[str, Any]
    stop: dict[str, Any]
    status: str
    words: str | dict[str, Any]
    memory: str | dict[str, Any]
    grid: str | dict[str, Any]
    versions: Versions | dict[str, Any]
    counted: str | dict[str, Any]
    root: str | dict[str, Any]


def nothing_new() -> CompletionFrame:
    """Change nothing."""
    return CompletionFrame(*(gr.skip() for _ in CompletionFrame._fields))


def busy(frame_parts: dict[str, Any], status: str) -> CompletionFrame:
    """Show the tab at work: Stop is there, nothing can be begun.

    Args:
        frame_parts: what changes, by field of CompletionFrame.
        status: one line of HTML.
    """
    buttons = {
        "run": gr.update(visible=False),
        "more": gr.update(visible=False),
        "stop": gr.update(visible=True),
        "status": status,
    }
    return nothing_new()._replace(**{**buttons, **frame_parts})


def idle(frame_parts: dict[str, Any], status: str) -> CompletionFrame:
    """Show the tab at rest: Stop is not there."""
    buttons = {
        "run": gr.update(visible=True),
        "more": gr.update(visible=True),
        "stop": gr.update(visible=False),
        "status": status,
    }
    return nothing_new()._replace(**{**buttons, **frame_parts})


def shown(engine: Engine, drafts: Drafts, status: str, language: str) -> CompletionFrame:
    """Show a text at rest, with its words; versions of another text go."""
    draft = drafts.now
    parts = {
        "box": gr.update(value=draft.text, interactive=True),
        "drafts": drafts,
        "words": strip(draft.written, language),
        "memory": memory_of(engine, draft, language),
        "grid": "",
        "versions": Versions(),
        "counted": counts(language, draft.text, len(draft.ids) or None, draft.unread),
        "root": draft.root,
    }
    return idle(parts, status)


def memory_of(engine: Engine, draft: Draft, language: str, change: tuple[float, ...] = ()) -> str:
    """Draw the memory card for a text."""
    # Words that a memory from elsewhere has read are not known, so its tokens are counted.
    begun = tokens_of(draft.root)
    words = 0 if begun else words_in(draft.text)
    tokens = begun + len(draft.ids)
    return memory_card(engine.model.config, words, tokens, change, language=language)


def outcome(result: StreamResult, reread: int, state_bytes: int, language: str) -> str:
    """Say how a text went: why it ended, speed, memory, and what had to be read again."""
    facts = []
    if key := _ENDINGS.get(result.reason):
        facts.append(speak(language, key))
    if not result.generated_ids and result.reason in ("stop", "end_of_text"):
        facts.append(speak(language, "chat.nothing_to_add"))
    if result.generated_ids:
        facts += [
            speak(language, "chat.speed", speed=f"{result.tokens_per_s:,.0f}"),
            speak(language, "chat.first_word", seconds=f"{result.first_token_s:.2f}"),
        ]
    facts += [
        speak(language, "chat.memory", size=bytes_text(state_bytes)),
        speak(language, "chat.reread_none", count=f"{reread:,}"),
        speak(language, "chat.seed", seed=result.seed),
    ]
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f'<div role="status"><ul class="status">{items}</ul></div>'


def fact(language: str, key: str, **values: object) -> str:
    """One line of text as HTML."""
    return f'<p class="status" role="status">{escape(speak(language, key, **values))}</p>'
