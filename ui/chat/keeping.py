"""Several chats: opening, naming and deleting them, and keeping them in the visitor's browser.

The browser keeps one text for each chat, in a slot of its own, so that an answer rewrites only the
chat it belongs to, and a second window none of the first one's. Chats come back folded, and each is
read when it is opened.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
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
from ui.chat.values import MAX_CHATS, MAX_SLOT, MAX_TITLE, Chat, Chats, fold, short, unfold
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

# Of a browser's entries as many are looked at: several windows may have kept MAX_CHATS each.
MAX_KEPT = 5 * MAX_CHATS

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
    read = records.read_text(engine, template, unfold(chat.folded))
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
    engine: Engine, template: ChatTemplate, visitor: str, language: str, kept: object
) -> tuple[ChatFrame, Saved]:
    """Open what the browser kept of an earlier visit.

    Args:
        engine: encodes and checks texts.
        template: turns roles into text.
        visitor: session id.
        language: of the page.
        kept: what `browser.READ` gave, see `save`; whatever does not fit is ignored.
    """
    known = kept if isinstance(kept, dict) else {}
    texts = kept_texts(known.get("texts"))
    names = {slot: records.peek(text) for slot, text in texts.items()}
    damaged = [slot for slot, name in names.items() if name is None]
    found = [
        Chat(title=short(name), slot=slot, folded=fold(texts[slot]))
        for slot, name in names.items()
        if name is not None
    ]
    order = known["order"][:MAX_KEPT] if isinstance(known.get("order"), list) else []
    found.sort(key=lambda chat: order.index(chat.slot) if chat.slot in order else len(order))
    saved = {chat.slot: chat for chat in found}
    asked, slot = _asked(known.get("asked"))
    # A chat without a word is not kept, but this window goes on in it.
    wanted = slot if asked else known.get("open", -1)
    is_known = wanted in saved if isinstance(wanted, int) else True
    is_new = not found or (not is_known and (bool(asked) or known.get("isOwn") is True))
    chats = Chats((*([Chat()] if is_new else []), *found))
    box = box_for(language, asked or None)
    status = line("")
    if damaged:
        status = line(speak(language, "chat.damaged", count=len(damaged)))
    try:
        chats = unfolded(engine, template, chats.opened(wanted))
    except RwkvError as error:
        fresh = replace(chats, chats=(Chat(), *chats.chats), at=0)
        return frame(engine, fresh, box, error_line(error, language), language), saved
    if found and not damaged:
        said = speak(language, "chat.restored")
        status = line(f"{said} {to_reread(engine, visitor, chats, language)}")
    return frame(engine, chats, box, status, language), saved


def _asked(asked: object) -> tuple[str, int]:
    """Check what `so_far.unanswered` gave; no words where it is something else."""
    text, slot = (asked.get("text"), asked.get("slot")) if isinstance(asked, dict) else ("", 0)
    return (text, slot) if isinstance(text, str) and type(slot) is int else ("", 0)


def kept_texts(texts: object) -> dict[int, str]:
    """The text of each chat by its slot; what cannot be a chat is left out, and so are too many."""
    found = texts.items() if isinstance(texts, dict) else ()
    return {
        int(slot): text
        for slot, text in islice(found, MAX_KEPT)
        if re.fullmatch("[1-9][0-9]{0,15}", str(slot)) and int(slot) <= MAX_SLOT
        if isinstance(text, str) and 0 < len(text) <= records.MAX_FILE_BYTES
    }


def save(
    engine: Engine, chats: Chats, saved: Saved, *, is_answering: bool = False
) -> tuple[Saved, dict[str, Any]]:
    """What the browser is to keep now.

    Args:
        engine: decodes ids.
        chats: all the visitor has.
        saved: what this page knows the browser to keep, by slot.
        is_answering: whether the open chat is being answered; it stays as it was kept until then.

    Returns:
        What it keeps from now on, and what `browser.WRITE` writes: the slots in order, the open
        one, and the text of each chat that changed, "" where it was deleted. Others are left
        alone, since another window may have gone on with them.
    """
    now: dict[int, Chat] = {}
    for chat in chats.chats:
        # `so_far` keeps an answer under way.
        is_open = is_answering and chat is chats.current
        kept = saved.get(chat.slot) if is_open else chat
        if kept is not None and not kept.is_empty:
            now[chat.slot] = kept
    texts = {str(slot): "" for slot in saved if slot not in now}
    for slot, chat in now.items():
        if not _is_kept(engine, chat, saved.get(slot)):
            texts[str(slot)] = records.write_text(engine, chat)
    return now, {"order": [*now], "open": chats.current.slot, "texts": texts}


def _is_kept(engine: Engine, chat: Chat, saved: Chat | None) -> bool:
    """Whether the browser keeps just this chat; one that was only opened is no other."""
    if saved is None or chat is saved:
        return saved is not None
    if saved.folded:
        return records.write_text(engine, chat) == unfold(saved.folded)
    return (chat.tree, chat.title) == (saved.tree, saved.title)
