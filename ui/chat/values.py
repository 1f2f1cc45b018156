"""What a visitor's chats are: small immutable values of ids, text and settings."""

import secrets
import zlib
from dataclasses import dataclass, field, replace
from typing import Literal

from rwkv_core.branches import Tree
from rwkv_core.errors import InputError
from rwkv_core.sessions import Conversation
from rwkv_core.streams import Reason

# Exchanges drawn at once; drawing more would make every redraw of a long chat slow.
SHOWN_TURNS = 30
MAX_TURNS = 1000
MAX_CHATS = 20
MAX_TITLE = 60
# Larger whole numbers lose digits in the browser.
MAX_SLOT = 2**53 - 1

# How an answer ended that the model would have gone on with.
CUT: tuple[Reason, ...] = ("length", "cancelled", "deadline", "unread")


@dataclass(frozen=True)
class Ask:
    """What a visitor asked for, before anything was done about it.

    Attributes:
        text: the words to say.
        kind: "send" after the shown text, "replace" an exchange with another one beside it,
            "continue" the last answer.
        node: the exchange to replace.
        is_own: whether the words are the visitor's, to go back into the box where they get no answer.
    """

    text: str
    kind: Literal["send", "replace", "continue"] = "send"
    node: int = 0
    is_own: bool = True


@dataclass(frozen=True)
class Chat:
    """One chat and how much of it is drawn.

    Attributes:
        tree: everything said in it.
        title: what the visitor calls it; "" for its first words.
        slot: the number under which the browser keeps it, 1 to MAX_SLOT; 0 before it has one.
        shown_turns: exchanges drawn, counted from the end.
        folded: its JSON as the browser kept it, see `fold`, until it is opened; the tree is empty
            then.
    """

    tree: Tree = field(default_factory=Tree)
    title: str = ""
    slot: int = 0
    shown_turns: int = SHOWN_TURNS
    folded: bytes = b""

    @property
    def conversation(self) -> Conversation:
        """The shown text."""
        return self.tree.conversation

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever said in it."""
        return not self.tree.nodes and not self.folded

    @property
    def first_drawn(self) -> int:
        """Number of exchanges of the shown text that are not drawn."""
        return max(0, len(self.tree.path) - self.shown_turns)

    @property
    def name(self) -> str:
        """Its title, or its first words; "" for an empty one."""
        return self.title or (short(self.tree.nodes[0].turn.user) if self.tree.nodes else "")

    @property
    def is_cut(self) -> bool:
        """Whether the last answer could go on."""
        if self.tree.tip is None:
            return False
        turn = self.tree.nodes[self.tree.tip].turn
        return bool(turn.makings) and turn.makings[-1].reason in CUT

    def with_tree(self, tree: Tree) -> "Chat":
        """Say something else in it."""
        return replace(self, tree=tree)

    def node_at(self, drawn: int) -> int | None:
        """The exchange at a place of the drawn ones; None outside."""
        path = self.tree.path[self.first_drawn :]
        return path[drawn] if 0 <= drawn < len(path) else None


@dataclass(frozen=True)
class Chats:
    """All chats of a visitor, newest first, and which of them is open; never empty.

    Attributes:
        chats: each with a slot of its own.
        at: the open one.
        deleted: the one deleted last, which can be had back.
    """

    chats: tuple[Chat, ...] = (Chat(),)
    at: int = 0
    deleted: Chat | None = None

    @property
    def current(self) -> Chat:
        """The open chat."""
        return self.chats[self.at]

    def with_current(self, chat: Chat) -> "Chats":
        """Put another value in the open chat's place."""
        return replace(self, chats=(*self.chats[: self.at], chat, *self.chats[self.at + 1 :]))

    def with_tree(self, tree: Tree) -> "Chats":
        """Say something else in the open chat."""
        return self.with_current(self.current.with_tree(tree))

    def numbered(self) -> "Chats":
        """Give the open chat a slot where it has none."""
        if self.current.slot:
            return self
        return self.with_current(replace(self.current, slot=new_slot()))

    def opened(self, slot: int) -> "Chats":
        """Open the chat of a slot; without such a chat nothing changes."""
        places = [place for place, chat in enumerate(self.chats) if chat.slot == slot]
        return replace(self, at=places[0]) if places else self

    def added(self, *new: Chat) -> "Chats":
        """Put chats before all others and open the first; an empty open chat makes place.

        Raises:
            InputError: there are too many.
        """
        others = self.chats
        if self.current.is_empty:
            others = tuple(chat for chat in self.chats if chat is not self.current)
        if len(others) + len(new) > MAX_CHATS:
            raise InputError(
                "there are {count} chats and {more} more would pass the limit of {limit}; "
                "delete some first, or export them",
                count=len(others),
                more=len(new),
                limit=MAX_CHATS,
            )
        placed = tuple(replace(chat, slot=new_slot()) for chat in new)
        return replace(self, chats=(*placed, *others), at=0)

    def without_current(self) -> "Chats":
        """Delete the open chat and open the one after it."""
        gone, rest = self.current, (*self.chats[: self.at], *self.chats[self.at + 1 :])
        deleted = self.deleted if gone.is_empty else gone
        if not rest:
            return replace(self, chats=(Chat(),), at=0, deleted=deleted)
        return replace(self, chats=rest, at=min(self.at, len(rest) - 1), deleted=deleted)


def fold(text: str) -> bytes:
    """Make a text small, for as long as nobody reads it; words take a quarter of their bytes or less.

    As it comes, a single emoji makes every letter take four bytes.
    """
    return zlib.compress(text.encode("utf-8", "surrogatepass"), level=1)


def unfold(folded: bytes) -> str:
    """Undo `fold`."""
    return zlib.decompress(folded).decode("utf-8", "surrogatepass")


def new_slot() -> int:
    """Draw a slot; no two windows of a browser draw the same one."""
    return 1 + secrets.randbelow(MAX_SLOT)


def short(text: str, limit: int = 40) -> str:
    """The first words of a text on one line."""
    words = " ".join(text[: 4 * limit].split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
