import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rwkv_core


def test_all_names_what_is_exported() -> None:
    tree = ast.parse(Path(rwkv_core.__file__).read_text(encoding="utf-8"))
    for_type_checkers = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rwkv_core.")
        for alias in node.names
    }
    assert sorted(rwkv_core.__all__) == sorted(for_type_checkers)
    for name, module in for_type_checkers.items():
        assert getattr(rwkv_core, name) is getattr(sys.modules[module], name)


def test_no_exported_name_is_hidden_by_a_module() -> None:
    folder = Path(rwkv_core.__file__).parent
    assert not set(rwkv_core.__all__) & {path.stem for path in folder.iterdir()}


def test_other_names_are_not_exported() -> None:
    with pytest.raises(AttributeError, match="'rwkv_core' has no attribute 'Rwkv'"):
        getattr(rwkv_core, "Rwkv")  # noqa: B009  # a type checker knows that it is missing


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, rwkv_core; print('torch' in sys.modules, 'numpy' in sys.modules)"
    root = Path(rwkv_core.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["False", "False"]
