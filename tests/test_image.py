"""The image without an engine to build it: lint, the files it gets, and its steps as a script."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
# What a test must not do to its machine; everything else of a step is done.
STUBBED = ("apt-get", "rm", "pip", "useradd")


def instructions(name: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `COPY . .` would fill."""
    folder = tmp_path_factory.mktemp("image")
    for name in re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE):
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        else:
            shutil.copy(source, target)
    return folder


def test_hadolint_finds_nothing() -> None:
    command = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if command is None:
        pytest.skip("needs hadolint; install requirements-dev.txt")
    done = subprocess.run([command, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_its_steps_run_in_order_on_the_files_it_gets(context: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "log"
    for name in STUBBED:
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n')
        (tools / name).chmod(0o755)
    # A link would lose the environment that this interpreter belongs to.
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "python").chmod(0o755)
    script = "\n".join(f"TORCH_BUILD=cpu\n{step}" for step in instructions("RUN"))
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=context,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    called = log.read_text().splitlines()
    assert [line.split()[0] for line in called] == ["apt-get", "apt-get", "rm", "pip", "useradd"]
    assert "https://download.pytorch.org/whl/cpu" in called[3]
    assert (context / called[3].split("--requirement ")[1]).exists()


def test_the_program_finds_all_it_imports_in_the_image(context: Path) -> None:
    code = "import app, server.service, ui"
    code += "; from presets.limits import read_limits; read_limits(); ui.build_app"
    done = subprocess.run([sys.executable, "-c", code], cwd=context, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(instructions("CMD")[0])[:2] == ["python", "app.py"]


def test_it_does_not_run_as_root_and_keeps_its_cache() -> None:
    assert instructions("USER") == ["1000"]
    home = instructions("VOLUME")[0]
    assert f"HF_HOME={home}/huggingface" in instructions("ENV")[0]
    # The kernels are built as the user, into that cache.
    steps = [line for line in LINES if line.startswith(("USER", "RUN python", "VOLUME"))]
    assert [step.split()[0] for step in steps] == ["USER", "RUN", "VOLUME"]


def test_its_health_check_asks_an_address_that_is_served() -> None:
    from server.service import Service

    (address,) = re.findall(r"http://127\.0\.0\.1:7860(/\w+)", instructions("HEALTHCHECK")[0])
    assert address == "/healthz"
    assert "healthz" in vars(Service)


def test_a_space_gets_the_pinned_gradio_and_a_short_description() -> None:
    head = (ROOT / "README.md").read_text().split("---\n")[1]
    facts = dict(line.split(": ", 1) for line in head.strip().splitlines())
    pinned = re.findall(r"^gradio==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert [facts["sdk_version"]] == pinned
    assert (facts["sdk"], facts["app_file"]) == ("gradio", "app.py")
    assert len(facts["short_description"]) <= 60
