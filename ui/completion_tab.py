"""Completion: the model goes on in the same box, and shows how sure it was of each word."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from presets import examples
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.generate import Token
from rwkv_core.streams import Stream
from ui.components import (
    SHOWN_ALTERNATIVES,
    error_line,
    memory_card,
    probability_text,
    progress_line,
    result_line,
    status_line,
    words_in,
)
from ui.controls import build_controls, generation_settings
from ui.session import (
    MODEL_EVENT,
    QUIET_EVENT,
    Draft,
    Drafts,
    RunningStreams,
)
from ui.shelf import Handed, Shelf
from ui.shelf_card import ShelfPorts, build_keep_button, keep_draft, wire_keep_button

# A long text is sent to the page whole at every redraw, so it is redrawn less often.
LONG_TEXT = 20_000


class CompletionFrame(NamedTuple):
    """What the tab shows next, in the order of its outputs."""

    box: dict[str, Any]
    drafts: Drafts
    run: dict[str, Any]
    stop: dict[str, Any]
    status: str
    chances: str | dict[str, Any]
    memory: str | dict[str, Any]


async def complete(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    text: str,
    drafts: Drafts,
    *controls: float,
) -> AsyncIterator[CompletionFrame]:
    """Go on writing from the end of a text.

    Args:
        engine: runs the model.
        running: knows what each visitor listens to.
        visitor: session id.
        text: what stands in the box.
        drafts: the text as the model left it, and what came before.
        controls: numbers in the order of `Controls`.
    """
    try:
        ids = drafts.ids_for(text, engine.encode, engine.tokenizer.end_of_text)
        settings = generation_settings(controls)
        stream = engine.submit(
            visitor, ids, settings, alternatives=SHOWN_ALTERNATIVES, root=drafts.now.root
        )
    except RwkvError as error:
        yield idle(gr.skip(), drafts, error_line(error))
        return
    running.start(visitor, stream)
    # What the model wrote stays coloured until somebody edits the text.
    written = drafts.now.written if text == drafts.now.text else ()
    before = Draft(text, ids, written, drafts.now.root)
    known = len(drafts.now.ids) if ids[: len(drafts.now.ids)] == drafts.now.ids else 0
    tokens: list[Token] = []
    try:
        async for shown in follow(engine, stream, before, drafts, tokens):
            yield shown
        if running.is_current(visitor, stream) and (result := stream.result) is not None:
            after = before.extended(result.text, result.generated_ids, tokens)
            drafts = drafts.continued(before, after) if result.generated_ids else drafts
            status = result_line(result, len(ids) - known, engine.model.config.state_bytes)
            if result.error is not None:
                status = error_line(result.error)
            yield idle(
                gr.update(value=after.text, interactive=True),
                drafts,
                status,
                probability_text(after.written, with_choices=True),
                memory_of(engine, after),
            )
    finally:
        running.end(visitor, stream)


async def follow(
    engine: Engine, stream: Stream, before: Draft, drafts: Drafts, tokens: list[Token]
) -> AsyncIterator[CompletionFrame]:
    """Show a stream as it comes, collecting its tokens."""
    box = gr.update(interactive=False)
    interval_s = 0.05 if len(before.text) < LONG_TEXT else 0.5
    async for batch in stream.batches(interval_s):
        tokens += batch
        if batch:
            text = "".join(token.text for token in tokens)
            now = before.extended(text, tuple(token.id for token in tokens), tokens)
            box = gr.update(value=now.text, interactive=False)
            drafts_now = drafts.continued(before, now)
            chances: str | dict[str, Any] = probability_text(now.written, with_choices=False)
            memory: str | dict[str, Any] = memory_of(engine, now, batch[-1].change)
        else:
            drafts_now, chances, memory = drafts, gr.skip(), gr.skip()
        yield CompletionFrame(
            box,
            drafts_now if tokens else drafts,
            gr.update(visible=False),
            gr.update(visible=True),
            progress_line(stream.status),
            chances,
            memory,
        )


def idle(
    box: dict[str, Any],
    drafts: Drafts,
    status: str,
    chances: str | dict[str, Any] | None = None,
    memory: str | dict[str, Any] | None = None,
) -> CompletionFrame:
    """Show the tab at rest: Continue is there, Stop is not."""
    return CompletionFrame(
        box,
        drafts,
        gr.update(visible=True),
        gr.update(visible=False),
        status,
        gr.skip() if chances is None else chances,
        gr.skip() if memory is None else memory,
    )


def memory_of(engine: Engine, draft: Draft, change: tuple[float, ...] = ()) -> str:
    """Draw the memory card for a text."""
    return memory_card(engine.model.config, words_in(draft.text), len(draft.ids), change)


def begin(start: str, text: str, drafts: Drafts) -> tuple[str, Drafts]:
    """Put an example into the box; undo brings back what stood there."""
    return start, drafts.replaced(text, Draft(start))


def go_on_from(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    text: str,
    drafts: Drafts,
    handed: Handed | None,
    language: str,
) -> CompletionFrame:
    """Take a memory from the shelf into the box; undo brings back what stood there."""
    if handed is None or handed.tab != "completion":
        return CompletionFrame(*(gr.skip() for _ in CompletionFrame._fields))
    running.stop(visitor)
    item, start = handed.item, engine.tokenizer.end_of_text
    shown = engine.tokenizer.decode(item.ids[1:] if item.ids[:1] == (start,) else item.ids)
    drafts = drafts.replaced(text, Draft(shown, item.ids, root=item.root))
    said = speak(language, "shelf.handed", name=item.name, tokens=f"{item.tokens:,}")
    box = gr.update(value=shown, interactive=True)
    memory = memory_card(engine.model.config, words_in(shown), item.tokens)
    return idle(box, drafts, status_line(said), "", memory)


def undo(
    engine: Engine, running: RunningStreams, visitor: str, text: str, drafts: Drafts
) -> CompletionFrame:
    """Take back what the model wrote last."""
    running.stop(visitor)
    return shelve(engine, drafts.undo(text), "Taken back; Redo brings it again.", drafts)


def redo(
    engine: Engine, running: RunningStreams, visitor: str, text: str, drafts: Drafts
) -> CompletionFrame:
    """Bring back what undo took."""
    running.stop(visitor)
    return shelve(engine, drafts.redo(text), "Brought back.", drafts)


def keep_text_in_box(
    engine: Engine, visitor: str, shelf: Shelf, text: str, drafts: Drafts, language: str
) -> tuple[Shelf, str]:
    """Keep the memory of the text in the box, the visitor's own changes included."""
    try:
        start = engine.tokenizer.end_of_text
        ids = drafts.ids_for(text, engine.encode, start) if text or drafts.now.ids else ()
    except RwkvError as error:
        return shelf, error_line(error)
    draft = Draft(text, ids, root=drafts.now.root)
    return keep_draft(engine, visitor, shelf, draft, language)


def shelve(engine: Engine, drafts: Drafts, said: str, before: Drafts) -> CompletionFrame:
    """Show the draft that undo or redo arrived at, if there was one."""
    if drafts is before:
        return idle(gr.update(interactive=True), drafts, status_line("Nothing further that way."))
    box = gr.update(value=drafts.now.text, interactive=True)
    chances = probability_text(drafts.now.written, with_choices=True)
    return idle(box, drafts, status_line(said), chances, memory_of(engine, drafts.now))


def build_completion_tab(engine: Engine, visitor: gr.State, ports: ShelfPorts) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        ports: what it shares with the shelf.
    """
    running, drafts = RunningStreams(), gr.State(Drafts())
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            with gr.Row(elem_classes="chips"):
                starts = [(gr.Button(text, size="sm"), text) for text in examples().completion]
            box = gr.Textbox(
                label="Text",
                info="Write a beginning; the model goes on in the same box.",
                placeholder="Once upon a time",
                lines=9,
                max_lines=18,
                elem_id="completion-box",
            )
            with gr.Row(elem_classes="actions"):
                run = gr.Button("Continue", variant="primary", elem_id="completion-run")
                stop = gr.Button("Stop", variant="stop", visible=False, elem_id="completion-stop")
                back = gr.Button("Undo", elem_classes="plain")
                forth = gr.Button("Redo", elem_classes="plain")
            status = gr.HTML(status_line(), elem_id="completion-status")
            chances = gr.HTML("", elem_id="completion-chances")
        with gr.Column(elem_classes="side-column", min_width=240):
            memory = gr.HTML(memory_card(engine.model.config, 0, 0), elem_id="completion-memory")
            keep = build_keep_button()
            controls = build_controls()
    outputs = [box, drafts, run, stop, status, chances, memory]
    inputs = [visitor, box, drafts]
    go_on: dict[str, Any] = {
        "fn": partial(complete, engine, running),
        "inputs": [*inputs, *controls],
        "outputs": outputs,
        **MODEL_EVENT,
    }
    run.click(**go_on)
    for button, text in starts:
        chosen = button.click(partial(begin, text), [box, drafts], [box, drafts], **QUIET_EVENT)
        chosen.success(**go_on)
    stop.click(running.stop, visitor, None, **QUIET_EVENT)
    wire_keep_button(
        keep, partial(keep_text_in_box, engine), [visitor, ports.shelf, box, drafts, ports.language],
        [ports.shelf, status],
    )  # fmt: skip
    ports.handed.change(
        partial(go_on_from, engine, running),
        [*inputs, ports.handed, ports.language],
        outputs,
        **QUIET_EVENT,
    )
    back.click(partial(undo, engine, running), inputs, outputs, **QUIET_EVENT)
    forth.click(partial(redo, engine, running), inputs, outputs, **QUIET_EVENT)
