"""Imports of the page's libraries without what a served page has no use for.

What it saves, and why it is done from outside: docs/decisions/0038-start.md.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def _nothing(*_: object, **__: object) -> None:
    """In the place of what is left out."""


# Gradio writes a stub for every class of components, for editors: it parses the class's source twice
# for that. And it makes a template of every event's docstring. Both at every start.
_LEFT_OUT: dict[str, Callable[[Any], None]] = {
    "gradio.component_meta": lambda module: setattr(module, "create_or_modify_pyi", _nothing),
    "gradio.events": lambda module: setattr(module.EventListener, "set_doc", _nothing),
}


class _Finder(MetaPathFinder):
    """Finds the modules that something is left out of, as Python would."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of them; something is left out as soon as it has run."""
        leave_out = _LEFT_OUT.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if leave_out else None
        if leave_out is None or spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_leave_out(module: ModuleType) -> None:
            run(module)
            leave_out(module)

        vars(spec.loader)["exec_module"] = run_and_leave_out
        return spec


@contextmanager
def quick_imports() -> Iterator[None]:
    """Within it, Gradio writes nothing for editors and no garbage is looked for.

    What exists at its end stays out of later searches, as modules stay for as long as the page is
    served; so open no model within.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        # First, as it brings PyTorch, which looks through all modules there are a hundred times.
        import rwkv_core.switching  # noqa: F401

        yield
    finally:
        gc.freeze()
        gc.enable()
        sys.meta_path.remove(finder)
