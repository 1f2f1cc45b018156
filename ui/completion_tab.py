"""Completion: the model goes on in the same box; layout first, wiring last.

What the handlers do is in the package `ui.completion`.
"""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from presets import Beginning, examples
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from ui.completion import versions, writing
from ui.completion.frames import CompletionFrame, fact, nothing_new, shown
from ui.completion.values import Versions
from ui.components import error_line, memory_card, status_line
from ui.controls import build_controls
from ui.drafting import COUNTED_CHARACTERS, build_ahead, build_listener, counts, follow_draft
from ui.kept_settings import keep_settings
from ui.session import (
    MODEL_EVENT,
    QUIET_EVENT,
    Draft,
    Drafts,
    RunningStreams,
    new_visitor,
)
from ui.shelf import Handed, Shelf
from ui.shelf_card import ShelfPorts, build_keep_button, keep_draft, wire_keep_button
from ui.words import language_of, say

_WORDS = Path(__file__).parent / "completion" / "words.js"
_FOLLOW = Path(__file__).parent / "completion" / "follow.js"
_CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-version]");
  if (button) trigger("click", { version: Number(button.dataset.version) });
});"""
# A window's own: another one may hold another text. Storage may be forbidden, or too small.
_KEEP_TEXT = """(text, root) => {
  try { sessionStorage.setItem("rwkv-playground-text", JSON.stringify({ text, root })); } catch { }
}"""
_KEPT = """() => {
  try { return JSON.parse(sessionStorage.getItem("rwkv-playground-text")); } catch { return null; }
}"""
# The first few stand as chips; the rest is a list, by language.
CHIPS = 4


class Desk(NamedTuple):
    """The box and what stands around it."""

    chips: list[tuple[gr.Button, str]]
    box: gr.Textbox
    counted: gr.HTML
    root: gr.Textbox
    run: gr.Button
    more: gr.Button
    stop: gr.Button
    back: gr.Button
    forth: gr.Button
    status: gr.HTML
    grid: gr.HTML
    colours: gr.Radio
    words: gr.HTML


def build_completion_tab(
    engine: Engine,
    page: gr.Blocks,
    kept: gr.BrowserState,
    visitor: gr.State,
    ports: ShelfPorts,
    *,
    may_read_ahead: bool = False,
) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        page: that the tab stands on.
        kept: room in the browser for the settings.
        visitor: holds the session id.
        ports: what it shares with the shelf.
        may_read_ahead: whether drafts may be read while they are typed.
    """
    running, drafts, found = RunningStreams(), gr.State(Drafts()), gr.State(Versions())
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            desk = build_desk()
        with gr.Column(elem_classes="side-column", min_width=240):
            memory = gr.HTML(memory_card(engine.model.config, 0, 0), elem_id="completion-memory")
            keep = build_keep_button()
            chooser = build_controls(engine.model.name)
            others = build_others()
            ahead = build_ahead(may_read_ahead=may_read_ahead)
    outputs: list[Any] = [
        desk.box, drafts, desk.run, desk.more, desk.stop, desk.status, desk.words, memory,
        desk.grid, found, desk.counted, desk.root,
    ]  # fmt: skip
    mine: list[Component] = [visitor, ports.language, desk.box, drafts]
    go_on: dict[str, Any] = {
        "fn": partial(writing.complete, engine, running),
        "inputs": [*mine, *chooser.numbers],
        "outputs": outputs,
        **MODEL_EVENT,
    }
    desk.run.click(**go_on)
    wire_beginnings(engine, desk, others, mine, outputs, go_on)
    wire_words(engine, desk, mine, found, outputs, go_on)
    desk.more.click(**{**go_on, "fn": partial(versions.try_versions, engine, running)})
    desk.stop.click(running.stop, visitor, None, **QUIET_EVENT)
    for button, fn in ((desk.back, writing.undo), (desk.forth, writing.redo)):
        button.click(partial(fn, engine, running), mine, outputs, **QUIET_EVENT)
    wire_keep_button(
        keep, partial(keep_text_in_box, engine), [*mine, ports.shelf], [ports.shelf, desk.status]
    )
    take = partial(go_on_from, engine, running)
    ports.handed.change(take, [*mine, ports.handed], outputs, **QUIET_EVENT)
    typed = partial(count, engine, may_read_ahead)
    drafted: dict[str, Any] = {"trigger_mode": "always_last", **MODEL_EVENT}
    gr.on([desk.counted.input, ahead.input], typed, [*mine, ahead], desk.counted, **drafted)
    settings = {**chooser.named, "colours": desk.colours}
    settings |= {"ahead": ahead} if may_read_ahead else {}
    keep_settings(page, kept, settings, [chooser.filled])
    keep_text(engine, page, desk, outputs)


def build_desk() -> Desk:
    """Lay out the box, its buttons, the versions and the words."""
    beginnings = examples().completion
    with gr.Row(elem_classes="chips", elem_id="completion-chips"):
        chips = [(gr.Button(b.text, size="sm"), b.text) for b in beginnings[:CHIPS]]
    box = gr.Textbox(
        label=say("completion.text"),
        info=say("completion.text_hint"),
        placeholder=say("completion.placeholder"),
        lines=9,
        max_lines=18,
        elem_id="completion-box",
    )
    counted = build_listener("#completion-box textarea", "completion-counts")
    root = gr.Textbox("", visible=False)
    with gr.Row(elem_classes="actions"):
        run = gr.Button(say("completion.run"), variant="primary", elem_id="completion-run")
        more = gr.Button(say("completion.more"), elem_id="completion-more")
        stop = gr.Button(
            say("completion.stop"), variant="stop", visible=False, elem_id="completion-stop"
        )
        back = gr.Button(say("completion.undo"), elem_classes="plain", elem_id="completion-undo")
        forth = gr.Button(say("completion.redo"), elem_classes="plain", elem_id="completion-redo")
    status = gr.HTML(
        status_line(), js_on_load=_FOLLOW.read_text(encoding="utf-8"), elem_id="completion-status"
    )
    grid = gr.HTML("", js_on_load=_CHOOSE, elem_id="completion-versions")
    words = gr.HTML("", js_on_load=_WORDS.read_text(encoding="utf-8"), elem_id="completion-words")
    # Every word carries both measures, and the style sheet looks which one is chosen.
    colours = gr.Radio(
        [(say(f"completion.by_{name}"), name) for name in ("probability", "surprise", "none")],
        value="probability",
        label=say("completion.colours"),
        info=say("completion.colours_hint"),
        elem_classes="segmented",
        elem_id="completion-colours",
    )
    return Desk(
        chips, box, counted, root, run, more, stop, back, forth, status, grid, colours, words
    )


def keep_text(engine: Engine, page: gr.Blocks, desk: Desk, outputs: list[Any]) -> None:
    """Let a reload bring back what stood in the box, and know the memory that it begins from."""
    kept = gr.JSON(visible=False)

    def take_up(request: gr.Request, kept: object) -> CompletionFrame:
        return writing.again(engine, new_visitor(request), language_of(request), kept)

    held = [desk.box, desk.root]
    changed = [desk.box.change, desk.root.change]
    gr.on(changed, None, held, None, js=_KEEP_TEXT, trigger_mode="always_last", **QUIET_EVENT)
    # The text at once, so that nobody types over it.
    page.load(None, None, desk.box, js=f"() => ({_KEPT})()?.text ?? ''", **QUIET_EVENT)
    page.load(take_up, kept, outputs, js=_KEPT, **QUIET_EVENT)


def build_others() -> gr.Dropdown:
    """Lay out the list of beginnings in other languages."""
    with gr.Accordion(say("completion.others"), open=False, elem_classes="quiet"):
        return gr.Dropdown(
            [(label_of(b), n) for n, b in enumerate(examples().completion) if n >= CHIPS],
            value=None,
            label=say("completion.others"),
            show_label=False,
            info=say("completion.others_hint"),
            elem_id="completion-others",
        )


def label_of(beginning: Beginning) -> str:
    """A beginning as the list shows it."""
    return f"{beginning.language}: {beginning.text[:40]}"


def wire_beginnings(
    engine: Engine,
    desk: Desk,
    others: gr.Dropdown,
    mine: list[Component],
    outputs: list[Any],
    go_on: dict[str, Any],
) -> None:
    """Wire the examples: a chip is gone on with at once, a listed one waits in the box."""
    for button, start in desk.chips:
        begin = partial(writing.begin, engine, start)
        button.click(begin, mine[1:], outputs, **QUIET_EVENT).success(**go_on)
    begin_one = partial(begin_listed, engine)
    others.input(begin_one, [others, *mine[1:]], outputs, **QUIET_EVENT)


def wire_words(
    engine: Engine,
    desk: Desk,
    mine: list[Component],
    found: gr.State,
    outputs: list[Any],
    go_on: dict[str, Any],
) -> None:
    """Wire what is clicked inside the words and the versions."""

    # Gradio finds the event by the type of a plain function's argument.
    def restart(
        visitor: str, language: str, text: str, drafts: Drafts, event: gr.EventData
    ) -> CompletionFrame:
        changed = writing.restart_from(drafts, text, asked(event, "at"), asked(event, "choice"))
        return nothing_new() if changed is drafts else shown(engine, changed, "", language)

    def adopt(
        visitor: str,
        language: str,
        text: str,
        drafts: Drafts,
        found: Versions,
        event: gr.EventData,
    ) -> CompletionFrame:
        return versions.adopt(engine, language, text, drafts, found, asked(event, "version"))

    desk.words.click(restart, mine, outputs, **QUIET_EVENT).success(**go_on)
    desk.grid.click(adopt, [*mine, found], outputs, **QUIET_EVENT)


def asked(event: gr.EventData, name: str) -> Any:
    """One value of what the page sent; None where it is missing."""
    return getattr(event, "_data", {}).get(name)


def begin_listed(
    engine: Engine, number: int | None, language: str, text: str, drafts: Drafts
) -> CompletionFrame:
    """Put a listed beginning into the box."""
    beginnings = examples().completion
    if not isinstance(number, int) or not 0 <= number < len(beginnings):
        return nothing_new()
    return writing.begin(engine, beginnings[number].text, language, text, drafts)


async def count(
    engine: Engine,
    may_read_ahead: bool,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
    wants_reading: bool,
) -> AsyncIterator[str]:
    """Count the text while it is typed, and read it ahead where both sides want that."""
    try:
        if not text or len(text) > COUNTED_CHARACTERS:
            yield counts(language, text, None, 0)
            return
        ids = writing.draft_of(engine, drafts, text).ids
        may_read = may_read_ahead and bool(wants_reading)
        async for line in follow_draft(
            engine, visitor, language, text, ids, root=drafts.now.root, may_read=may_read
        ):
            yield line
    except RwkvError as error:
        yield error_line(error, language)


def go_on_from(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    text: str,
    drafts: Drafts,
    handed: Handed | None,
) -> CompletionFrame:
    """Take a memory from the shelf into the box; undo brings back what stood there."""
    if handed is None or handed.tab != "completion":
        return nothing_new()
    running.stop(visitor)
    item, start = handed.item, engine.tokenizer.end_of_text
    words = engine.tokenizer.decode(item.ids[1:] if item.ids[:1] == (start,) else item.ids)
    drafts = drafts.replaced(text, Draft(words, item.ids, root=item.root))
    said = fact(language, "shelf.handed", name=item.name, tokens=f"{item.tokens:,}")
    return shown(engine, drafts, said, language)


def keep_text_in_box(
    engine: Engine, visitor: str, language: str, text: str, drafts: Drafts, shelf: Shelf
) -> tuple[Shelf, str]:
    """Keep the memory of the text in the box, the visitor's own changes included."""
    try:
        draft = writing.draft_of(engine, drafts, text) if text or drafts.now.ids else drafts.now
    except RwkvError as error:
        return shelf, error_line(error, language)
    return keep_draft(engine, visitor, shelf, draft, language)
