import subprocess
import sys
from pathlib import Path

import pytest

from rwkv_core.errors import DownloadError
from rwkv_core.hub import fetch_file
from tests.hub_server import HubServer, serving

ROOT = Path(__file__).parents[2]
FILES = {"owner/model/tokenizer.json": b"{}", "owner/model/large.bin": bytes(range(256)) * 400}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("file", ["tokenizer.json", "large.bin"])
def test_a_file_is_fetched_once_and_then_kept(
    file: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, moved=frozenset({"owner/model/large.bin"}))
    with serving(hub, monkeypatch):
        paths = [
            fetch_file("owner/model", file, endpoint=hub.endpoint, cache=cache) for _ in range(2)
        ]
    assert paths[0] == paths[1]
    assert paths[0].is_relative_to(cache)
    assert paths[0].read_bytes() == FILES[f"owner/model/{file}"]
    assert sum(request.startswith("GET") for request in hub.requests) == 1


def test_a_kept_file_needs_no_server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = HubServer(FILES)
    with serving(hub, monkeypatch):
        path = fetch_file("owner/model", "tokenizer.json", endpoint=hub.endpoint, cache=cache)
    assert fetch_file("owner/model", "tokenizer.json", endpoint=hub.endpoint, cache=cache) == path
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch_file("owner/model", "tokenizer.json", endpoint=hub.endpoint, cache=cache) == path


@pytest.mark.parametrize(
    ("repository", "status", "words"),
    [
        ("owner/model", 200, "the repository has no such file"),
        ("owner/other", 200, "no such repository, or one that needs a token"),
        ("not a name/at/all", 200, "HFValidationError"),
        ("owner/model", 500, "the server answered 500"),
        ("owner/model", 403, "ask for access"),
    ],
)
def test_what_goes_wrong_is_one_short_sentence(
    repository: str, status: int, words: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, status=status)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match=words) as caught:
        fetch_file(repository, "missing.json", endpoint=hub.endpoint, cache=cache)
    assert f"cannot fetch missing.json of {repository} from the" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 230


def test_another_web_server_is_told_from_a_hub(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, is_hub=False)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match="check HF_ENDPOINT"):
        fetch_file("owner/model", "tokenizer.json", endpoint=hub.endpoint, cache=cache)


def test_no_connection_and_offline_mode_are_told_apart(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES)
    with serving(hub, monkeypatch):
        gone = hub.endpoint
    with pytest.raises(DownloadError, match="not in the cache, and no server answered"):
        fetch_file("owner/model", "tokenizer.json", endpoint=gone, cache=cache)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"not in the cache, and .* is in offline mode"):
        fetch_file("owner/model", "tokenizer.json", endpoint=gone, cache=cache)


def test_the_hub_is_not_loaded_before_something_is_fetched() -> None:
    code = "import sys, rwkv_core.hub, rwkv_core.tokenizer; rwkv_core.tokenizer.WorldTokenizer()\n"
    code += "sys.exit('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
