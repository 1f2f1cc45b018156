"""Versions of what could come next: small immutable values of ids and text."""

from dataclasses import dataclass

from rwkv_core.generate import Token
from ui.session import Draft


@dataclass(frozen=True)
class Version:
    """One way a text could go on.

    Attributes:
        text: what was written.
        ids: its tokens.
        tokens: the same with their probabilities.
        seed: the one it was written under.
    """

    text: str = ""
    ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Versions:
    """Several of them, and the text they go on from."""

    base: Draft = Draft("")
    items: tuple[Version, ...] = ()
