"""The shelf's drawer: a list of kept memories beside every tab, and what can be done with one."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import east_asian_width

import gradio as gr

from presets import ChatTemplate, chat_template_for
from presets.words import speak
from rwkv_core.config import ModelConfig
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from ui.chat.values import Chats
from ui.components import bytes_text, error_line, status_line
from ui.session import MODEL_EVENT, QUIET_EVENT, TELLING_EVENT, Draft
from ui.shelf import (
    MAX_SHELVED,
    Shelf,
    Shelved,
    dropped,
    hand_over,
    keep_text,
    read_file,
    recall,
    write_file,
)
from ui.shelf_records import read_shelf, write_shelf
from ui.words import language_of, say

NAME_WORDS, MAX_NAME_WIDTH = 5, 30
# The drawer is opened and closed in the browser alone, by a mark on it.
TOGGLE = """() => {
  const drawer = document.querySelector('#shelf'), opener = document.querySelector('#shelf-open');
  const open = drawer.toggleAttribute('data-open');
  opener.setAttribute('aria-expanded', open);
  drawer.setAttribute('aria-label', drawer.querySelector('h2').textContent);
  // The button that was pressed takes the focus once more after this.
  setTimeout(() => (open ? document.querySelector('#shelf-close') : opener).focus(), 50);
}"""
# A wide window has room for it beside the text, so there what was kept is shown at once. In a
# narrow one the line that says so may be out of sight, far above the button.
SHOW_KEPT = """() => {
  if (window.innerWidth < 1200) {
    const lines = [...document.querySelectorAll('#chat-status, #completion-status')];
    lines.find(line => line.offsetParent)?.scrollIntoView({block: 'nearest'});
    return;
  }
  document.querySelector('#shelf').setAttribute('data-open', '');
  document.querySelector('#shelf-open').setAttribute('aria-expanded', true);
}"""
PREPARE = """() => {
  const drawer = document.querySelector('#shelf'), opener = document.querySelector('#shelf-open');
  opener.setAttribute('aria-expanded', false);
  opener.setAttribute('aria-controls', 'shelf');
  drawer.setAttribute('role', 'complementary');
  document.addEventListener('keydown', event => {
    const focus = document.activeElement;
    if (event.key === 'Escape' && drawer.hasAttribute('data-open')
        && (drawer.contains(focus) || !focus.matches('input, textarea'))) {
      document.querySelector('#shelf-close').click();
    }
  });
}"""
# In a narrow window it covers the tab that goes on.
CLOSE_IF_NARROW = """() => {
  if (window.innerWidth < 1200 && document.querySelector('#shelf[data-open]')) {
    document.querySelector('#shelf-close').click();
  }
}"""
DOWNLOAD = """() => {
  const button = document.querySelector('#shelf-file');
  setTimeout(() => (button.querySelector('a') || button).click(), 100);
}"""
# A browser may forbid all storage: the shelf then goes with the page.
_WRITE = """(text) => {
  try {
    if (text) sessionStorage.setItem(%s, text);
    else sessionStorage.removeItem(%s);
  } catch { }
}"""
# What nothing comes back of is told once.
_READ = """() => {
  try {
    const name = %s, text = sessionStorage.getItem(name) ?? "";
    if (text.endsWith('"items":[]}')) sessionStorage.removeItem(name);
    return [text, null];
  } catch { return ["", null]; }
}"""


@dataclass(frozen=True, eq=False)
class ShelfPorts:
    """What tabs share with the shelf.

    Attributes:
        shelf: holds the `Shelf`.
        handed: holds the `Handed` that was sent to a tab last; its change is that tab's event.
        language: holds the visitor's, for text that handlers return.
    """

    shelf: gr.State
    handed: gr.State
    language: gr.State


def new_ports() -> ShelfPorts:
    """Make the states that tabs share with the shelf, inside the current Blocks."""
    return ShelfPorts(gr.State(Shelf()), gr.State(None), gr.State("en"))


def first_words(text: str) -> str:
    """The beginning of a text, short enough for a name."""
    words = text.split()
    name = " ".join(words[:NAME_WORDS])
    # Han and Kana are twice as wide; a name that wraps loses its size in the list.
    wide = accumulate(1 + (east_asian_width(sign) in "WF") for sign in name)
    room = sum(total <= MAX_NAME_WIDTH for total in wide)
    is_whole = len(words) <= NAME_WORDS and room == len(name)
    return name if is_whole else name[:room].rstrip() + "…"


def keep_chat(
    engine: Engine, visitor: str, shelf: Shelf, chats: Chats, language: str
) -> tuple[Shelf, str]:
    """Keep the memory of the chat as it is now; returns the shelf and a line that says so."""
    tree = chats.current.tree.settled()
    talk, chat = tree.conversation, tree.only(tree.tip)
    words = first_words(talk.turns[-1].user) if talk.turns else "…"
    name = speak(language, "shelf.text", words=words)
    try:
        shelf = keep_text(engine, visitor, shelf, talk.ids, name=name, root=talk.root, chat=chat)
    except RwkvError as error:
        return shelf, error_line(error, language)
    return shelf, status_line(speak(language, "shelf.kept", name=shelf.current.name))


def keep_draft(
    engine: Engine, visitor: str, shelf: Shelf, draft: Draft, language: str
) -> tuple[Shelf, str]:
    """Keep the memory of a text as the model left it."""
    name = speak(language, "shelf.text", words=first_words(draft.text) or "…")
    try:
        shelf = keep_text(engine, visitor, shelf, draft.ids, name=name, root=draft.root)
    except RwkvError as error:
        return shelf, error_line(error, language)
    return shelf, status_line(speak(language, "shelf.kept", name=shelf.current.name))


def label_of(item: Shelved, config: ModelConfig, language: str) -> str:
    """Describe an item in three lines: its name, its size, its last words."""
    key = "shelf.facts" if item.tokens else "shelf.fresh"
    facts = speak(language, key, tokens=f"{item.tokens:,}", bytes=bytes_text(config.state_bytes))
    return "\n".join([item.name, facts, *([f"…{item.tail}"] if item.tail else [])])


def show(engine: Engine, shelf: Shelf, language: str) -> tuple[dict[str, Any], ...]:
    """Draw the shelf: the list, the name, the parts an empty one hides, the button's count."""
    choices = [(label_of(i, engine.model.config, language), i.key) for i in reversed(shelf.items)]
    count = len(choices)
    title = speak(language, "shelf.open_counted" if count else "shelf.open", count=count)
    return (
        gr.update(choices=choices, value=shelf.chosen or None, visible=bool(count)),
        gr.update(value=shelf.current.name if count else ""),
        gr.update(visible=bool(count)),
        gr.update(visible=not count),
        gr.update(value=title),
    )


def choose(shelf: Shelf, key: str | None) -> Shelf:
    """Point at an item."""
    return shelf.choose(key)


def rename(shelf: Shelf, name: str, language: str) -> tuple[Shelf, str]:
    """Give the chosen memory another name."""
    try:
        shelf = shelf.renamed(name)
    except RwkvError as error:
        return shelf, error_line(error, language)
    said = speak(language, "shelf.renamed", name=shelf.current.name)
    return shelf, status_line(said)


def drop(engine: Engine, visitor: str, shelf: Shelf, language: str) -> tuple[Shelf, str]:
    """Take the chosen memory off the shelf."""
    try:
        name = shelf.current.name
        shelf = dropped(engine, visitor, shelf)
    except RwkvError as error:
        return shelf, error_line(error, language)
    return shelf, status_line(speak(language, "shelf.dropped", name=name))


def send_to(tab: str, shelf: Shelf, language: str) -> tuple[Any, Any, str]:
    """Let a tab go on from the chosen memory, and show that tab."""
    try:
        return hand_over(tab, shelf.current), gr.update(selected=tab), status_line()
    except RwkvError as error:
        return gr.skip(), gr.skip(), error_line(error, language)


async def save(
    engine: Engine, cache: str, visitor: str, shelf: Shelf, language: str
) -> AsyncIterator[tuple[Any, str]]:
    """Write the chosen memory to a file that the visitor can fetch.

    Args:
        engine: keeps the memory.
        cache: folder of files that the page may hand out.
        visitor: session id.
        shelf: what is kept.
        language: the visitor's.
    """
    try:
        item = shelf.current
        if engine.memory_at(visitor, item.ids, root=item.root) is None:
            yield gr.skip(), status_line(speak(language, "shelf.reading"))
        memory = await recall(engine, visitor, item)
        folder = Path(cache) / secrets.token_hex(16)
        path = await asyncio.to_thread(write_file, engine, item, memory, folder)
    except RwkvError as error:
        yield gr.skip(), error_line(error, language)
        return
    size = bytes_text(path.stat().st_size)
    said = speak(language, "shelf.saved", name=item.name, bytes=size)
    yield gr.update(value=str(path)), status_line(said)


def load(engine: Engine, visitor: str, shelf: Shelf, file: str, language: str) -> tuple[Shelf, str]:
    """Put a memory from a visitor's file on the shelf; the uploaded copy is deleted."""
    path = Path(file)
    try:
        shelf = read_file(engine, visitor, shelf, path)
    except RwkvError as error:
        return shelf, error_line(error, language)
    finally:
        path.unlink(missing_ok=True)
    said = speak(language, "shelf.loaded", name=shelf.current.name)
    return shelf, status_line(said)


def build_keep_button() -> gr.Button:
    """Lay out the button that keeps the memory of a tab's text."""
    return gr.Button(say("shelf.keep"), size="sm", elem_classes="keep")


def wire_keep_button(
    button: gr.Button,
    keep: Callable[..., tuple[Shelf, str]],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
) -> None:
    """Let a button keep a memory; the page then shows that it was kept.

    Args:
        button: from `build_keep_button`.
        keep: returns the new shelf and a status line.
        inputs: what it takes.
        outputs: the shelf and where the line is shown.
    """
    kept = button.click(keep, list(inputs), list(outputs), **TELLING_EVENT)
    kept.success(None, None, None, js=SHOW_KEPT, **QUIET_EVENT)


def build_shelf(
    engine: Engine,
    page: gr.Blocks,
    visitor: gr.State,
    ports: ShelfPorts,
    opener: gr.Button,
    tabs: gr.Tabs,
) -> None:
    """Lay out the drawer and wire it.

    Args:
        engine: keeps the memories.
        page: whose loading brings back what its browser kept.
        visitor: holds the session id.
        ports: what the tabs share with it.
        opener: the button that opens it.
        tabs: of the page, to show the one that goes on.
    """
    drawer = _lay_out()
    shelf, language, note = ports.shelf, ports.language, drawer.note
    shown = [drawer.items, drawer.name, drawer.actions, drawer.empty, opener]
    for button in (opener, drawer.close):
        button.click(None, None, None, js=TOGGLE, **QUIET_EVENT)
    shelf.change(partial(show, engine), [shelf, language], shown, **QUIET_EVENT)
    drawer.items.input(choose, [shelf, drawer.items], shelf, **TELLING_EVENT)
    drawer.name.submit(rename, [shelf, drawer.name, language], [shelf, note], **TELLING_EVENT)
    mine, said = [visitor, shelf, language], [shelf, note]
    drawer.forget.click(partial(drop, engine), mine, said, **TELLING_EVENT)
    for button, tab in ((drawer.to_chat, "chat"), (drawer.to_completion, "completion")):
        handed = [ports.handed, tabs, note]
        sent = button.click(partial(send_to, tab), mine[1:], handed, **TELLING_EVENT)
        sent.success(None, None, None, js=CLOSE_IF_NARROW, **QUIET_EVENT)
    saved = drawer.keep.click(
        partial(save, engine, drawer.file.GRADIO_CACHE), mine, [drawer.file, note], **MODEL_EVENT
    )
    saved.success(None, None, None, js=DOWNLOAD, **QUIET_EVENT)
    drawer.upload.upload(
        partial(load, engine), [visitor, shelf, drawer.upload, language], said, **TELLING_EVENT
    )
    keep_over_reload(engine, page, ports, note)


def take_up(
    engine: Engine, template: ChatTemplate, language: str, kept: object, shelf: Shelf
) -> tuple[Any, Any]:
    """Put what the browser kept before a reload under what is on the shelf already.

    Returns:
        The shelf, and a line that says what came back and what did not.
    """
    back, lost = read_shelf(engine, template, kept)
    if not back.items and not lost:
        return gr.skip(), gr.skip()
    chosen = shelf.chosen or back.chosen
    said = [speak(language, "shelf.back", count=len(back.items))] if back.items else []
    said += [speak(language, "shelf.lost", count=lost)] if lost else []
    return Shelf((*back.items, *shelf.items)[-MAX_SHELVED:], chosen), status_line(" ".join(said))


def keep_over_reload(engine: Engine, page: gr.Blocks, ports: ShelfPorts, note: gr.HTML) -> None:
    """Let the browser keep the shelf for its window, each model's by itself."""
    template, _ = chat_template_for(engine.model.name, engine.tokenizer.name)
    name = json.dumps(f"rwkv-playground-shelf:{engine.model.fingerprint}")
    stored = gr.Textbox("", visible=False)

    def bring_back(request: gr.Request, kept: object, shelf: Shelf) -> tuple[Any, Any]:
        return take_up(engine, template, language_of(request), kept, shelf)

    ports.shelf.change(
        partial(write_shelf, engine), ports.shelf, stored, **QUIET_EVENT
    ).success(None, stored, None, js=_WRITE % (name, name), **QUIET_EVENT)  # fmt: skip
    page.load(
        bring_back, [stored, ports.shelf], [ports.shelf, note], js=_READ % name, **TELLING_EVENT
    )


class _Drawer(NamedTuple):
    close: gr.Button
    items: gr.Radio
    empty: gr.Markdown
    actions: gr.Column
    to_chat: gr.Button
    to_completion: gr.Button
    name: gr.Textbox
    keep: gr.Button
    forget: gr.Button
    upload: gr.UploadButton
    note: gr.HTML
    file: gr.DownloadButton


def _lay_out() -> _Drawer:
    with gr.Column(elem_id="shelf"):
        with gr.Row(elem_classes="shelf-head"):
            gr.Markdown(say("shelf.title"), elem_classes="shelf-title")
            close = gr.Button(say("shelf.close"), size="sm", elem_id="shelf-close")
        items = gr.Radio(
            [], label=say("shelf.choose"), show_label=False, visible=False, elem_id="shelf-items"
        )
        empty = gr.Markdown(say("shelf.empty"), elem_classes="shelf-note")
        with gr.Column(visible=False, elem_classes="shelf-actions") as actions:
            with gr.Row(elem_classes="pair"):
                chat = gr.Button(say("shelf.to_chat"), size="sm", elem_id="shelf-to-chat")
                completion = gr.Button(
                    say("shelf.to_completion"), size="sm", elem_id="shelf-to-completion"
                )
            name = gr.Textbox(
                label=say("shelf.name"), info=say("shelf.name_hint"), max_length=80, lines=1
            )
            with gr.Row(elem_classes="pair"):
                keep = gr.Button(say("shelf.save"), size="sm", elem_id="shelf-save")
                forget = gr.Button(
                    say("shelf.drop"), size="sm", elem_classes="plain", elem_id="shelf-drop"
                )
        upload = gr.UploadButton(
            say("shelf.load"),  # type: ignore[arg-type]  # its hint is narrower than what it takes
            size="sm",
            file_types=[".safetensors"],
            elem_id="shelf-load",
        )
        note = gr.HTML(status_line(), elem_id="shelf-status")
        gr.Markdown(say("shelf.privacy"), elem_classes="shelf-note")
        file = gr.DownloadButton("", visible="hidden", elem_id="shelf-file")
    return _Drawer(
        close, items, empty, actions, chat, completion, name, keep, forget, upload, note, file
    )
