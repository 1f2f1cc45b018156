"""A page whose web application is made once, when it is launched.

Gradio 6.31 makes one when a page is begun, when it is finished, when it gets its queue, and when it
is launched; only the last is ever served. Each registers some eighty routes and describes every
component, a tenth to a third of a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio.blocks


class _None:
    """Stands for the class of applications while none is wanted."""

    @staticmethod
    def create_app(*_: object, **__: object) -> None:
        """Make none."""


@contextmanager
def without_applications() -> Iterator[None]:
    """Within it, pages are built without applications; `launch` makes its own."""
    names = vars(gradio.blocks)
    kept, names["App"] = names["App"], _None
    try:
        yield
    finally:
        names["App"] = kept
