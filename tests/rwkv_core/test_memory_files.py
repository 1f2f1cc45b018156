"""What a file must look like before a visitor's memory is read from it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rwkv_core import state_files
from rwkv_core.config import ModelConfig
from rwkv_core.errors import StateError
from rwkv_core.state_files import file_limit, load_memory

CONFIG = ModelConfig("7", 256, 6, 192, 768, 3, 64)
FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a memory"),
        (b"\x80\x02pickle", "is not a memory"),
        (b"\xff\xff\xff\x7f\x00\x00\x00\x00{", "is not a memory"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "not a saved state"),
        (b"\x09\x00\x00\x00\x00\x00\x00\x00{broken", "not a readable state file"),
    ],
)
def test_a_file_that_is_no_memory_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match=says):
        load_memory(path, CONFIG, FINGERPRINT)


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"wkv": torch.zeros(file_limit(CONFIG) // 4 + 1)}, path)
    monkeypatch.setattr(state_files, "safe_open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(StateError, match="at most"):
        load_memory(path, CONFIG, FINGERPRINT)
