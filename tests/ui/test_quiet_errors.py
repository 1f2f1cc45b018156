"""Of what went wrong in Gradio the log has the kind and the place, and no text."""

import logging
from types import ModuleType

import pytest
from gradio import queueing, routes

from ui.quiet_errors import keep_texts_from_the_log


def test_the_log_says_what_failed_and_not_what_was_written(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("module")
    keep_texts_from_the_log((module,))
    with caplog.at_level(logging.WARNING):
        try:
            int("a secret")
        except ValueError:
            module.traceback.print_exc()
    assert "a handler failed with ValueError at test_quiet_errors.py:" in caplog.text
    assert "secret" not in caplog.text + capsys.readouterr().err


def test_gradio_asks_these_modules_for_its_tracebacks() -> None:
    for module in (queueing, routes):
        assert hasattr(module, "traceback")
