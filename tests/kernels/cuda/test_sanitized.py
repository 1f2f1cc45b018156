"""Every kernel's indices stay inside its arrays, as sanitizers see it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def sanitizer() -> str:
    """The library that must be loaded before all others."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler on this machine")
    command = [compiler, "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip("this C++ compiler has no address sanitizer")
    return found


def test_no_kernel_leaves_its_arrays_and_one_that_does_is_noticed(tmp_path: Path) -> None:
    options = f"detect_leaks=0:halt_on_error=0:log_path={tmp_path}/report"
    environment = os.environ | {"LD_PRELOAD": sanitizer(), "ASAN_OPTIONS": options}
    command = [sys.executable, "-m", "tests.kernels.cuda.sanitized", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    reports = "".join(path.read_text()[:3000] for path in tmp_path.glob("report*"))
    assert done.stdout.split() == ["clean", "noticed"], done.stderr[-2000:] + reports
