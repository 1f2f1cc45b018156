"""What docs/from-rwkv.md says is so."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.errors import CheckpointError, NotOfferedError, StrategyError
from rwkv_core.pipeline import _NOT_OFFERED, RWKV
from rwkv_core.strategy import parse_strategy
from rwkv_core.switches import SWITCHES
from tests.checkpoints import random_weights, write_pth

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/from-rwkv.md").read_text(encoding="utf-8")


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the tables under a heading, without their first lines."""
    part = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\|(.+)\|$", part, re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if not set(cells[0]) <= {"-"} and cells[0] not in {"variable", "strategy"}:
            yield cells


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "presets/default/tokenizer.json", tmp_path / "20B_tokenizer.json")
    write_pth(tmp_path / "rwkv7.pth", random_weights(vocab_size=65536))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RWKV_V7_ON", "1")
    namespace: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(example, "from-rwkv.md", "exec"), namespace)
    assert "RWKV_V7_ON=1 is not read; " in capsys.readouterr().out
    model = namespace["model"]
    assert isinstance(model, RWKV)
    at_once, _ = model.forward([18, 51, 56, 31, 24], None)
    torch.testing.assert_close(namespace["out"], at_once)


def test_every_switch_of_the_package_is_in_the_table() -> None:
    assert [cells[0].strip("`") for cells in rows("The environment")] == list(SWITCHES)


def test_strategies_are_accepted_and_refused_as_the_table_says() -> None:
    seen = 0
    for names, _, here in rows("Strategies"):
        for strategy in re.findall("`(.+?)`", names):
            seen += 1
            if here == "refused":
                with pytest.raises(StrategyError):
                    parse_strategy(strategy)
                continue
            stage = parse_strategy(strategy).stages[0]
            assert stage.format == (here[:4] if here.startswith("int") else stage.format)
    assert seen == 11


def test_what_is_not_offered_is_in_the_table() -> None:
    named = re.findall(
        r"`(?:model\.)?(\w+)", " ".join(cells[0] for cells in rows("What is not here"))
    )
    # How often the stream is halved belongs to the environment's table.
    assert set(_NOT_OFFERED) - {"RESCALE_LAYER"} <= set(named)


def test_a_merged_time_state_is_refused_with_its_name(tmp_path: Path) -> None:
    weights = random_weights() | {"blocks.0.att.time_state": torch.zeros(4, 8, 8)}
    with pytest.raises(CheckpointError, match=r"blocks\.0\.att\.time_state"):
        RWKV(write_pth(tmp_path / "tuned.pth", weights))


def test_the_states_parts_are_as_the_table_says(tmp_path: Path) -> None:
    model = RWKV(write_pth(tmp_path / "tiny.pth", random_weights()), "cpu bf16")
    logits, state = model.forward([7], None, full_output=True)
    assert (logits.shape, logits.dtype) == ((1, 50), torch.float32)
    assert {part.dtype for part in vars(state).values()} == {torch.float32}
    assert state.wkv.shape == (3, 1, 4, 8, 8)
    with pytest.raises(NotOfferedError):
        model.w  # noqa: B018
    assert np.isfinite(logits.numpy()).all()
