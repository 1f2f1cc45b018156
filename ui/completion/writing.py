"""Going on with a text: from the box to the last word, also from another word in its middle."""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.generate import Token
from rwkv_core.state import is_root
from rwkv_core.streams import Stream
from ui.completion.frames import CompletionFrame, busy, fact, idle, memory_of, outcome, shown
from ui.completion.strip import SHOWN_ALTERNATIVES, strip
from ui.completion.values import Versions
from ui.components import error_line, progress_line, status_line
from ui.controls import generation_settings
from ui.session import Draft, Drafts, RunningStreams

# A long text is sent to the page whole at every redraw, so it is redrawn less often.
LONG_TEXT = 20_000
# Tokens between two kept memories of a text: going back to a word reads fewer than these.
KEEP_EVERY = 32


async def complete(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
    *controls: float,
) -> AsyncIterator[CompletionFrame]:
    """Go on writing from the end of a text.

    Args:
        engine: runs the model.
        running: knows what each visitor listens to.
        visitor: session id.
        language: the visitor's.
        text: what stands in the box.
        drafts: the text as the model left it, and what came before.
        controls: numbers in the order of `Controls`.
    """
    try:
        before = draft_of(engine, drafts, text)
        stream = engine.submit(
            visitor,
            before.ids,
            generation_settings(controls),
            alternatives=SHOWN_ALTERNATIVES,
            root=before.root,
            keep_every=KEEP_EVERY,
            tells_change=True,
        )
    except RwkvError as error:
        yield idle({}, error_line(error, language))
        return
    running.start(visitor, stream)
    tokens: list[Token] = []
    try:
        async for frame in follow(engine, stream, before, drafts, tokens, language):
            yield frame
        if running.is_current(visitor, stream) and (result := stream.result) is not None:
            after = before.extended(result.text, result.generated_ids, tokens)
            reread = max(0, result.tokens_read - new_tokens(before, drafts.now))
            status = outcome(result, reread, engine.model.config.state_bytes, language)
            if result.error is not None:
                status = error_line(result.error, language)
            if result.generated_ids:
                yield shown(engine, drafts.continued(before, after), status, language)
            else:
                box = gr.update(value=text, interactive=True)
                yield idle({"box": box, "drafts": drafts}, status)
    finally:
        running.end(visitor, stream)


def draft_of(engine: Engine, drafts: Drafts, text: str) -> Draft:
    """The text in the box with its tokens; what the model wrote stays coloured until it is edited.

    Raises:
        InputError: the text is empty, too long or not text.
    """
    ids = drafts.ids_for(text, engine.encode, engine.tokenizer.end_of_text)
    written = drafts.now.written if text == drafts.now.text else ()
    unread = drafts.now.unread if text == drafts.now.text else 0
    return Draft(text, ids, written, drafts.now.root, unread)


def new_tokens(draft: Draft, known: Draft) -> int:
    """How many tokens of a text the model has never read."""
    limit = min(len(draft.ids), len(known.ids) - known.unread)
    same = next((n for n in range(limit) if draft.ids[n] != known.ids[n]), limit)
    return len(draft.ids) - max(0, same)


async def follow(
    engine: Engine,
    stream: Stream,
    before: Draft,
    drafts: Drafts,
    tokens: list[Token],
    language: str,
) -> AsyncIterator[CompletionFrame]:
    """Show a stream as it comes, collecting its tokens."""
    interval_s = 0.05 if len(before.text) < LONG_TEXT else 0.5
    cleared: dict[str, Any] = {"grid": "", "versions": Versions()}
    async for batch in stream.batches(interval_s):
        tokens += batch
        parts: dict[str, Any] = {"box": gr.update(interactive=False), **cleared}
        if batch:
            text = "".join(token.text for token in tokens)
            now = before.extended(text, tuple(token.id for token in tokens), tokens)
            parts |= {
                "box": gr.update(value=now.text, interactive=False),
                "drafts": drafts.continued(before, now),
                "words": strip(now.written, language, with_choices=False),
                "memory": memory_of(engine, now, language, batch[-1].change),
            }
        yield busy(parts, progress_line(stream.status, language))
        cleared = {}


def restart_from(drafts: Drafts, text: str, at: object, choice: object) -> Drafts:
    """Put another word in the place of one that the model wrote, and forget what followed.

    Args:
        drafts: whose newest text has the word.
        text: what stands in the box; undo brings it back.
        at: which of the written words.
        choice: which of its likely words to take.

    Returns:
        The drafts with the changed text; the same where there is no such word.
    """
    now = drafts.now
    if not isinstance(at, int) or not isinstance(choice, int):
        return drafts
    if not 0 <= at < len(now.written) or not 0 <= choice < len(now.written[at].alternatives):
        return drafts
    gone, other = now.written[at:], now.written[at].alternatives[choice]
    if not other.text or "\ufffd" in other.text:
        return drafts
    kept_text = now.text[: len(now.text) - sum(len(token.text) for token in gone)]
    token = Token(other.id, other.text, other.logprob, gone[0].alternatives)
    changed = Draft(
        kept_text + other.text,
        (*now.ids[: len(now.ids) - len(gone)], other.id),
        (*now.written[:at], token),
        now.root,
        unread=1,
    )
    return drafts.continued(drafts.as_draft(text), changed)


def begin(engine: Engine, start: str, language: str, text: str, drafts: Drafts) -> CompletionFrame:
    """Put an example into the box; undo brings back what stood there."""
    return shown(engine, drafts.replaced(text, Draft(start)), "", language)


def again(engine: Engine, visitor: str, language: str, kept: object) -> CompletionFrame:
    """Take up the text that a reload has left in the box.

    Args:
        engine: holds memories.
        visitor: session id.
        language: the visitor's.
        kept: what the browser kept, `text` and `root`; whatever does not fit is ignored. The box
            has the text already, and more may have been typed since.
    """
    known = kept if isinstance(kept, dict) else {}
    text, root = (
        known[name] if isinstance(known.get(name), str) else "" for name in ("text", "root")
    )
    root = root if is_root(root) else ""
    status = status_line()
    try:
        if root:
            engine.memory_at(visitor, (), root=root)
    except RwkvError as error:
        status = error_line(error, language)
    frame = shown(engine, Drafts(Draft(text, root=root)), status, language)
    return frame._replace(box=gr.skip())


def undo(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
) -> CompletionFrame:
    """Take back what the model wrote last."""
    running.stop(visitor)
    return step(engine, drafts, drafts.undo(text), "completion.undone", language)


def redo(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
) -> CompletionFrame:
    """Bring back what undo took."""
    running.stop(visitor)
    return step(engine, drafts, drafts.redo(text), "completion.redone", language)


def step(
    engine: Engine, before: Drafts, after: Drafts, said: str, language: str
) -> CompletionFrame:
    """Show the draft that undo or redo arrived at, if there was one."""
    if after is before:
        return idle({"box": gr.update(interactive=True)}, fact(language, "completion.no_further"))
    return shown(engine, after, fact(language, said), language)
