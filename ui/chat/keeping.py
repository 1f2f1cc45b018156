"""Several chats: opening, naming and deleting them, and keeping them in the visitor's browser.

The browser keeps one text for each chat, in a slot of its own, so that an answer rewrites only the
chat it belongs to. Chats come back folded, and each is read when it is opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from presets import ChatTemplate
from presets.words import speak
from rwkv_core.branches import Tree
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.sessions import Conversation
from ui.chat import records
from ui.chat.actions import to_reread
from ui.chat.frames import ChatFrame, box_for, frame, line
from ui.chat.values import MAX_CHATS, MAX_TITLE, Chat, Chats, short
from ui.components import error_line
from ui.session import RunningStreams
from ui.shelf import Handed, Shelf

# The browser writes the file, so that no copy of what was said lies on the server.
SAVE_FILE = """(chats) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(chats, null, 1)], { type: "application/json" }));
  link.download = "chats.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""

Saved = Mapping[int, Chat]


def begin_anew(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    shelf: Shelf,
    start: str | None,
) -> ChatFrame:
    """Begin a new chat with an empty memory, or from one of the shelf; the others stay."""
    running.stop(visitor)
    tree, said = Tree(), ""
    if item := next((item for item in shelf.items if item.key == start), None):
        tree = Tree(start=Conversation(item.ids, root=item.root))
        key = "chat.begun_from" if item.tokens else "chat.begun_tuned"
        said = speak(language, key, name=item.name, tokens=f"{item.tokens:,}")
    try:
        return frame(engine, chats.added(Chat(tree)), box_for(language), line(said), language)
    except InputError as error:
        return frame(engine, chats, box_for(language), error_line(error, language), language)


def starts(shelf: Shelf, start: str | None, language: str) -> dict[str, Any]:
    """List the memories that a new chat can begin from; one that is gone is no longer chosen."""
    empty = (speak(language, "chat.empty_memory"), "")
    keys = [item.key for item in shelf.items]
    update: dict[str, Any] = gr.update(
        choices=[empty, *((item.name, item.key) for item in shelf.items)],
        value=start if start in keys else "",
    )
    return update


def go_on_from(
    engine: Engine,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    handed: Handed | None,
) -> ChatFrame:
    """Begin a chat from a memory of the shelf; a chat that was kept shows its messages again."""
    if handed is None or handed.tab != "chat":
        return ChatFrame(*(gr.skip() for _ in ChatFrame._fields))
    running.stop(visitor)
    item = handed.item
    tree = item.chat or Tree(start=Conversation(item.ids, root=item.root))
    said = speak(language, "shelf.handed", name=item.name, tokens=f"{item.tokens:,}")
    try:
        grown = chats.added(Chat(tree))
    except InputError as error:
        return frame(engine, chats, box_for(language), error_line(error, language), language)
    return frame(engine, grown, box_for(language), line(said), language)


def open_chat(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    slot: int | None,
) -> ChatFrame:
    """Open another chat; one that the browser kept is read now."""
    running.stop(visitor)
    settled = chats.with_tree(chats.current.tree.settled())
    other = settled.opened(slot) if isinstance(slot, int) else settled
    try:
        opened = unfolded(engine, template, other)
    except RwkvError as error:
        return frame(engine, settled, box_for(language), error_line(error, language), language)
    said = to_reread(engine, visitor, opened, language) if opened.current.tree.nodes else ""
    return frame(engine, opened, box_for(language), line(said), language)


def unfolded(engine: Engine, template: ChatTemplate, chats: Chats) -> Chats:
    """Read the open chat where it is still as the browser kept it.

    Raises:
        InputError: it is damaged.
    """
    chat = chats.current
    if not chat.folded:
        return chats
    read = records.read_text(engine, template, chat.folded)
    return chats.with_current(replace(read, slot=chat.slot))


def rename(engine: Engine, language: str, chats: Chats, title: str) -> ChatFrame:
    """Give the open chat a name; an empty one names it by its first words again."""
    name = " ".join(title.split())[:MAX_TITLE]
    named = chats.with_current(replace(chats.current, title=name))
    status = line(speak(language, "chat.renamed", name=named.current.name))
    return frame(engine, named, gr.skip(), status, language)


def delete(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
) -> ChatFrame:
    """Delete the open chat; it can be had back until another is deleted."""
    running.stop(visitor)
    name = short(chats.current.name) or speak(language, "chat.untitled")
    rest = chats.without_current()
    status = line(speak(language, "chat.deleted", name=name))
    try:
        return frame(engine, unfolded(engine, template, rest), box_for(language), status, language)
    except RwkvError as error:
        fresh = rest.added(Chat())
        return frame(engine, fresh, box_for(language), error_line(error, language), language)


def bring_back(engine: Engine, language: str, chats: Chats) -> ChatFrame:
    """Put the chat that was deleted last back."""
    if chats.deleted is None:
        return frame(engine, chats, gr.skip(), line(""), language)
    try:
        back = replace(chats.added(chats.deleted), deleted=None)
    except InputError as error:
        return frame(engine, chats, gr.skip(), error_line(error, language), language)
    return frame(engine, back, gr.skip(), line(""), language)


def export(engine: Engine, chats: Chats) -> str:
    """Write all chats as the text of one JSON file, which the browser saves."""
    return records.write_file(engine, chats.chats)


def take_in(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    content: bytes | None,
) -> ChatFrame:
    """Add the chats of an exported file to those that are there."""
    running.stop(visitor)
    settled = chats.with_tree(chats.current.tree.settled())
    try:
        new = records.read_file(engine, template, content or b"")
        grown = settled.added(*new)
    except RwkvError as error:
        return frame(engine, settled, box_for(language), error_line(error, language), language)
    status = line(speak(language, "chat.imported", count=len(new)))
    return frame(engine, grown, box_for(language), status, language)


def restore(
    engine: Engine,
    template: ChatTemplate,
    visitor: str,
    language: str,
    index: object,
    slots: Sequence[object],
) -> tuple[ChatFrame, Saved]:
    """Open what the browser kept of an earlier visit.

    Args:
        engine: encodes and checks texts.
        template: turns roles into text.
        visitor: session id.
        language: of the page.
        index: what `save` gave for the list; anything else is ignored.
        slots: the text of each chat.
    """
    known = index if isinstance(index, dict) else {}
    order = [slot for slot in known.get("order", []) if type(slot) is int]
    texts = {
        slot: text
        for slot, text in enumerate(slots[:MAX_CHATS])
        if isinstance(text, str) and 0 < len(text) <= records.MAX_FILE_BYTES
    }
    names = {slot: records.peek(text) for slot, text in texts.items()}
    damaged = tuple(slot for slot, name in names.items() if name is None)
    found = [
        Chat(title=short(name), slot=slot, folded=texts[slot])
        for slot, name in names.items()
        if name is not None
    ]
    found.sort(key=lambda chat: order.index(chat.slot) if chat.slot in order else len(order))
    free = next((slot for slot in range(MAX_CHATS) if slot not in texts), 0)
    chats = Chats(tuple(found) or (Chat(slot=free),), damaged=damaged)
    saved = {chat.slot: chat for chat in found}
    status = line("")
    if damaged:
        status = line(speak(language, "chat.damaged", count=len(damaged)))
    try:
        chats = unfolded(engine, template, chats.opened(known.get("open", -1)))
    except RwkvError as error:
        return frame(
            engine, chats.added(Chat()), box_for(language), error_line(error, language), language
        ), saved
    if found and not damaged:
        said = speak(language, "chat.restored")
        status = line(f"{said} {to_reread(engine, visitor, chats, language)}")
    return frame(engine, chats, box_for(language), status, language), saved


def save(engine: Engine, chats: Chats, saved: Saved) -> tuple[Saved, list[Any]]:
    """What the browser is to keep now.

    Args:
        engine: decodes ids.
        chats: all the visitor has.
        saved: what the browser keeps already, by slot.

    Returns:
        What it keeps from now on, and the values to store: the list of chats, then one text for
        each slot, or skip where nothing changed.
    """
    index = {"order": [chat.slot for chat in chats.chats], "open": chats.current.slot}
    now = {chat.slot: chat for chat in chats.chats}
    stored: list[Any] = [gr.skip()] * MAX_CHATS
    for slot in range(MAX_CHATS):
        chat = now.get(slot)
        if chat is None and slot in saved:
            stored[slot] = ""
        elif chat is not None and chat is not saved.get(slot):
            stored[slot] = records.write_text(engine, chat)
    return now, [index, *stored]
