"""Texts that programs have read in advance, by a name nobody can guess."""

import secrets
from array import array
from collections import OrderedDict

from rwkv_core.errors import InputError


class KeptTexts:
    """Token ids by name, least recently used first out; the engine keeps the memories.

    Ids are the truth: a memory that the engine has dropped is read again from them. Lives on
    the event loop.

    Args:
        max_texts: of all programs.
        max_tokens: of these texts together.
    """

    def __init__(self, max_texts: int, max_tokens: int) -> None:
        self._max_texts, self._max_tokens = max_texts, max_tokens
        self._texts: OrderedDict[str, array[int]] = OrderedDict()
        self._tokens = 0

    def keep(self, name: str, ids: tuple[int, ...]) -> list[str]:
        """Keep a text; returns the names of those that had to go."""
        self._texts[name] = array("I", ids)
        self._tokens += len(ids)
        gone = []
        while len(self._texts) > self._max_texts or self._tokens > self._max_tokens:
            old, dropped = self._texts.popitem(last=False)
            self._tokens -= len(dropped)
            gone.append(old)
        return gone

    def ids(self, name: str) -> tuple[int, ...]:
        """Look up a text.

        Raises:
            InputError: no such name, or not any more.
        """
        if name not in self._texts:
            raise InputError(
                f"no memory is kept under {name[:40]!r}; call /snapshot with its text again"
            )
        self._texts.move_to_end(name)
        return tuple(self._texts[name])


def new_name() -> str:
    """Draw a name that nobody can guess."""
    return secrets.token_hex(16)
