"""Numbers and shares as a command line of the trainer takes them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def share(text: str) -> float:
    """Read a number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; give a number from 0 to 1")
    return value


def multiple(of: int) -> Callable[[str], int]:
    """Make what reads whole numbers above 0 that a number divides."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = 0
        if value < 1 or value % of:
            what = "a whole number above 0" if of == 1 else f"a multiple of {of}"
            raise argparse.ArgumentTypeError(f"{text} is none; give {what}")
        return value

    return read


def mix(text: str) -> dict[str, float]:
    """Read shares of sources, as in stories=0.4,talk=0.6.

    Raises:
        argparse.ArgumentTypeError: they are none.
    """
    shares = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            shares[name] = math.nan
        if not name or not 0 < shares[name] < math.inf:
            raise argparse.ArgumentTypeError(
                f"{part!r} is no source and its share; give some as in stories=0.4,talk=0.6"
            )
    return shares
