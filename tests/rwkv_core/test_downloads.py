import errno
import shutil
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from rwkv_core.downloads import Progress, download
from rwkv_core.errors import DownloadError
from tests.hub_server import HubServer, serving

ROOT = Path(__file__).parents[2]
NAME, LARGE = "owner/model/large.pth", bytes(range(256)) * 20_000
FILES = {NAME: LARGE, "owner/model/other.pth": b"x", "owner/model/README.md": b"y"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def get(hub: HubServer, cache: Path, file: str = "large.pth", **kwargs: object) -> Path:
    return download("owner/model", file, endpoint=hub.endpoint, cache=cache, pause_s=0, **kwargs)  # type: ignore[arg-type]  # names of keywords vary by test


def test_a_file_arrives_whole_with_progress_and_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []
    hub = HubServer(FILES, moved=frozenset({NAME}))
    with serving(hub, monkeypatch):
        path = get(hub, cache, on_progress=seen.append, sha256=sha256(LARGE).hexdigest())
        again = get(hub, cache)
    assert path == again
    assert path.read_bytes() == LARGE
    assert {one.phase for one in seen} == {"fetching", "checking"}
    assert [one.done for one in seen if one.phase == "fetching"][-1] == len(LARGE)
    assert sum(request.startswith("GET /store") for request in hub.requests) == 1


@pytest.mark.parametrize("ignores_range", [False, True])
def test_a_cut_connection_is_taken_up_where_it_broke(
    ignores_range: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, cut_after=[2_000_000, 500_000], ignores_range=ignores_range)
    with serving(hub, monkeypatch):
        assert get(hub, cache).read_bytes() == LARGE


def test_a_connection_that_stays_cut_is_one_sentence_and_what_came_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, cut_after=[2_000_000, 0, 0, 0, 0, 0])
    with serving(hub, monkeypatch):
        with pytest.raises(DownloadError, match=r"broke at [\d,]+ of 5,120,000 bytes.*kept"):
            get(hub, cache)
        hub.cut_after.clear()
        seen: list[Progress] = []
        assert get(hub, cache, on_progress=seen.append).read_bytes() == LARGE
    assert seen[0].resumed > 1_000_000


def test_a_server_that_begins_anew_each_time_is_not_asked_for_ever(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, cut_after=[2_000_000] * 50, ignores_range=True)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match="connection broke"):
        get(hub, cache)
    assert sum(request.startswith("GET") for request in hub.requests) < 10


def test_cancelling_keeps_what_came(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, stop = HubServer(FILES), threading.Event()
    with serving(hub, monkeypatch):
        with pytest.raises(DownloadError, match=r"stopped at .* are kept"):
            get(hub, cache, on_progress=lambda progress: stop.set(), cancelled=stop)
        seen: list[Progress] = []
        get(hub, cache, on_progress=seen.append)
    assert seen[0].resumed > 0


def test_a_wrong_checksum_is_thrown_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = HubServer(FILES, sent={NAME: LARGE[:-1] + b"!"})
    with serving(hub, monkeypatch):
        with pytest.raises(DownloadError, match=r"checksum .* thrown away"):
            get(hub, cache)
        assert not list(cache.rglob("*.part"))
        hub.sent = {}
        assert get(hub, cache).read_bytes() == LARGE


def test_a_name_that_is_gone_gives_the_list_of_what_is_there(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES)
    with serving(hub, monkeypatch), pytest.raises(DownloadError) as caught:
        get(hub, cache, "gone.pth")
    assert "no such file; it holds large.pth, other.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "token"), (403, "ask for access"), (404, "404"), (429, "slow down"), (500, "500")],
)
def test_every_refusal_names_the_next_step(
    status: int, words: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, status=status)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match=words) as caught:
        get(hub, cache)
    assert "\n" not in str(caught.value)


def test_a_refusal_of_the_bytes_is_no_broken_connection(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES, body_status=403)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match=r"\(403\); ask for access"):
        get(hub, cache)
    # What is refused once is not asked for again.
    assert sum(request.startswith("GET") for request in hub.requests) == 1


def test_a_cache_that_cannot_be_written_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file, where a folder should be")
    with (
        serving(HubServer(FILES), monkeypatch) as hub,
        pytest.raises(DownloadError, match=r"cannot be written .*; set HF_HOME to another folder"),
    ):
        get(hub, cache)


def test_a_full_disk_is_told_before_and_while_it_fills(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES)
    usage = shutil.disk_usage("/")
    with serving(hub, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=9))
        with pytest.raises(DownloadError, match="the disk has 9 free; make room"):
            get(hub, cache)
        monkeypatch.undo()

    def full(progress: Progress) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub = HubServer(FILES)
    with serving(hub, monkeypatch), pytest.raises(DownloadError, match=r"disk is full at .* kept"):
        get(hub, cache, on_progress=full)


def test_a_killed_download_goes_on_and_its_checksum_holds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer(FILES)
    with serving(hub, monkeypatch):
        code = (
            "import time; from pathlib import Path; from rwkv_core.downloads import download\n"
            f"download('owner/model', 'large.pth', endpoint='{hub.endpoint}', "
            f"cache=Path('{cache}'), on_progress=lambda progress: time.sleep(60))"
        )
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        until = time.monotonic() + 30
        while not any(p.stat().st_size for p in cache.rglob("*.part")):
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        seen: list[Progress] = []
        path = get(hub, cache, on_progress=seen.append, sha256=sha256(LARGE).hexdigest())
    assert seen[0].resumed > 0
    assert path.read_bytes() == LARGE
