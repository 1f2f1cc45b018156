import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import app
import presets
import ui
from kernels.build import default_cache
from rwkv_core.engine import Engine
from ui.models_desk import Desk

ROOT = Path(__file__).parent.parent


def test_help_answers_without_loading_anything_slow() -> None:
    code = "import sys, app\ntry: app.main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'torch', 'gradio', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--strategy" in done.stdout


def test_a_missing_model_gets_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["--model", str(tmp_path / "none.safetensors")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("app.py: ")
    assert "none.safetensors" in error
    assert error.count("\n") == 1


def test_a_path_with_tilde_and_without_suffix_finds_model_and_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Served(Exception):
        """The page would be served now."""

    def build(engine: Engine, name: str, *, desk: Desk, may_read_ahead: bool) -> None:
        assert may_read_ahead
        assert desk.engine is engine
        assert engine.tokenizer.decode(engine.encode("hello")) == "hello"
        raise Served

    shutil.copytree(presets.default_model_path().parent, tmp_path / "pip")
    # Compiled kernels lie at home too.
    (tmp_path / ".cache/rwkv-playground").mkdir(parents=True)
    (tmp_path / ".cache/rwkv-playground/kernels").symlink_to(default_cache())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ui, "build_app", build)
    with pytest.raises(Served):
        app.main(["--model", "'~/pip/model'"])
    out = capsys.readouterr().out
    assert "model.safetensors: 4," in out
    assert "  tokenizer: tokenizer.json (it lies beside the model)\n" in out


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--tokenizer", "world", "the World vocabulary has 65,530 ids, the model only"),
        ("--state", "none.pth", "none.pth is not a readable state file"),
    ],
)
def test_a_vocabulary_or_state_that_does_not_fit_gets_one_sentence(
    flag: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main([flag, value]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"app.py: {words}")
    assert error.count("\n") == 1
