"""What the documents promise is there: commands, links, paths, steps."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
OPEN_COMMAND = re.compile(r"^python3 -m venv .* app\.py$", re.MULTILINE)
TEST_COMMAND = re.compile(r"^python3 -m venv .* pytest$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
# `folder/`, `folder/file.py`, `requirements.txt`; names with <holes> are examples.
QUOTED_PATH = re.compile(r"`((?:\w[\w.-]*/)*\w[\w.-]*(?:/|\.(?:py|toml|md|txt|cpp)))`")
OUR_MODULE = re.compile(r"-m ((?:kernels|rwkv_core|presets|ui|server|benchmarks)[\w.]*)")
REQUIREMENTS = re.compile(r"requirements[\w-]*\.txt")
MAX_STEPS, MAX_DECISION_LINES = 6, 40


def read(root: Path, name: str) -> str:
    path = root / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def documents(root: Path) -> Iterator[Path]:
    yield from sorted(root.glob("*.md"))
    yield from sorted((root / "docs").rglob("*.md"))


def readme_commands(root: Path) -> Iterator[str]:
    text = read(root, "README.md")
    for name, pattern in {"opens the page": OPEN_COMMAND, "tests": TEST_COMMAND}.items():
        if len(found := pattern.findall(text)) != 1:
            yield f"README.md has {len(found)} lines whose command {name}, not 1"


def links(root: Path) -> Iterator[str]:
    for path in documents(root):
        for target in LINK.findall(path.read_text(encoding="utf-8")):
            if not (path.parent / target).exists():
                yield f"{path.relative_to(root)} links to {target}"


def paths(root: Path) -> Iterator[str]:
    for name in GUIDES:
        for quoted in QUOTED_PATH.findall(read(root, name)):
            if not (root / quoted).exists():
                yield f"{name} names {quoted}"


def modules(root: Path) -> Iterator[str]:
    for name in (*GUIDES, "Dockerfile", ".ci/run"):
        for module in OUR_MODULE.findall(read(root, name)):
            path = root / module.replace(".", "/")
            if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
                yield f"{name} runs {module}"


def requirements(root: Path) -> Iterator[str]:
    for name in ("README.md", "CONTRIBUTING.md", "Dockerfile", ".dockerignore"):
        for file in REQUIREMENTS.findall(read(root, name)):
            if not (root / file).exists():
                yield f"{name} installs {file}"


def pins(root: Path) -> Iterator[str]:
    for path in sorted(root.glob("requirements*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")) and not re.match(r"[\w-]+==\d", line):
                yield f"{path.name} does not pin {line}"


def image(root: Path) -> Iterator[str]:
    allowed = re.findall(r"^!(.+)$", read(root, ".dockerignore"), re.MULTILINE)
    yield from (f".dockerignore lets {n} in" for n in allowed if not (root / n).exists())
    for line in re.findall(r"^COPY (.+)$", read(root, "Dockerfile"), re.MULTILINE):
        for source in line.split()[:-1]:
            if source != "." and source not in allowed:
                yield f"Dockerfile copies {source}, which .dockerignore keeps out"


def recipes(root: Path) -> Iterator[str]:
    for recipe in read(root, "CONTRIBUTING.md").split("\n### ")[1:]:
        steps = re.findall(r"^\d+\. ", recipe.split("\n## ")[0], re.MULTILINE)
        if not 1 <= len(steps) <= MAX_STEPS:
            yield f"recipe {recipe.splitlines()[0]} has {len(steps)} steps"


def decisions(root: Path) -> Iterator[str]:
    # Numbers are given out before a note is written, so one may be missing for a while.
    before = 0
    for path in sorted((root / "docs/decisions").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        title = re.match(r"# (\d+)\. ", text)
        number = int(title[1]) if title else 0
        if number <= before or not path.name.startswith(f"{number:04}-"):
            yield f"{path.name} has no number of its own"
        before = number
        if len(text.splitlines()) > MAX_DECISION_LINES:
            yield f"{path.name} has more than {MAX_DECISION_LINES} lines"
        if "**What would change our mind.**" not in text:
            yield f"{path.name} does not say what would change our mind"


def flags(root: Path) -> Iterator[str]:
    for flag in re.findall(r"app\.py.*?(--[\w-]+)", read(root, "README.md")):
        if flag != "--help" and f'"{flag}"' not in read(root, "server/options.py"):
            yield f"README.md gives app.py {flag}"


def tree(root: Path) -> Iterator[str]:
    named = set(re.findall(r"^(\w+)/  ", read(root, "README.md"), re.MULTILINE))
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    yield from (f"README.md's tree leaves out {name}" for name in sorted(packages - named))
    yield from (
        f"README.md's tree has {name}" for name in sorted(named) if not (root / name).is_dir()
    )


Check = Callable[[Path], Iterator[str]]

# check, a file it must refuse, that file's text
BROKEN: list[tuple[Check, str, str]] = [
    (readme_commands, "README.md", "python3 -m venv a && a/python -m pytest\n"),
    (links, "docs/decisions/0001-a.md", "see [b](../b.md)"),
    (paths, "CONTRIBUTING.md", "edit `ui/gone.py`, not `ui/<name>_tab.py`"),
    (modules, "Dockerfile", "RUN python -m kernels.gone"),
    (requirements, "Dockerfile", "RUN pip install -r requirements-gone.txt"),
    (pins, "requirements.txt", "# why\n-r other.txt\ntorch==2.0\ngradio>=6"),
    (image, "Dockerfile", "COPY tests ./"),
    (recipes, "CONTRIBUTING.md", "\n### A thing\n" + "1. do\n" * 7 + "## Next\n1. no step\n"),
    (decisions, "docs/decisions/0002-a.md", "# 3. A\n**What would change our mind.** B"),
    (flags, "README.md", "`python app.py --model x`, `app.py --help`"),
    (tree, "README.md", "gone/  not here\n"),
]


@pytest.mark.parametrize("check", [row[0] for row in BROKEN])
def test_the_documents_are_true(check: Check) -> None:
    assert list(check(ROOT)) == []


@pytest.mark.parametrize(("check", "path", "text"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_an_untrue_document_is_found(check: Check, path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text, encoding="utf-8")
    assert len(list(check(tmp_path))) == 1


def test_ci_runs_the_readme_test_command() -> None:
    assert f"grep -E '{TEST_COMMAND.pattern}' README.md" in read(ROOT, ".ci/run")


def test_the_example_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", read(ROOT, "README.md"), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads(read(ROOT, "pyproject.toml"))["project"]["version"]
    assert f"## [{version}]" in read(ROOT, "CHANGELOG.md")
