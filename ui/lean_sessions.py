"""Sessions of the page without what Gradio keeps for links that are closed here.

Gradio 6.31 describes every component anew for each visitor, and again at each change, so that a
link could rebuild the page as it was. That takes a tenth of a second and some 4 MB for each
visitor, during which all others wait.
"""

import sys
from copy import copy
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.components import State
from gradio.state_holder import SessionState, StateHolder

SECONDS_AFTER_CLOSING = 3600


class LeanSession(SessionState):
    """One visitor's values, and no descriptions of components."""

    def __init__(self, blocks: gr.Blocks) -> None:
        # Not Gradio's own, which makes the descriptions.
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self._blocks, self._page = blocks, blocks.app_id
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = SECONDS_AFTER_CLOSING

    @property
    def is_closed(self) -> bool:
        """Whether its page has been left, see Gradio's routes."""
        return self._is_closed

    @is_closed.setter
    def is_closed(self, is_closed: bool) -> None:
        """Note that its page was left."""
        self._is_closed = is_closed
        if is_closed:
            self.let_go()

    def let_go(self) -> None:
        """Give up the page that was left, where another has taken its place meanwhile."""
        if self._page != self._blocks.app_id:
            self.blocks_config = copy(self._blocks.default_config)

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep a value, without describing its component."""
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, State):
            self._state_ttl[key] = (block.time_to_live, datetime.now())
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Describe nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep no copy of what is shown."""


class LeanSessions(StateHolder):
    """Every visitor's session."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LeanSession(self.blocks)
        return super().__getitem__(session_id)


def make_sessions_lean(page: gr.Blocks) -> None:
    """Give a page that has just been launched, and has no visitors yet, lean sessions."""
    # Gradio looks for it before and after each step of a handler; this says at once that it is
    # not there, instead of searching every folder: a seventh of the time of a busy page.
    if find_spec("matplotlib") is None:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    sessions = LeanSessions()  # type: ignore[no-untyped-call]
    sessions.set_blocks(page)
    page.app.state_holder = sessions
