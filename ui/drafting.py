"""While a visitor types: count the text, and read it ahead where the owner allows that."""

from collections.abc import AsyncIterator, Sequence
from html import escape

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from ui.words import say

# A longer text is not turned into tokens at every pause.
COUNTED_CHARACTERS = 50_000
# More is not read ahead: it would take long, and the draft may still change.
AHEAD_TOKENS = 2048
# Waits for a pause in the typing; Gradio's own event misses what is pasted.
_LISTEN = """let pause;
document.addEventListener("input", (event) => {
  if (!event.target.matches("SELECTOR")) return;
  clearTimeout(pause);
  pause = setTimeout(() => trigger("input"), 350);
});"""


def build_listener(selector: str, elem_id: str) -> gr.HTML:
    """Lay out a line about a text that is being typed; its `input` comes at each pause.

    Args:
        selector: of the box, in CSS.
        elem_id: of the line.
    """
    js = _LISTEN.replace("SELECTOR", selector)
    return gr.HTML(counts("en", "", None, 0), js_on_load=js, elem_id=elem_id)


def build_ahead(*, may_read_ahead: bool) -> gr.Checkbox:
    """Lay out the switch that lets drafts be read; hidden where the owner does not allow it."""
    return gr.Checkbox(
        value=may_read_ahead,
        visible=may_read_ahead,
        label=say("completion.read_ahead"),
        info=say("completion.read_ahead_hint"),
        elem_classes="ahead",
    )


async def read_ahead(
    engine: Engine, visitor: str, ids: Sequence[int], *, root: str = ""
) -> AsyncIterator[int]:
    """Read a draft into a memory of its own while the engine has nothing else to do.

    Args:
        engine: reads it, after everyone else's texts.
        visitor: session id.
        ids: the whole text since its root.
        root: the held memory that the text begins from.

    Yields:
        How many tokens are still to be read; the last one is what is left when it ends.

    Raises:
        RwkvError: the text cannot be read.
    """
    stream = engine.read(visitor, ids, root=root, is_quiet=True)
    async for _ in stream.batches():
        yield max(0, len(ids) - stream.status.tokens_read)


def counts(language: str, text: str, tokens: int | None, unread: int) -> str:
    """Say how long a text is, and how much of it the model has still to read.

    Args:
        language: the visitor's.
        text: what stands in the box.
        tokens: how many it is; None where it was not counted.
        unread: how many of them the next step has to read first.
    """
    if not text:
        return '<p class="counts"></p>'
    facts = [speak(language, "completion.characters", count=f"{len(text):,}")]
    if tokens is not None:
        facts.append(speak(language, "completion.tokens", count=f"{tokens:,}"))
        key = "completion.unread" if unread else "completion.all_read"
        facts.append(speak(language, key, count=f"{unread:,}"))
    return f'<p class="counts">{escape(" · ".join(facts))}</p>'


async def follow_draft(
    engine: Engine,
    visitor: str,
    language: str,
    text: str,
    ids: Sequence[int],
    *,
    root: str = "",
    may_read: bool,
) -> AsyncIterator[str]:
    """Count a draft, read it ahead where that is allowed, and say how far that is.

    Args:
        engine: counts and reads.
        visitor: session id.
        language: the visitor's.
        text: what stands in the box.
        ids: the whole text since its root.
        root: the held memory that the text begins from.
        may_read: whether it may be read before it is sent.
    """
    shown = len(ids)
    unread = len(ids) - engine.kept_length(visitor, ids, root=root)
    yield counts(language, text, shown, unread)
    if not may_read or not 0 < unread <= AHEAD_TOKENS:
        return
    try:
        async for left in read_ahead(engine, visitor, ids, root=root):
            if left != unread:
                unread = left
                yield counts(language, text, shown, unread)
    except RwkvError:
        # A draft is nobody's order: what is wrong with it is said when it is sent.
        return
