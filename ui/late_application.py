"""A page that is described, and gets its web application, when it is launched.

Gradio 6.31 makes an application when a page is begun, when it is finished, when it gets its queue,
and when it is launched; only the last is ever served. Each registers some eighty routes and
describes every component, a tenth to a third of a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio.blocks
from gradio.data_classes import BlocksConfigDict


class _None:
    """Stands for the class of applications while none is wanted."""

    @staticmethod
    def create_app(*_: object, **__: object) -> None:
        """Make none."""


class LatePage(gradio.blocks.Blocks):
    """A page that is not described while it is built."""

    def get_config_file(self) -> BlocksConfigDict:
        """Describe the page to a browser, as soon as it is finished; until then, nothing."""
        return super().get_config_file() if self.exited else {}  # type: ignore[typeddict-item]


@contextmanager
def without_applications() -> Iterator[None]:
    """Within it, pages are built without applications; `launch` makes its own."""
    names = vars(gradio.blocks)
    kept, names["App"] = names["App"], _None
    try:
        yield
    finally:
        names["App"] = kept
