"""The rules of docs/architecture.md, each checked on the repository and on a tree that breaks it."""

import ast
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A package may import itself and these.
PACKAGES = {
    "kernels": set[str](),
    "rwkv_core": {"kernels"},
    "presets": {"rwkv_core"},
    "ui": {"presets", "rwkv_core"},
    "server": {"presets", "rwkv_core"},
    "benchmarks": {"ui", "presets", "rwkv_core", "kernels"},
    "app": {"ui", "server", "presets", "rwkv_core"},
}
# Inside rwkv_core a module may import its own layer and those above it in this list.
LAYERS = (
    {"errors", "config", "state", "recording", "switches", "limits"},
    {
        "checkpoint",
        "strategy",
        "quantization",
        "models",
        "memory",
        "proposals",
        "machine",
        "hub",
        "downloads",
        "state_files",
    },
    {"sampling", "generate", "tokenizer", "pipeline", "trainer"},
    {
        "sessions",
        "branches",
        "thinning",
        "streams",
        "recordings",
        "inspection",
        "training",
        "tally",
    },
    {"admission", "carried", "rows"},
    {"drafts", "scheduling"},
    {"engine"},
    {"switching"},
)
# A library may be imported by modules whose name starts so, and by tests.
LIBRARIES = {
    "gradio": ("ui", "app", "app_zerogpu"),
    "plotly": ("ui.plots",),
    "huggingface_hub": ("rwkv_core.hub",),
    "torch": ("kernels", "rwkv_core", "benchmarks"),
    "lightning": ("rwkv_core.training", "benchmarks"),
    "ninja": ("kernels.build",),
    "rwkv": ("benchmarks",),
    "starlette": ("server",),
    "fastapi": ("server",),
    "pydantic": ("server",),
    "openai": (),
    "spaces": ("app_zerogpu",),
}
ENVIRONMENT_READERS = ("app", "benchmarks", "tests")
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_APP_LINES = 400, 60, 80
SOURCE_SUFFIXES = {".py", ".cpp", ".h", ".cu", ".cuh", ".css", ".js"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".sh", ""}
# Joined here, so that this file does not hold them.
FOREIGN_PATHS = (*(f"/{folder}/" for folder in ("work", "root", "tmp")), "../" + "shared")


@dataclass(frozen=True)
class Module:
    """One Python file: its dotted name, where it is, and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.split(".")[0]


def files(root: Path, suffixes: set[str]) -> Iterator[Path]:
    """Find the project's files, leaving out caches, builds and virtual environments."""
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        subfolders[:] = [
            name
            for name in subfolders
            if (not name.startswith(".") or name == ".ci")
            and name not in {"build", "_build", "__pycache__", "node_modules"}
            and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in sorted(names) if (here / name).suffix in suffixes)


@functools.cache
def modules(root: Path) -> list[Module]:
    """Parse a tree of files, once."""
    found = []
    for path in files(root, {".py"}):
        parts = list(path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found.append(Module(name, path.relative_to(root), tree))
    return found


def imported_names(module: Module) -> Iterator[str]:
    """Every dotted name a module imports, wherever the import stands; relative ones made whole."""
    base = module.name.split(".")
    if module.path.name != "__init__.py":
        base = base[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            yield from (f"{source}.{alias.name}" for alias in node.names)


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def packages_import_one_way(root: Path) -> Iterator[str]:
    for module in modules(root):
        if module.package in PACKAGES:
            allowed = PACKAGES[module.package] | {module.package}
            for target in {name.split(".")[0] for name in imported_names(module)}:
                if target in PACKAGES and target not in allowed:
                    yield f"{module.path} imports {target}"


def layers_import_one_way(root: Path) -> Iterator[str]:
    layer_of = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    for module in modules(root):
        if module.package != "rwkv_core" or module.name == "rwkv_core":
            continue
        own = module.name.split(".")[1]
        if own not in layer_of:
            yield f"{module.path} is in no layer; add it to LAYERS"
            continue
        for name in imported_names(module):
            parts = name.split(".")
            if parts[0] != "rwkv_core" or parts[1] == own:
                continue
            if parts[1] not in layer_of:
                yield f"{module.path} imports {name}, which no layer holds"
            elif layer_of[parts[1]] > layer_of[own]:
                yield f"{module.path} imports {name} from a later layer"


def libraries_stay_home(root: Path) -> Iterator[str]:
    for module in modules(root):
        for library in {name.split(".")[0] for name in imported_names(module)} & LIBRARIES.keys():
            homes = (*LIBRARIES[library], "tests")
            if not any(is_within(module.name, home) for home in homes):
                yield f"{module.path} imports {library}"


def environment_is_read_at_the_door(root: Path) -> Iterator[str]:
    readers = {"os.environ", "os.environb", "os.getenv"}
    for module in modules(root):
        if module.package in ENVIRONMENT_READERS:
            continue
        attributes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
        found = [f"line {node.lineno}" for node in attributes if ast.unparse(node) in readers]
        found += [name for name in imported_names(module) if name in readers]
        yield from (f"{module.path} reads the environment: {place}" for place in found)


def files_and_functions_are_short(root: Path) -> Iterator[str]:
    for path in files(root, SOURCE_SUFFIXES):
        limit = MAX_APP_LINES if path == root / "app.py" else MAX_FILE_LINES
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count >= limit:
            yield f"{path.relative_to(root)} has {count} lines, not under {limit}"
    for module in modules(root):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count >= MAX_FUNCTION_LINES:
                    yield f"{module.path}:{node.lineno} {node.name} has {count} lines"


def public_names_are_documented(root: Path) -> Iterator[str]:
    for module in modules(root):
        if module.package in {"kernels", "rwkv_core", "presets", "ui", "server", "app"}:
            if not ast.get_docstring(module.tree):
                yield f"{module.path} has no docstring"
            for node in undocumented(module.tree.body):
                yield f"{module.path}:{node.lineno} {node.name} has no docstring"


def undocumented(
    body: list[ast.stmt],
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield node
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body)


def only_commands_print(root: Path) -> Iterator[str]:
    for module in modules(root):
        if module.package in {"kernels", "rwkv_core", "presets", "ui", "server"} and not is_command(
            module
        ):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                    yield f"{module.path}:{node.lineno} prints"


def is_command(module: Module) -> bool:
    guards = (node for node in module.tree.body if isinstance(node, ast.If))
    return module.path.name == "__main__.py" or any(
        ast.unparse(node.test) == "__name__ == '__main__'" for node in guards
    )


def nothing_rebinds_globals(root: Path) -> Iterator[str]:
    for module in modules(root):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                yield f"{module.path}:{node.lineno} rebinds {', '.join(node.names)}"


def no_path_of_one_machine(root: Path) -> Iterator[str]:
    for path in files(root, TEXT_SUFFIXES):
        text = path.read_text(encoding="utf-8")
        yield from (f"{path.relative_to(root)} holds {bad}" for bad in FOREIGN_PATHS if bad in text)


Rule = Callable[[Path], Iterator[str]]

# rule, a file that breaks it, that file's text, words of the finding
BROKEN: list[tuple[Rule, str, str, str]] = [
    (packages_import_one_way, "kernels/a.py", "from rwkv_core.state import State", "rwkv_core"),
    (packages_import_one_way, "presets/a.py", "def f():\n    import ui.theme", "imports ui"),
    (packages_import_one_way, "ui/a.py", "import kernels.build", "imports kernels"),
    (packages_import_one_way, "server/a.py", "import ui", "imports ui"),
    (layers_import_one_way, "rwkv_core/state.py", "from rwkv_core.engine import E", "later layer"),
    (layers_import_one_way, "rwkv_core/models/a.py", "from ..sampling import s", "later layer"),
    (layers_import_one_way, "rwkv_core/models/__init__.py", "from .. import engine", "later layer"),
    (layers_import_one_way, "rwkv_core/engine.py", "from rwkv_core import RWKV", "no layer holds"),
    (layers_import_one_way, "rwkv_core/utils.py", "", "is in no layer"),
    (libraries_stay_home, "rwkv_core/a.py", "import gradio as gr", "imports gradio"),
    (libraries_stay_home, "ui/chat_tab.py", "from plotly import graph_objects", "imports plotly"),
    (libraries_stay_home, "ui/a.py", "from torch.nn import functional", "imports torch"),
    (libraries_stay_home, "ui/a.py", "from starlette import routing", "imports starlette"),
    (libraries_stay_home, "rwkv_core/a.py", "import huggingface_hub", "imports huggingface_hub"),
    (environment_is_read_at_the_door, "ui/a.py", "import os\nos.environ['A']", "line 2"),
    (environment_is_read_at_the_door, "kernels/a.py", "from os import getenv", "os.getenv"),
    (files_and_functions_are_short, "kernels/a.h", "\n" * 400, "400 lines"),
    (files_and_functions_are_short, "app.py", "\n" * 80, "under 80"),
    (files_and_functions_are_short, "ui/a.py", "def f():\n" + "    x = 1\n" * 59, "f has 60"),
    (
        public_names_are_documented,
        "ui/a.py",
        '"""M."""\nclass A:\n    "A."\n    def b(self): 1',
        "b",
    ),
    (public_names_are_documented, "presets/__init__.py", "", "has no docstring"),
    (only_commands_print, "rwkv_core/a.py", "print(1)", "prints"),
    (nothing_rebinds_globals, "ui/a.py", "def f():\n    global model", "rebinds model"),
    (no_path_of_one_machine, "README.md", f"see {FOREIGN_PATHS[0]}x", FOREIGN_PATHS[0]),
    (no_path_of_one_machine, ".ci/run", f"ls {FOREIGN_PATHS[3]}", FOREIGN_PATHS[3]),
]


@pytest.mark.parametrize("rule", list(dict.fromkeys(row[0] for row in BROKEN)))
def test_the_repository_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(ROOT)) == []


@pytest.mark.parametrize(("rule", "path", "text", "words"), BROKEN)
def test_a_broken_rule_is_found(
    rule: Rule, path: str, text: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    findings = list(rule(tmp_path))
    assert len(findings) == 1
    assert words in findings[0]


def test_what_rules_allow_is_not_found(tmp_path: Path) -> None:
    for path, text in {
        "app.py": '"""A."""\nimport os\nimport ui\nos.environ["PORT"]\n',
        "ui/__init__.py": '"""U."""\nimport gradio\nfrom presets import examples\n',
        "ui/plots.py": '"""P."""\nimport plotly.graph_objects\n',
        "rwkv_core/__init__.py": '"""R."""\nfrom rwkv_core.engine import Engine\n',
        "rwkv_core/engine.py": '"""E."""\nfrom rwkv_core.models import load_model\nimport torch\n',
        "kernels/build.py": '"""B."""\nimport ninja\nif __name__ == "__main__":\n    print(1)\n',
        ".venv/lib/a.py": "import gradio, os\nos.environ\nprint(1)\n" * 200,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert [finding for rule in {row[0] for row in BROKEN} for finding in rule(tmp_path)] == []


def test_import_kernels_finds_ours() -> None:
    import kernels

    assert [Path(folder) for folder in kernels.__path__] == [ROOT / "kernels"]
