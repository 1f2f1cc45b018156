"""The ground the tests stand on holds: gaps in outputs show, and skips fail under CI."""

import pytest
import torch

HOOKS = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport"
SKIPPING = """
import pytest

def test_without_a_compiler():
    pytest.skip("no compiler")

@pytest.mark.skip(reason="not now")
def test_skipped_by_a_mark():
    pass

@pytest.mark.cuda
def test_on_a_gpu():
    pytest.skip("no such GPU")
"""
SKIPPED_WHOLE = "import pytest; pytest.skip('no browser', allow_module_level=True)"


def test_what_nobody_wrote_is_nan() -> None:
    made = (torch.empty(3), torch.empty_like(torch.ones(2)), torch.ones(1).new_empty(2))
    assert all(bool(tensor.isnan().all()) for tensor in made)


@pytest.mark.parametrize(
    ("ci", "text", "outcome"),
    [
        ("", SKIPPING, {"skipped": 3}),
        ("true", SKIPPING, {"skipped": 1, "failed": 1, "errors": 1}),
        ("", SKIPPED_WHOLE, {"skipped": 1}),
        ("true", SKIPPED_WHOLE, {"errors": 1}),
    ],
)
def test_only_cuda_may_skip_under_ci(
    ci: str,
    text: str,
    outcome: dict[str, int],
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makeini("[pytest]\nmarkers = cuda")
    pytester.makeconftest(HOOKS)
    pytester.makepyfile(text)
    result = pytester.runpytest_inprocess()
    assert {name: n for name, n in result.parseoutcomes().items() if n} == outcome
    if ci:
        result.stdout.fnmatch_lines(["*under CI nothing but `cuda` may skip:*no *"])
