"""The code in docs/inspector.md makes the figures of the page."""

import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_code_of_the_inspectors_guide_draws_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure, **_options: shown.append(figure))
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs/inspector.md").read_text(encoding="utf-8")
    blocks = CODE.findall(guide.split("## The same in a notebook")[1])
    assert len(blocks) == 2
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/inspector.md", "exec"), scope)
    titles = [figure.layout.title.text for figure in shown]
    assert len(titles) == 17
    assert all(f"**{title}**" in guide for title in titles)
    assert len(list(tmp_path.glob("*.csv"))) == 16
