"""The ground the tests stand on holds: gaps in outputs show, and skips fail under CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
SKIPPING = """
import pytest

def test_without_a_compiler():
    pytest.skip("no compiler")

@pytest.mark.cuda
def test_on_a_gpu():
    pytest.skip("no such GPU")
"""


def test_what_nobody_wrote_is_nan() -> None:
    made = (torch.empty(3), torch.empty_like(torch.ones(2)), torch.ones(1).new_empty(2))
    assert all(bool(tensor.isnan().all()) for tensor in made)


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed, 1 skipped"), ("", "2 skipped")])
def test_only_cuda_may_skip_under_ci(ci: str, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    (tmp_path / "tests/test_skipping.py").write_text(SKIPPING, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert outcome in result.stdout
