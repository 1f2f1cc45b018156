"""How numbers and words of a text are said; layers, heads and tokens are counted from 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Words(NamedTuple):
    """What is said beside one figure.

    Attributes:
        caption: one sentence that tells how to read it.
        facts: up to three sentences that are true of the data at hand; with the title they
            stand for the figure where it cannot be seen.
        strange: one sentence that says what would be worth a second look.
    """

    caption: str
    facts: tuple[str, ...] = ()
    strange: str = ""

    @property
    def text(self) -> str:
        """All of it in one paragraph."""
        return " ".join(part for part in (self.caption, *self.facts, self.strange) if part)


def token_text(data: bytes) -> str:
    r"""Read one token's bytes; a piece of a character shows as its bytes, like ``\xe4``."""
    return data.decode("utf-8", errors="backslashreplace")


def word_at(texts: Sequence[str], index: int) -> str:
    """Quote the word that a token belongs to; whitespace gets a name.

    Args:
        texts: the T tokens' texts, whitespace included.
        index: which token.
    """
    if not texts[index]:
        return "the start"
    if not texts[index].strip():
        return "a line break" if "\n" in texts[index] else "a space"
    first, last = index, index
    while first > 0 and _continues(texts[first - 1], texts[first]):
        first -= 1
    while last + 1 < len(texts) and _continues(texts[last], texts[last + 1]):
        last += 1
    return f"“{''.join(texts[first : last + 1]).strip()}”"


def _continues(left: str, right: str) -> bool:
    """Tell whether two neighbours are pieces of one word."""
    return left[-1:].isalnum() and right[:1].isalnum() and left.isascii() and right.isascii()


def tokens_text(number: float) -> str:
    """Say a length in tokens, which may be endless."""
    if not np.isfinite(number):
        return "endless tokens"
    return f"{number:.1f} tokens" if number < 10 else f"{number:,.0f} tokens"


def percent(share: float) -> str:
    """Say a share: 0.256 -> "26 %"."""
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def choices(bits: float) -> str:
    """Write 2^bits with two leading digits, as the equal choices it stands for."""
    number = 2.0 ** min(bits, 60.0)
    if number < 10:
        return f"{number:.1f}"
    size = 10 ** (int(np.log10(number)) - 1)
    return f"{round(number / size) * size:,}"
