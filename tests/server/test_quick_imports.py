import gc
import subprocess
import sys

import pytest
from gradio import component_meta, events

from server.quick_imports import quick_imports

# Gradio can be imported for the first time only once in a process.
PROGRAM = """
import ast, gc, sys

import jinja2
class Template(jinja2.Template):
    def __new__(cls, *arguments, **named):
        assert sys._getframe(1).f_globals["__name__"] != "gradio.events", "a docstring is filled in"
        return super().__new__(cls, *arguments, **named)
jinja2.Template = Template

parse = ast.parse
def watched(*arguments, **named):
    assert sys._getframe(1).f_globals["__name__"] != "gradio.component_meta", "a stub is written"
    return parse(*arguments, **named)
ast.parse = watched

from server.quick_imports import quick_imports
finders = list(sys.meta_path)
with quick_imports():
    import gradio
    assert not gc.isenabled()
assert sys.meta_path == finders and gc.isenabled() and gc.get_freeze_count() > 10_000

class Loud(gradio.Textbox):
    EVENTS = ["shouted"]

with gradio.Blocks():
    Loud("Hi").shouted(lambda: None)
print("reached the end")
"""


def test_components_are_imported_and_defined_without_stubs_and_work() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip().endswith("reached the end"), run.stderr


def test_gradio_still_has_what_is_left_out() -> None:
    assert component_meta.create_or_modify_pyi.__code__.co_argcount == 3
    assert events.EventListener.set_doc.__code__.co_argcount == 2


def test_an_import_that_fails_leaves_everything_as_it_was() -> None:
    finders = list(sys.meta_path)
    with pytest.raises(ImportError, match="no such module"), quick_imports():
        raise ImportError("no such module")
    assert sys.meta_path == finders
    assert gc.isenabled()
    # Objects of this test's process are none of ours to keep.
    gc.unfreeze()
