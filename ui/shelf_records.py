"""The shelf as JSON: what the browser keeps of it while a page is loaded again.

A memory that came from a text is that text, read again when it is needed. One that was loaded,
tuned or changed by hand is nothing but its numbers, which stay on the server and go with the page.
"""

import json
from typing import Any

from presets import ChatTemplate
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.state import MAX_NAME
from ui.chat.records import checked_ids, read_chat, write_chat
from ui.chat.values import Chat
from ui.shelf import MAX_SHELVED, Shelf, Shelved, tail_of

# Of all that the browser keeps of a shelf; its storage has room for some five millions.
MAX_CHARACTERS = 1_000_000


def write_shelf(engine: Engine, shelf: Shelf) -> str:
    """Write what can come back; "" for an empty shelf.

    What is chosen and new goes first, so that the oldest are left out where there is no room.
    """
    if not shelf.items:
        return ""
    written: dict[str, str] = {}
    room, newest_first = MAX_CHARACTERS, shelf.items[::-1]
    for item in sorted(newest_first, key=lambda item: item.key != shelf.chosen):
        if item.root:
            continue
        text = json.dumps(_write_item(engine, item), ensure_ascii=False, separators=(",", ":"))
        if len(text) > room:
            continue
        written[item.key] = text
        room -= len(text)
    kept = [item.key for item in shelf.items if item.key in written]
    items = ",".join(written[key] for key in kept)
    chosen = kept.index(shelf.chosen) if shelf.chosen in kept else -1
    head = f'"chosen":{chosen},"lost":{len(shelf.items) - len(kept)}'
    return f'{{{head},"items":[{items}]}}'


def _write_item(engine: Engine, item: Shelved) -> dict[str, Any]:
    begun = item.ids[:1] == (engine.tokenizer.end_of_text,)
    ids = item.ids[begun:]
    record: dict[str, Any] = {
        "name": item.name,
        "begun": begun,
        "text": engine.tokenizer.decode(ids),
    }
    if checked_ids(engine, record["text"], None) != ids:
        record["ids"] = ids
    if item.chat is not None:
        record["chat"] = write_chat(engine, Chat(item.chat))
    return record


def read_shelf(engine: Engine, template: ChatTemplate, kept: object) -> tuple[Shelf, int]:
    """Read what `write_shelf` wrote, checking every value of it.

    Returns:
        The shelf, and how many memories are not on it any more.
    """
    try:
        data = json.loads(kept) if isinstance(kept, str) and len(kept) <= MAX_CHARACTERS * 2 else {}
    except (ValueError, RecursionError):
        data = {}
    records = data.get("items") if isinstance(data, dict) else None
    if not isinstance(records, list):
        return Shelf(), 0
    shelf, lost, chosen = Shelf(), _count(data.get("lost")), ""
    for number, record in enumerate(records[:MAX_SHELVED]):
        item = _read_item(engine, template, record)
        if item is None:
            lost += 1
            continue
        shelf = shelf.with_item(item)
        chosen = shelf.chosen if number == data.get("chosen") else chosen
    return shelf.choose(chosen), lost


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_SHELVED else 0


def _read_item(engine: Engine, template: ChatTemplate, record: object) -> Shelved | None:
    """Build one item from JSON values; None where they are damaged."""
    if not isinstance(record, dict):
        return None
    name, text = record.get("name"), record.get("text")
    if not isinstance(name, str) or not isinstance(text, str) or not name.strip():
        return None
    try:
        begin = (engine.tokenizer.end_of_text,) if record.get("begun") is True else ()
        ids = (*begin, *checked_ids(engine, text, record.get("ids")))
        chat = read_chat(engine, template, record["chat"]).tree if "chat" in record else None
    except RwkvError:
        return None
    if not ids:
        return None
    if chat is not None and chat.settled().conversation.ids != ids:
        chat = None
    tail = tail_of(engine, ids)
    return Shelved("", name[:MAX_NAME], tail, len(ids), ids, "", chat)
