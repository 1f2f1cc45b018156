"""The examples of docs/api.md run against the whole program."""

import json
import re
import shlex
import urllib.request
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs/api.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
ADDRESS = "http://localhost:7860/"


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_a_python_example_prints_something(
    code: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code.replace(ADDRESS, address), "api.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", [text for kind, text in BLOCKS if kind == "sh"])
def test_a_curl_example_gets_an_answer(command: str, address: str) -> None:
    for line in command.replace("\\\n", " ").splitlines():
        assert send(line.replace(ADDRESS, address)).strip()


def send(command: str) -> str:
    """Do what curl would, without needing it."""
    name, url, *options = shlex.split(command)
    assert name == "curl"
    given = dict(zip(options[::2], options[1::2], strict=True))
    headers = dict([given["-H"].split(": ", 1)]) if "-H" in given else {}
    body = given.get("-d")
    if body is not None:
        json.loads(body)
    request = urllib.request.Request(url, body.encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text
