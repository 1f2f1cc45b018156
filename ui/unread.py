"""Answers that nobody fetches: Gradio keeps them for as long as the program runs.

Whoever asks by `/gradio_api/call` and never comes back, or joins the queue and listens to nothing,
would fill the server's memory with results.
"""

from asyncio import Queue
from collections import OrderedDict
from time import monotonic
from typing import Any

import gradio as gr

# Seconds without a reader until messages are dropped; who asks begins to read at once.
UNREAD_S = 30.0
# Callers whose messages are kept, as many as Gradio does.
MAX_CALLERS = 2000


class Messages(Queue[Any]):
    """Messages for one caller."""

    def __init__(self) -> None:
        super().__init__()
        self._read = monotonic()

    @property
    def is_forsaken(self) -> bool:
        """Whether there are some, and nobody has come for them."""
        return not self.empty() and monotonic() - self._read > UNREAD_S

    async def get(self) -> Any:
        """Take the next one, as soon as there is one."""
        self._read = monotonic()
        try:
            return await super().get()
        finally:
            self._read = monotonic()

    def put_nowait(self, item: Any) -> None:
        """Add one, and drop those that nobody came for."""
        if self.is_forsaken:
            while not self.empty():
                self.get_nowait()
        if self.empty():
            # Who has asked for nothing for a while has not failed to come for this one.
            self._read = monotonic()
        super().put_nowait(item)


class Callers(OrderedDict[str, Messages]):
    """Messages by session, in the place of a queue's `pending_messages_per_session`."""

    def __setitem__(self, session: str, _: Any) -> None:
        """Begin with no messages, once those that nobody fetched have gone."""
        for other in [name for name, messages in self.items() if messages.is_forsaken]:
            del self[other]
        while len(self) >= MAX_CALLERS:
            self.popitem(last=False)
        super().__setitem__(session, Messages())

    def __getitem__(self, session: str) -> Messages:
        """Look messages up; for a caller who has gone they lead nowhere."""
        found = self.get(session)
        return Messages() if found is None else found

    def __delitem__(self, session: str) -> None:
        """Forget a caller, known or not."""
        self.pop(session, None)


def forget_unread(page: gr.Blocks) -> None:
    """Let a page that has its queue, before it is launched, drop what nobody fetches."""
    page._queue.pending_messages_per_session = Callers()  # type: ignore[assignment]
