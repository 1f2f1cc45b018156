import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_zerogpu_gets_the_same_packages_but_a_torch_it_offers_and_spaces() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w-]+)==(.*)$", (ROOT / name).read_text(), re.MULTILINE))

    usual, zero = pins("requirements.txt"), pins("requirements-zerogpu.txt")
    assert set(zero) - set(usual) == {"spaces"}
    assert {name for name in usual if usual[name] != zero[name]} == {"torch"}
    assert (2, 8) <= tuple(map(int, zero["torch"].split(".")[:2])) <= (2, 11)


def test_a_call_gives_text_and_a_memory_from_which_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if importlib.util.find_spec("spaces") is None:
        pytest.skip("needs spaces; install requirements-dev.txt")
    import app_zerogpu

    monkeypatch.setattr(app_zerogpu, "STRATEGY", "cpu fp32")
    *_, (first, memory) = app_zerogpu.go_on("The cat", b"", 5)
    *_, (second, after) = app_zerogpu.go_on(" and the dog", memory, 5)
    assert first
    assert second
    assert len(memory) == len(after) > 300_000
    assert memory != after
    assert app_zerogpu.seconds("x" * 4000, memory, 100) == 12
    assert "go_on" in str(app_zerogpu.build_page().config)
