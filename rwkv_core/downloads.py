"""Large files from the Hub: resumed where they stopped, also after a kill; checked; cancellable.

`huggingface_hub` deletes what an interrupted download left, so the part is kept here, in the
Hub's own cache, under the file's checksum; a whole file takes that name, under which
`huggingface_hub` finds it from then on. As a command, `python -m rwkv_core.downloads --help`.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.sentences import Sentence
from rwkv_core.errors import DownloadError, RwkvError
from rwkv_core.hub import (
    HubFile,
    hub_file,
    link_into_cache,
    listing,
    note_of,
    open_stream,
    reason_of,
    refusal_of,
)

CHUNK_BYTES = 2**20
# Left free on the disk beside the file.
SPARE_BYTES = 2**28
# Attempts in a row that bring nothing, and the pause before each.
ATTEMPTS, PAUSE_S = 4, 1.0


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes:
        phase: "fetching", then "checking" while the checksum is computed.
        done: bytes on the disk, or checked.
        total: of the file.
        resumed: bytes that an earlier attempt had left.
        bytes_per_s: since this attempt began.
    """

    phase: str
    done: int
    total: int
    resumed: int
    bytes_per_s: float


def download(
    repository: str,
    file: str,
    *,
    sha256: str = "",
    endpoint: str | None = None,
    cache: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    cancelled: threading.Event | None = None,
    pause_s: float = PAUSE_S,
) -> Path:
    """Fetch a file into the Hub's cache, going on where an earlier attempt stopped.

    Args:
        repository: "owner/name".
        file: its path there.
        sha256: what it must be; what the Hub itself states by default.
        endpoint: see rwkv_core.hub.fetch_file.
        cache: see rwkv_core.hub.fetch_file.
        on_progress: told after every piece.
        cancelled: set it to stop; what was fetched stays.
        pause_s: between attempts that brought nothing.

    Raises:
        DownloadError: no such file (says what there is), no connection, no room, a wrong
            checksum, or cancelled; says what was kept and what to do.
    """
    what = Sentence("{file} of {repository}", file=file, repository=repository)
    cancelled = cancelled or threading.Event()
    try:
        found = hub_file(repository, file, endpoint=endpoint, cache=cache)
    except Exception as error:  # the network and the server raise what they like
        names = listing(repository, error, endpoint=endpoint)
        raise _not_fetched(what, reason_of(error), names) from error
    if found.cached is not None:
        return found.cached
    part = found.blob.with_name(f"{found.blob.name}.part")
    note = note_of(part.parent, file)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _check_disk(found, part, what)
        note.write_text(found.blob.name, encoding="utf-8")
    except OSError as error:
        raise DownloadError(
            "the cache {folder} cannot be written ({reason}); set HF_HOME to another folder",
            folder=part.parent,
            reason=error.strerror,
        ) from error
    _fetch(found, part, what, on_progress, cancelled, pause_s)
    wanted = sha256 or found.sha256
    digest = _digest(part, found.size, on_progress, cancelled, what) if wanted else ""
    if digest != wanted:
        part.unlink()
        note.unlink(missing_ok=True)
        raise _wrong_sum(what, digest, wanted)
    part.replace(found.blob)
    note.unlink(missing_ok=True)
    return link_into_cache(repository, file, endpoint=endpoint, cache=cache)


def _not_fetched(what: str, reason: str, names: str) -> DownloadError:
    if not names:
        return DownloadError("cannot fetch {what}: {reason}", what=what, reason=reason)
    return DownloadError(
        "cannot fetch {what}: {reason}; it holds {names}", what=what, reason=reason, names=names
    )


def _wrong_sum(what: str, found: str, wanted: str) -> DownloadError:
    return DownloadError(
        "{what} has the checksum {found}… instead of {wanted}…, so it was thrown away; get "
        "it again, and if it happens twice, from another mirror",
        what=what,
        found=found[:12],
        wanted=wanted[:12],
    )


def _check_disk(found: HubFile, part: Path, what: str) -> None:
    needed = found.size - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < needed + SPARE_BYTES:
        raise DownloadError(
            "{what} needs {needed:,} bytes more and the disk has {free:,} free; make room, or set "
            "HF_HOME to a folder on another disk",
            what=what,
            needed=needed,
            free=free,
        )


def _fetch(
    found: HubFile,
    part: Path,
    what: str,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    pause_s: float,
) -> None:
    """Append to the part until it is whole; cut connections are taken up again."""
    resumed = _size(part)
    # A server that begins anew each time brings bytes, but not on.
    began, left, furthest = time.monotonic(), ATTEMPTS, resumed
    while True:
        done = _size(part)
        if done == found.size:
            return
        if done > found.size:
            part.unlink()
            continue
        try:
            for reached in _append(found, part, done):
                done = reached
                if done > furthest:
                    furthest, left = done, ATTEMPTS
                speed = (done - resumed) / max(1e-9, time.monotonic() - began)
                on_progress(Progress("fetching", done, found.size, resumed, speed))
                _stop_if(cancelled, what, done, found.size)
            continue
        except DownloadError:
            raise
        except Exception as error:  # the network raises what it likes, OSErrors too
            if refusal := refusal_of(error):
                raise _not_fetched(what, refusal, "") from error
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DownloadError(
                    "the disk is full at {done:,} of {total:,} bytes of {what}, which are kept; "
                    "make room and get it again",
                    done=_size(part),
                    total=found.size,
                    what=what,
                ) from error
            problem = error
        left -= 1
        if left == 0:
            raise DownloadError(
                "the connection broke at {done:,} of {total:,} bytes of {what} ({error}), which "
                "are kept; get it again to go on from there",
                done=_size(part),
                total=found.size,
                what=what,
                error=type(problem).__name__,
            ) from problem
        cancelled.wait(pause_s)
        _stop_if(cancelled, what, done, found.size)


def _append(found: HubFile, part: Path, done: int) -> Any:
    """Fetch from an offset on; yields the bytes there are after each piece."""
    with open_stream(found, done) as response:
        # A server that ignores the offset sends the whole file.
        is_rest = response.status_code == 206
        with part.open("ab" if is_rest else "wb") as out:
            done = done if is_rest else 0
            for piece in response.iter_bytes(CHUNK_BYTES):
                out.write(piece)
                out.flush()
                done += len(piece)
                yield done
            os.fsync(out.fileno())


def _digest(
    part: Path,
    total: int,
    on_progress: Callable[[Progress], None],
    cancelled: threading.Event,
    what: str,
) -> str:
    digest, done, began = hashlib.sha256(), 0, time.monotonic()
    with part.open("rb") as file:
        while piece := file.read(8 * CHUNK_BYTES):
            digest.update(piece)
            done += len(piece)
            speed = done / max(1e-9, time.monotonic() - began)
            on_progress(Progress("checking", done, total, 0, speed))
            _stop_if(cancelled, what, total, total)
    return digest.hexdigest()


def _stop_if(cancelled: threading.Event, what: str, done: int, total: int) -> None:
    if cancelled.is_set():
        raise DownloadError(
            "stopped at {done:,} of {total:,} bytes of {what}, which are kept; get it again to go "
            "on from there",
            done=done,
            total=total,
            what=what,
        )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


class Fetching:
    """A download on a thread of its own, which goes on whoever watches it.

    Args:
        key: what it is called by those who watch.
        fetch: does it, given `on_progress` and `cancelled`.

    Attributes:
        progress: how far it is; None before the first byte.
        error: why it ended without the file.
        path: the file, once it is there.
    """

    def __init__(self, key: str, fetch: Callable[..., Path]) -> None:
        self.key = key
        self.progress: Progress | None = None
        self.error: RwkvError | None = None
        self.path: Path | None = None
        self._fetch, self._cancelled = fetch, threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="rwkv-download", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask it to stop; what was fetched stays."""
        self._cancelled.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._ended.wait(timeout_s)

    def _run(self) -> None:
        try:
            self.path = self._fetch(on_progress=self._note, cancelled=self._cancelled)
        except RwkvError as error:
            self.error = error
        except Exception as error:
            self.error = DownloadError(
                "the download failed ({error}); get it again",
                error=f"{type(error).__name__}: {str(error)[:200]}",
            )
        finally:
            self._ended.set()

    def _note(self, progress: Progress) -> None:
        self.progress = progress


def main(arguments: list[str] | None = None) -> int:
    """Fetch a file; its path is printed, progress goes to the terminal."""
    parser = argparse.ArgumentParser(prog="python -m rwkv_core.downloads")
    parser.add_argument("repository", help='on the Hub, such as "BlinkDL/rwkv7-g1"')
    parser.add_argument("file", help="its name there")
    parser.add_argument("--sha256", default="", help="what it must be")
    options = parser.parse_args(arguments)

    def tell(progress: Progress) -> None:
        share = 100 * progress.done / max(1, progress.total)
        speed = progress.bytes_per_s / 1e6
        line = f"{progress.phase} {share:5.1f} % of {progress.total / 1e9:.2f} GB, {speed:.1f} MB/s"
        sys.stderr.write(f"\r{line}  ")

    try:
        path = download(options.repository, options.file, sha256=options.sha256, on_progress=tell)
    except (DownloadError, KeyboardInterrupt) as error:
        text = str(error) or "stopped; what was fetched is kept, so get it again to go on"
        sys.stderr.write(f"\n{text}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
