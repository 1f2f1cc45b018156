"""The shelf: memories that a visitor has kept, each a small handle; tensors stay in the engine.

    shelf = keep_text(engine, visitor, shelf, ids, name="after hello")
    memory = await recall(engine, visitor, shelf.current)   # state, tokens read, next scores

A shelf is an immutable value, so it is kept in a `gr.State` and changed by making a new one.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rwkv_core.branches import Tree
from rwkv_core.engine import Engine
from rwkv_core.errors import HeldMemoryError, InputError
from rwkv_core.state import MAX_NAME, Memory, tokens_of
from rwkv_core.state_files import load_memory

MAX_SHELVED = 32
TAIL_TOKENS, TAIL_CHARACTERS = 60, 120


@dataclass(frozen=True)
class Shelved:
    """One memory on the shelf: where it is, and what people see of it.

    Attributes:
        key: names it on its shelf.
        name: what the visitor calls it.
        tail: the last words it has read.
        tokens: how many it has read in all.
        ids: read since the root; a lost state is rebuilt from them.
        root: the held memory that they were read from, see Engine.hold.
        chat: the chat it was kept from, without branches; None for any other text.
    """

    key: str
    name: str
    tail: str
    tokens: int
    ids: tuple[int, ...] = ()
    root: str = ""
    chat: Tree | None = None


@dataclass(frozen=True)
class Shelf:
    """What a visitor has kept.

    Attributes:
        items: oldest first.
        chosen: key of the item that the visitor points at; "" on an empty shelf.
    """

    items: tuple[Shelved, ...] = ()
    chosen: str = ""

    @property
    def current(self) -> Shelved:
        """The chosen item.

        Raises:
            InputError: the shelf is empty.
        """
        for item in self.items:
            if item.key == self.chosen:
                return item
        raise InputError("no memory is kept yet; keep one first")

    def choose(self, key: str | None) -> "Shelf":
        """Point at another item; an unknown one changes nothing."""
        known = any(item.key == key for item in self.items)
        return replace(self, chosen=key) if known and key else self

    def with_item(self, item: Shelved) -> "Shelf":
        """Add an item under a key and a name of its own, and point at it.

        Raises:
            InputError: the shelf is full.
        """
        self.require_room()
        name = _free_name(self.items, item.name)
        item = replace(item, key=secrets.token_hex(4), name=name)
        return Shelf((*self.items, item), item.key)

    def renamed(self, name: str) -> "Shelf":
        """Give the chosen item another name, at most 80 characters long.

        Raises:
            InputError: the name or the shelf is empty.
        """
        current = self.current
        if not name.strip():
            raise InputError("the name is empty; write a word or two, then press Enter")
        others = tuple(item for item in self.items if item is not current)
        named = replace(current, name=_free_name(others, name))
        return replace(self, items=tuple(named if i is current else i for i in self.items))

    def require_room(self) -> None:
        """Refuse a further item on a full shelf.

        Raises:
            InputError: it is full.
        """
        if len(self.items) >= MAX_SHELVED:
            raise InputError(
                "{limit} memories are kept, the limit; drop one first", limit=MAX_SHELVED
            )


@dataclass(frozen=True)
class Handed:
    """A memory on its way to a tab, which goes on from it.

    Attributes:
        tab: "chat" or "completion".
        item: the memory.
        nonce: makes handing over the same memory twice two events.
    """

    tab: str
    item: Shelved
    nonce: str


def hand_over(tab: str, item: Shelved) -> Handed:
    """Send a memory to a tab."""
    return Handed(tab, item, secrets.token_hex(4))


def keep_text(
    engine: Engine,
    visitor: str,
    shelf: Shelf,
    ids: Sequence[int],
    *,
    name: str,
    root: str = "",
    chat: Tree | None = None,
) -> Shelf:
    """Put the memory after a text on the shelf.

    Args:
        engine: knows the text's root.
        visitor: session id.
        shelf: what is on it.
        ids: the text since its root.
        name: what to call it; made different from the others.
        root: the held memory that the text begins from.
        chat: that these ids are the shown text of.

    Returns:
        The new shelf, on which the new item is chosen.

    Raises:
        InputError: nothing has been read yet, or the shelf is full.
        HeldMemoryError: the root is gone.
    """
    if not ids and not root:
        raise InputError("there is no memory to keep yet; write or say something first")
    if root:
        engine.memory_at(visitor, (), root=root)
    tokens = tokens_of(root) + len(ids)
    tail = tail_of(engine, ids)
    return shelf.with_item(Shelved("", name, tail, tokens, tuple(ids), root, chat))


def keep_memory(
    engine: Engine,
    visitor: str,
    shelf: Shelf,
    memory: Memory,
    *,
    name: str,
    tail: str = "",
    ids: Sequence[int] = (),
) -> Shelf:
    """Put a memory on the shelf that no ids explain: loaded, edited or tuned.

    Args:
        engine: holds it.
        visitor: session id.
        shelf: what is on it.
        memory: the memory itself.
        name: what to call it; made different from the others.
        tail: the last words it has read, as far as they are known.
        ids: to be read from it before anything else.

    Raises:
        InputError: the shelf is full.
        HeldMemoryError: the engine has no room for it.
    """
    shelf.require_room()
    root = engine.hold(visitor, memory)
    return shelf.with_item(Shelved("", name, tail, memory.tokens, tuple(ids), root))


async def recall(engine: Engine, visitor: str, item: Shelved) -> Memory:
    """Fetch a memory; one that was given up is read again from its ids.

    Raises:
        HeldMemoryError: its root is gone.
        RwkvError: it could not be read again.
    """
    memory = engine.memory_at(visitor, item.ids, root=item.root)
    if memory is None:
        stream = engine.read(visitor, item.ids, root=item.root)
        async for _ in stream.batches():
            pass
        if stream.result is not None and stream.result.error is not None:
            raise stream.result.error
        memory = engine.memory_at(visitor, item.ids, root=item.root)
    if memory is None:
        raise HeldMemoryError(
            "the memory {name!r} is larger than what one visitor may keep; start the "
            "playground with a smaller model, or keep an earlier one",
            name=item.name,
        )
    return memory


def dropped(engine: Engine, visitor: str, shelf: Shelf) -> Shelf:
    """Take the chosen item off the shelf; a held memory that no other item needs is let go.

    Raises:
        InputError: the shelf is empty.
    """
    item = shelf.current
    rest = tuple(other for other in shelf.items if other is not item)
    if item.root and all(other.root != item.root for other in rest):
        engine.release(visitor, item.root)
    return Shelf(rest, rest[-1].key if rest else "")


def write_file(engine: Engine, item: Shelved, memory: Memory, folder: Path) -> Path:
    """Save a memory as one safetensors file with its name; returns the path.

    Args:
        engine: knows the model that the memory belongs to.
        item: what people see of it.
        memory: what `recall` gave.
        folder: a new one with a name that nobody can guess, for whoever knows a file's address
            can fetch it.
    """
    words = "".join(letter if letter.isalnum() else " " for letter in item.name[:40]).split()
    folder.mkdir(parents=True)
    path = folder / f"{'-'.join(words) or 'memory'}.safetensors"
    memory.state.save(
        path,
        engine.model.config,
        engine.model.fingerprint,
        tokens=memory.tokens,
        text_tail=item.tail,
        name=item.name,
        logits=memory.logits,
    )
    return path


def read_file(engine: Engine, visitor: str, shelf: Shelf, path: Path) -> Shelf:
    """Put a saved or tuned memory from a file on the shelf.

    Raises:
        StateError: too large, no state, or another model's.
        InputError: the shelf is full.
        HeldMemoryError: the engine has no room for it.
    """
    shelf.require_room()
    saved = load_memory(path, engine.model.config, engine.model.fingerprint)
    # A tuned state begins a text as the empty memory does.
    ids = () if saved.memory.tokens else (engine.tokenizer.end_of_text,)
    name = saved.name or path.stem
    return keep_memory(
        engine, visitor, shelf, saved.memory, name=name, tail=saved.text_tail, ids=ids
    )


def tail_of(engine: Engine, ids: Sequence[int]) -> str:
    """The last words of some ids, on one line."""
    text = engine.tokenizer.decode(ids[-TAIL_TOKENS:]).lstrip("\ufffd")
    return " ".join(text.split())[-TAIL_CHARACTERS:]


def _free_name(others: Sequence[Shelved], wished: str) -> str:
    """Shorten a name and number it where another item has it."""
    wished = " ".join(wished.split())[: MAX_NAME - 4]
    taken, name, number = {item.name for item in others}, wished, 2
    while name in taken:
        name, number = f"{wished} {number}", number + 1
    return name
