"""What went wrong in Gradio, in the log, without what people wrote.

Gradio prints a traceback, and the text of an error may repeat what was sent.
"""

import logging
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from gradio import queueing, routes

log = logging.getLogger(__name__)


class _Kinds:
    """In the place of the module `traceback` where Gradio asks it to print."""

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def print_exc(self, *_: object, **__: object) -> None:
        """Log which kind of error it was, and where it came from."""
        kind, _error, trace = sys.exc_info()
        frames = traceback.extract_tb(trace)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        log.warning("a handler failed with %s at %s", kind.__name__ if kind else "nothing", place)


def keep_texts_from_the_log(modules: tuple[ModuleType, ...] = (queueing, routes)) -> None:
    """Let Gradio log kinds of errors only."""
    for module in modules:
        module.traceback = _Kinds()  # type: ignore[attr-defined]
