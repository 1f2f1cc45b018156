"""Chats as JSON: what the browser keeps, and what a visitor exports and imports.

Text is what counts: ids are written only where the text alone would give others, and are checked
when they are read. So a file that somebody else made can hold no more than text and settings.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, get_args

from presets import ChatTemplate
from rwkv_core.branches import Node, Tree
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.generate import GenerationSettings
from rwkv_core.sampling import SamplingSettings
from rwkv_core.sessions import Conversation, Making, Turn
from rwkv_core.state import is_root
from rwkv_core.streams import Reason
from ui.chat.turns import is_unread
from ui.chat.values import CUT, MAX_CHATS, MAX_TITLE, MAX_TURNS, Chat, unfold

FORMAT, VERSION = "rwkv-chats", 1
MAX_FILE_BYTES = 8_000_000


def write_chat(engine: Engine, chat: Chat) -> dict[str, Any]:
    """Write one chat as JSON values."""
    nodes = [_write_node(engine, node) for node in chat.tree.nodes]
    record: dict[str, Any] = {
        "title": chat.title,
        "tip": chat.tree.tip,
        "turns": nodes,
        "model": _model(engine),
    }
    if (start := chat.tree.start) != Conversation():
        text, ids = engine.tokenizer.decode(start.opening_ids), start.opening_ids
        record["start"] = {"root": start.root, "text": text, "ids": ids}
    return record


def write_text(engine: Engine, chat: Chat) -> str:
    """Write one chat for the browser to keep; "" for an empty one."""
    if chat.is_empty:
        return ""
    if chat.folded:
        return unfold(chat.folded)
    return json.dumps(write_chat(engine, chat), ensure_ascii=False, separators=(",", ":"))


def write_file(engine: Engine, chats: tuple[Chat, ...]) -> str:
    """Write all chats into one file, with how each answer was made."""
    written = [
        json.loads(unfold(chat.folded)) if chat.folded else write_chat(engine, chat)
        for chat in chats
        if not chat.is_empty
    ]
    head = {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.now(UTC).isoformat("T", "minutes"),
    }
    return json.dumps({**head, "chats": written}, ensure_ascii=False, indent=1)


def _model(engine: Engine) -> dict[str, str]:
    return {"name": engine.model.name, "fingerprint": engine.model.fingerprint}


def _write_node(engine: Engine, node: Node) -> dict[str, Any]:
    turn, decode = node.turn, engine.tokenizer.decode
    record: dict[str, Any] = {"parent": node.parent, "child": node.child, "user": turn.user}
    if opening := decode(node.opening_ids[1:]):
        record["opening"] = opening
    for name, ids in (("answer", turn.answer_ids), ("live", turn.live_ids)):
        if ids:
            record[name] = decode(ids)
            if _encode(engine, record[name]) != ids:
                record[f"{name}_ids"] = ids
    if turn.thinking:
        record["thinking"] = turn.thinking
    record["made"] = [_write_making(making) for making in turn.makings]
    return record


def _write_making(making: Making) -> dict[str, Any]:
    settings = making.settings
    return {
        **asdict(settings.sampling),
        "max_tokens": settings.max_tokens,
        "stop": settings.stop,
        "reason": making.reason,
        "tokens": making.tokens,
        "reread_tokens": making.reread,
        "first_token_s": round(making.first_token_s, 4),
        "tokens_per_s": round(making.tokens_per_s, 1),
        "thinking": making.mode,
    }


def read_file(engine: Engine, template: ChatTemplate, content: bytes) -> tuple[Chat, ...]:
    """Read an exported file.

    Raises:
        InputError: it is too large, damaged, or not such a file.
    """
    if len(content) > MAX_FILE_BYTES:
        raise InputError(
            "the file has {count:,} bytes, the limit is {limit:,}; export fewer chats",
            count=len(content),
            limit=MAX_FILE_BYTES,
        )
    data = _parse(content)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError("this is not a file of exported chats; choose one that Export has made")
    if data.get("version") != VERSION:
        raise InputError(
            "the file says version {version!r}, this page reads {wanted}; export it again "
            "with this version",
            version=str(data.get("version"))[:20],
            wanted=VERSION,
        )
    chats = data.get("chats")
    if not isinstance(chats, list) or not 1 <= len(chats) <= MAX_CHATS:
        raise InputError(
            "the file should hold 1 to {limit} chats; export it again", limit=MAX_CHATS
        )
    return tuple(read_chat(engine, template, chat) for chat in chats)


def read_text(engine: Engine, template: ChatTemplate, text: str) -> Chat:
    """Read what the browser kept of one chat.

    Raises:
        InputError: it is damaged.
    """
    return read_chat(engine, template, _parse(text.encode("utf-8", "replace")))


def peek(text: str) -> str | None:
    """The name of a chat that the browser kept, without reading it; None where it is damaged."""
    try:
        data = _parse(text.encode("utf-8", "replace"))
        name = data["title"] or data["turns"][0]["user"]
    except (InputError, TypeError, KeyError, IndexError):
        return None
    return name if isinstance(name, str) else None


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "the chats cannot be read, they are no whole JSON ({kind}); choose another file",
            kind=type(error).__name__,
        ) from error


def read_chat(engine: Engine, template: ChatTemplate, data: Any) -> Chat:
    """Build a chat from JSON values, checking every one of them.

    Raises:
        InputError: a value is missing, of a wrong kind or out of range; names the message.
    """
    turns = data.get("turns") if isinstance(data, dict) else None
    if not isinstance(turns, list) or not 1 <= len(turns) <= MAX_TURNS:
        raise InputError(
            "a chat should have 1 to {limit:,} messages; choose another file", limit=MAX_TURNS
        )
    is_same_model = data.get("model") == _model(engine)
    start = _read_start(engine, data.get("start"), has_ids=is_same_model)
    nodes: list[Node] = []
    for number, record in enumerate(turns):
        try:
            node = _read_node(engine, template, record, number, start, has_ids=is_same_model)
            nodes.append(node)
        except RwkvError as error:
            raise InputError(
                "message {number} cannot be read: {error}", number=number + 1, error=error
            ) from error
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                "message {number} of a chat is damaged ({kind}); choose another file",
                number=number + 1,
                kind=type(error).__name__,
            ) from error
    for number, node in enumerate(nodes):
        at = node.child
        if at is not None and (at >= len(nodes) or nodes[at].parent != number):
            nodes[number] = replace(node, child=None)
    tip = _number(data.get("tip"), 0, len(nodes) - 1) if data.get("tip") is not None else None
    title = data.get("title")
    name = " ".join(title.split())[:MAX_TITLE] if isinstance(title, str) else ""
    return Chat(Tree(tuple(nodes), tip, start), name)


def _read_start(engine: Engine, record: object, *, has_ids: bool) -> Conversation:
    """Read which memory of the shelf a chat began from; a root is only a name, it opens nothing."""
    if record is None:
        return Conversation()
    try:
        assert isinstance(record, dict)
        root, text = _text(record["root"]), _text(record["text"])
        if not is_root(root):
            raise ValueError(root)
        begin = () if root and not record["ids"] else (engine.tokenizer.end_of_text,)
        given = list(record["ids"])[len(begin) :] if has_ids else None
        ids = (*begin, *checked_ids(engine, text, given))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the memory that a chat began from is damaged ({kind}); choose another file",
            kind=type(error).__name__,
        ) from error
    return Conversation(ids, root=root)


def _read_node(
    engine: Engine,
    template: ChatTemplate,
    record: Mapping[str, Any],
    number: int,
    start: Conversation,
    *,
    has_ids: bool,
) -> Node:
    parent = None if record["parent"] is None else _number(record["parent"], 0, number - 1)
    # A child is checked against its parent once all are there.
    child = record.get("child")
    child = None if child is None else _number(child, number + 1, MAX_TURNS - 1)
    user, opening = _text(record["user"]), _text(record.get("opening", ""))
    if not template.clean(user):
        raise InputError("it is empty")
    opening_ids: tuple[int, ...] = ()
    is_first = parent is None and is_unread(start, engine.tokenizer.end_of_text)
    if is_first:
        opening_ids = (engine.tokenizer.end_of_text, *_encode(engine, opening))
    elif parent is None:
        opening_ids = start.opening_ids
    prompt = template.user_turn(user, is_first)
    makings = tuple(_read_making(made) for made in record.get("made", []))
    answer = _text(record.get("answer", ""))
    shown = answer.lstrip()
    turn = Turn(
        user,
        tuple(engine.encode(prompt)),
        shown if makings and makings[-1].reason in CUT else shown.rstrip(),
        checked_ids(engine, answer, record.get("answer_ids") if has_ids else None),
        _text(record.get("thinking", "")),
        checked_ids(
            engine, _text(record.get("live", "")), record.get("live_ids") if has_ids else None
        ),
        makings,
    )
    if not turn.is_answered:
        raise InputError("it has no answer")
    return Node(turn, parent, opening_ids, start.root if parent is None else "", child)


def _read_making(made: Mapping[str, Any]) -> Making:
    names = SamplingSettings.__dataclass_fields__
    values = {name: made[name] for name in names if name in made}
    values["banned"] = tuple(values.get("banned", ()))
    if made["reason"] not in get_args(Reason):
        raise ValueError(made["reason"])
    sampling = SamplingSettings(**values)
    settings = GenerationSettings(
        sampling, _number(made["max_tokens"], 1, 10**6), tuple(map(_text, made["stop"]))
    )
    return Making(
        settings,
        made["reason"],
        _number(made["tokens"], 0, 10**6),
        _number(made["reread_tokens"], 0, 10**9),
        float(made["first_token_s"]),
        float(made["tokens_per_s"]),
        _text(made.get("thinking", "")),
    )


def _encode(engine: Engine, text: str) -> tuple[int, ...]:
    return tuple(engine.encode(text)) if text else ()


def checked_ids(engine: Engine, text: str, given: object) -> tuple[int, ...]:
    """The ids given for a text, where they are ids of just this text; its own encoding if not."""
    vocabulary = engine.model.config.vocab_size
    if isinstance(given, list) and all(type(i) is int and 0 <= i < vocabulary for i in given):
        ids = tuple(given)
        if engine.tokenizer.decode(ids) == text:
            return ids
    return _encode(engine, text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(value)
    return value
