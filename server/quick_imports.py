"""Imports of the page's libraries without what a served page has no use for.

What it saves, and why it is done from outside: docs/decisions/0038-start.md.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _StubsLeftOut(MetaPathFinder):
    """Finds Gradio's module that writes a stub for every class of components, for editors.

    It parses each class's source twice for that, at every start.
    """

    MODULE, WRITES_STUBS = "gradio.component_meta", "create_or_modify_pyi"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find that one as Python would; once it has run, its function writes nothing."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.MODULE else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_silence(module: ModuleType) -> None:
            run(module)
            setattr(module, self.WRITES_STUBS, lambda *_: None)

        vars(spec.loader)["exec_module"] = run_and_silence
        return spec


@contextmanager
def quick_imports() -> Iterator[None]:
    """Within it, no stubs are written and no garbage is looked for.

    What exists at its end stays out of later searches, as modules stay for as long as the page is
    served; so open no model within.
    """
    finder = _StubsLeftOut()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        sys.meta_path.remove(finder)
