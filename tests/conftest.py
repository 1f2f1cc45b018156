"""What every test stands on: fixed seeds, few threads, loud gaps.

Under CI a skipped test fails, since a skip nobody sees is a test nobody runs. Only tests
marked `cuda` may skip, because the CI machine has no GPU.
"""

import os
import random
from collections.abc import Generator

import numpy as np
import pytest
import torch

# cuBLAS refuses deterministic mode without it; CUDA reads it once, when it starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# For programs that tests start, as pytest_configure says for the tests themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
pytest_plugins = ("pytester",)


def pytest_configure() -> None:
    # Two tests run at a time, and threads that wait for each other take twice as long meanwhile.
    torch.set_num_threads(1)


@pytest.fixture
def two_threads() -> Generator[None]:
    """For what divides its work by torch's number of threads."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def poisoned_empty() -> Generator[None]:
    """Fill torch.empty and its relatives with NaN, so that an output nobody wrote is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("cuda"):
        fail_under_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        fail_under_ci(report)
    return report


def fail_under_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that names the reason, where CI=true."""
    if os.environ.get("CI") == "true":
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"under CI nothing but `cuda` may skip: {reason}"
