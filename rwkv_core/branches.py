"""A conversation with all its branches: nothing that was said is lost by saying something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rwkv_core.sessions import Conversation, Turn


@dataclass(frozen=True)
class Node:
    """One exchange and where it hangs.

    Attributes:
        turn: what was said.
        parent: the exchange before it; None for a first one, which begins the text.
        opening_ids: what the text begins with, persona included; only where parent is None.
        root: the held memory it begins from, see Conversation; only where parent is None.
        child: the exchange after it that was shown last; None where the text ended here.
    """

    turn: Turn
    parent: int | None
    opening_ids: tuple[int, ...] = ()
    root: str = ""
    child: int | None = None


@dataclass(frozen=True)
class Versions:
    """The variants of one message or one answer, as node numbers in the order of making."""

    nodes: tuple[int, ...]
    at: int

    @property
    def place(self) -> int:
        """Which of them is shown, from 1."""
        return self.at + 1

    def step(self, by: int) -> int | None:
        """The node that many variants further; None beyond the ends."""
        at = self.at + by
        return self.nodes[at] if 0 <= at < len(self.nodes) else None


@dataclass(frozen=True)
class Tree:
    """All exchanges of a chat, oldest first, and the one that the shown text ends with.

    Retry and edit add a node beside an old one, undo moves the tip up, switching moves it over.

    Attributes:
        nodes: the exchanges.
        tip: the one that the shown text ends with; None for none.
        start: what a first exchange goes on from: a memory that was kept, or nothing.
    """

    nodes: tuple[Node, ...] = ()
    tip: int | None = None
    start: Conversation = field(default_factory=Conversation)

    @property
    def path(self) -> tuple[int, ...]:
        """Node numbers of the shown text, first exchange first."""
        return self.path_to(self.tip)

    def path_to(self, node: int | None) -> tuple[int, ...]:
        """Node numbers from the first exchange to this one."""
        found: list[int] = []
        while node is not None:
            found.append(node)
            node = self.nodes[node].parent
        return tuple(reversed(found))

    @property
    def conversation(self) -> Conversation:
        """The shown text."""
        return self.conversation_to(self.tip)

    def conversation_to(self, node: int | None) -> Conversation:
        """The text that ends with this exchange."""
        path = self.path_to(node)
        if not path:
            return self.start
        first, turns = self.nodes[path[0]], tuple(self.nodes[index].turn for index in path)
        return Conversation(first.opening_ids, turns, first.root)

    def added(
        self, parent: int | None, turn: Turn, opening_ids: tuple[int, ...] = (), root: str = ""
    ) -> Tree:
        """Hang a new exchange under `parent` and show the text that ends with it."""
        node = Node(turn, parent, opening_ids, root) if parent is None else Node(turn, parent)
        return replace(self, nodes=(*self.nodes, node)).shown(len(self.nodes))

    def with_turn(self, index: int, turn: Turn) -> Tree:
        """Rewrite one exchange, which must have nothing after it."""
        return self._replaced(index, replace(self.nodes[index], turn=turn))

    def settled(self) -> Tree:
        """Drop the newest exchange where it was never answered."""
        if not self.nodes or self.nodes[-1].turn.is_answered:
            return self
        gone, last = len(self.nodes) - 1, self.nodes[-1]
        tip = last.parent if self.tip == gone else self.tip
        tree = replace(self, nodes=self.nodes[:-1], tip=tip)
        if last.parent is not None and tree.nodes[last.parent].child == gone:
            tree = tree._replaced(last.parent, replace(tree.nodes[last.parent], child=None))
        return tree

    def shown(self, tip: int | None) -> Tree:
        """Show the text that ends with this exchange."""
        nodes = list(self.nodes)
        child: int | None = None
        for index in reversed(self.path_to(tip)):
            nodes[index] = replace(nodes[index], child=child)
            child = index
        return replace(self, nodes=tuple(nodes), tip=tip)

    def switched(self, node: int) -> Tree:
        """Show a text through this exchange: the one that was shown last."""
        tip = node
        while (child := self.nodes[tip].child) is not None:
            tip = child
        return self.shown(tip)

    def answer_versions(self, node: int) -> Versions:
        """The answers to this very message."""
        own = self.nodes[node]
        same = (
            index
            for index, other in enumerate(self.nodes)
            if other.parent == own.parent and _said(other) == _said(own)
        )
        return _versions(tuple(same), node)

    def message_versions(self, node: int) -> Versions:
        """The messages said at this place, each by its newest answer, but by `node` for its own."""
        own = self.nodes[node]
        newest: dict[object, int] = {}
        for index, other in enumerate(self.nodes):
            if other.parent == own.parent:
                newest[_said(other)] = index
        newest[_said(own)] = node
        return _versions(tuple(newest.values()), node)

    def only(self, node: int | None) -> Tree:
        """The shown text up to this exchange, without its branches."""
        tree = Tree(start=self.start)
        for index in self.path_to(node):
            own = self.nodes[index]
            tree = tree.added(tree.tip, own.turn, own.opening_ids, own.root)
        return tree

    def _replaced(self, index: int, node: Node) -> Tree:
        return replace(self, nodes=(*self.nodes[:index], node, *self.nodes[index + 1 :]))


def _said(node: Node) -> object:
    """What the model was asked here, and from which memory."""
    return node.turn.prompt_ids, node.opening_ids, node.root


def _versions(nodes: Sequence[int], node: int) -> Versions:
    return Versions(tuple(nodes), nodes.index(node))
