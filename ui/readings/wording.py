"""How numbers and words of a text are said; layers, heads and tokens are counted from 1.

What is said is English that remembers its form and values, so that the page can translate it.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rwkv_core.errors import Sentence

# Stands for a token that only goes on with the character of the one before.
PIECE = "\u2027"
# Characters of a word that is quoted whole.
_LONGEST = 32


@dataclass(frozen=True)
class Verbatim:
    """A word of the text that was read: it stays as it is, also where the page knows it too."""

    text: str

    def __str__(self) -> str:
        return self.text


class Words(NamedTuple):
    """What is said beside one figure; its sentences may be translated each by itself.

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


def token_texts(pieces: Sequence[bytes]) -> list[str]:
    """Read the tokens of a text: a character that several share stands in the first of them.

    Args:
        pieces: the T tokens' bytes.

    Returns:
        T texts; PIECE for a token that only goes on with a character, and what is no UTF-8 as its
        bytes.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    texts, begun = [""] * len(pieces), 0
    for index, data in enumerate(pieces):
        held = len(decoder.getstate()[0])
        read = decoder.decode(data, final=index == len(pieces) - 1)
        if held and read:
            # One character, or bytes that are none, each as "\xe6".
            first = 4 * held if read.startswith("\\") else 1
            texts[begun] = texts[begun].removesuffix(PIECE) + read[:first]
            read = read[first:] or PIECE
            held = 0
        texts[index] = read or (PIECE if held else "")
        # What is open now began here, unless this token did not even end what was open before.
        begun = begun if held else index
    return texts


def word_at(texts: Sequence[str], index: int) -> str:
    """Quote the word that a token belongs to; whitespace gets a name.

    Args:
        texts: the T tokens' texts, whitespace included.
        index: which token.
    """
    while index > 0 and texts[index] == PIECE:
        index -= 1
    if not texts[index]:
        return "the start"
    if not texts[index].strip():
        return "a line break" if "\n" in texts[index] else "a space"
    first, last = index, index
    while first > 0 and _continues(texts[first - 1], texts[first]):
        first -= 1
    while last + 1 < len(texts) and _continues(texts[last], texts[last + 1]):
        last += 1
    word = "".join(texts[first : last + 1]).strip()
    if len(word) > _LONGEST:
        # A key or an address; its ends tell which.
        word = f"{word[: _LONGEST // 2]}…{word[-_LONGEST // 4 :]}"
    return quoted(word)


def quoted(word: str) -> Sentence:
    """Put a word of the text between quotation marks."""
    return Sentence("“{word}”", word=Verbatim(word))


def paragraph(first: str, *more: str) -> str:
    """Let sentences follow each other."""
    for second in more:
        first = Sentence("{first} {second}", first=first, second=second)
    return first


def listed(parts: Sequence[str]) -> str:
    """Name one to three things: "a", "a and b", "a, b and c"."""
    names = dict(zip(("first", "second", "third"), parts, strict=False))
    forms = ("{first}", "{first} and {second}", "{first}, {second} and {third}")
    return parts[0] if len(parts) == 1 else Sentence(forms[len(parts) - 1], **names)


def counted(count: int, noun: str) -> Sentence:
    """Write a count with its noun: "1 word", "2,300 words"."""
    return Sentence(f"{{count:,}} {noun}{'' if count == 1 else 's'}", count=count)


def _continues(left: str, right: str) -> bool:
    """Tell whether two neighbours are pieces of one word."""
    both = left + right
    return left[-1:].isalnum() and right[:1].isalnum() and both.isascii() and "\\" not in both


def tokens_text(number: float) -> str:
    """Say a length in tokens, which may be endless."""
    if not np.isfinite(number):
        return "endless tokens"
    form = "{number:.1f} tokens" if number < 10 else "{number:,.0f} tokens"
    return Sentence(form, number=number)


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
