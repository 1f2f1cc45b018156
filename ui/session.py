"""What one visitor holds: small immutable values of ids and text, and their running streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gradio as gr

from rwkv_core.generate import Token

MAX_UNDO = 20
# Tokens whose probability is still drawn; more would make every redraw heavy.
MAX_COLOURED = 600

# How events are wired: private to the page, without Gradio's own overlay.
QUIET_EVENT: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
# The engine bounds and queues what reaches the model, so Gradio does not.
MODEL_EVENT: dict[str, Any] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}


# Gradio tells of a changed gr.State only where the event that changed it was queued.
TELLING_EVENT = MODEL_EVENT


class Cancellable(Protocol):
    """Anything that can be asked to end."""

    def cancel(self) -> None:
        """End soon; without effect when it has ended."""
        ...


class RunningStreams:
    """The stream each visitor listens to in one tab; at most one, a new one ends the old.

    Stopping asks the stream to end, so that its reader still shows the last words, the true
    reason and the memory reached; cancelling the page's event would lose all three.
    """

    def __init__(self) -> None:
        self._streams: dict[str, Cancellable] = {}

    def start(self, visitor: str, stream: Cancellable) -> None:
        """Make this the visitor's stream, ending one that still runs."""
        self.stop(visitor)
        self._streams[visitor] = stream

    def stop(self, visitor: str) -> None:
        """Ask the visitor's stream to end, if there is one."""
        if (stream := self._streams.get(visitor)) is not None:
            stream.cancel()

    def is_current(self, visitor: str, stream: Cancellable) -> bool:
        """Whether no newer stream has taken this one's place."""
        return self._streams.get(visitor) is stream

    def has(self, visitor: str) -> bool:
        """Whether the visitor's stream still runs."""
        return visitor in self._streams

    def end(self, visitor: str, stream: Cancellable) -> None:
        """Cancel a stream and forget it; a newer one stays."""
        stream.cancel()
        if self.is_current(visitor, stream):
            del self._streams[visitor]


class Draft(NamedTuple):
    """A text and the tokens the model read or wrote to get it; no ids where it was typed.

    Attributes:
        text: what stands in the box.
        ids: all its tokens.
        written: those at its end that the model wrote, as far as they are still coloured.
        root: the held memory that the ids are read from; "" for that of every text.
        unread: how many tokens at its end the model has never read.
    """

    text: str
    ids: tuple[int, ...] = ()
    written: tuple[Token, ...] = ()
    root: str = ""
    unread: int = 0

    def extended(self, text: str, ids: tuple[int, ...], tokens: Sequence[Token]) -> "Draft":
        """Add what the model wrote after it."""
        written = (*self.written, *tokens)[-MAX_COLOURED:]
        return Draft(self.text + text, self.ids + ids, written, self.root)


@dataclass(frozen=True)
class Drafts:
    """A text that is written together with the model, with what came before and after.

    Attributes:
        now: the text as the model left it.
        past: earlier texts, oldest first.
        future: texts taken back, next first.
    """

    now: Draft = Draft("")
    past: tuple[Draft, ...] = ()
    future: tuple[Draft, ...] = ()

    def ids_for(
        self, text: str, encode: Callable[[str], Sequence[int]], start: int
    ) -> tuple[int, ...]:
        """Token ids of a text; where it goes on from `now`, its tokens are kept as they are.

        Args:
            text: what stands in the box.
            encode: text to ids; its errors pass through.
            start: the id every text begins with that goes on from no other memory.
        """
        # A text that was typed after a memory has no ids yet; none at all is the memory itself.
        is_known = self.now.ids or (self.now.root and not self.now.text)
        if is_known and text.startswith(self.now.text):
            rest = text[len(self.now.text) :]
            return (*self.now.ids, *(encode(rest) if rest else ()))
        return tuple(encode(text)) if self.now.root else (start, *encode(text))

    def continued(self, before: Draft, after: Draft) -> "Drafts":
        """Remember that the model wrote `after` from `before`.

        A text of the model's that was typed over can be had again too.
        """
        gone = (self.now,) if not before.text.startswith(self.now.text) else ()
        return Drafts(after, (*self.past, *gone, before)[-MAX_UNDO:])

    def replaced(self, text: str, new: Draft) -> "Drafts":
        """Begin with another text; what stood in the box can be had again by undo."""
        past = (*self.past, self.as_draft(text))[-MAX_UNDO:] if text else self.past
        return Drafts(new, past)

    def undo(self, text: str) -> "Drafts":
        """Go back one text; the one in the box, edits included, can be had again by redo."""
        if not self.past:
            return self
        return Drafts(self.past[-1], self.past[:-1], (self.as_draft(text), *self.future))

    def redo(self, text: str) -> "Drafts":
        """Go forward again."""
        if not self.future:
            return self
        return Drafts(self.future[0], (*self.past, self.as_draft(text)), self.future[1:])

    def as_draft(self, text: str) -> Draft:
        """The text in the box: the newest one with its tokens, or one that was typed."""
        return self.now if self.now.text == text else Draft(text, root=self.now.root)


def new_visitor(request: gr.Request) -> str:
    """Name the visitor by the page's own session, which closes with the tab."""
    return request.session_hash or ""
