"""What a visitor's chats are: small immutable values of ids, text and settings."""

from dataclasses import dataclass, field, replace
from typing import Literal

from rwkv_core.branches import Tree
from rwkv_core.sessions import Conversation
from rwkv_core.streams import Reason

# Exchanges drawn at once; drawing more would make every redraw of a long chat slow.
SHOWN_TURNS = 30
MAX_TURNS = 1000
TITLE_LENGTH = 40

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
        is_typed: whether the words still stand in the message box.
    """

    text: str
    kind: Literal["send", "replace", "continue"] = "send"
    node: int = 0
    is_typed: bool = True


@dataclass(frozen=True)
class Chat:
    """One chat and how much of it is drawn.

    Attributes:
        tree: everything said in it.
        title: what the visitor calls it; "" for its first words.
        shown_turns: exchanges drawn, counted from the end.
    """

    tree: Tree = field(default_factory=Tree)
    title: str = ""
    shown_turns: int = SHOWN_TURNS

    @property
    def conversation(self) -> Conversation:
        """The shown text."""
        return self.tree.conversation

    @property
    def first_drawn(self) -> int:
        """Number of exchanges of the shown text that are not drawn."""
        return max(0, len(self.tree.path) - self.shown_turns)

    @property
    def name(self) -> str:
        """Its title, or its first words; "" for an empty one."""
        if self.title or not self.tree.nodes:
            return self.title
        words = " ".join(self.tree.nodes[0].turn.user.split())
        return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"

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
    """All chats of a visitor and which of them is open; never empty."""

    chats: tuple[Chat, ...] = (Chat(),)
    at: int = 0

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
