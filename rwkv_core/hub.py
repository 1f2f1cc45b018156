"""Files from the Hugging Face Hub, fetched when they are needed and kept in the Hub's own cache.

Where the cache lies, a token, offline mode and another endpoint are the business of
`huggingface_hub`, which has its own settings for them.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kernels.sentences import Sentence
from rwkv_core.errors import DownloadError

# Names listed where one is gone.
LISTED = 12
# What a search takes and gives: names as the Hub allows them, none that leaves its folder.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
WEIGHTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,150}\.(?:pth|safetensors|st|gguf)")


def fetch_file(
    repository: str, file: str, *, endpoint: str | None = None, cache: Path | None = None
) -> Path:
    """Give the path of a file of a model repository, downloading it if the cache lacks it.

    Args:
        repository: "owner/name".
        file: its path in the repository.
        endpoint: address of a server that speaks the Hub's protocol; huggingface_hub's own
            setting by default.
        cache: folder to keep it in; huggingface_hub's own setting by default.

    Raises:
        DownloadError: no such file, no connection, or no room; the caller adds what to do.
    """
    # Imported only where something is to be fetched: most models need nothing from the Hub.
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, endpoint=endpoint, cache_dir=cache))
    except Exception as error:  # the network, the disk and the server raise what they like
        raise DownloadError(
            "cannot fetch {what} from the Hugging Face Hub: {reason}",
            what=Sentence("{file} of {repository}", file=file, repository=repository),
            reason=reason_of(error),
        ) from error


def reason_of(error: Exception) -> str:
    """Say in a few words what huggingface_hub says in a paragraph."""
    from huggingface_hub import errors

    # Where a request failed and the cache did not help either, the cause knows more.
    known = (errors.OfflineModeIsEnabled, errors.FileMetadataError, errors.HfHubHTTPError)
    cause = error.__cause__ if isinstance(error.__cause__, known) else error
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "the repository has no such file"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such repository, or one that needs a token"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return "it is not in the cache, and huggingface_hub is in offline mode"
    if isinstance(cause, errors.FileMetadataError):
        return "the answer did not come from a Hub, so check HF_ENDPOINT and the proxy"
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        return refusal_of(cause) or Sentence("the server answered {status}", status=status)
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "it is not in the cache, and no server answered"
    return f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no details'}"


@dataclass(frozen=True)
class HubFile:
    """A file on the Hub, and where it goes.

    Attributes:
        url: where it is fetched from.
        headers: of the request; a token among them, where there is one.
        size: bytes.
        sha256: what the Hub states; "" for small files, which have none.
        blob: where its bytes lie in the cache when they are whole.
        cached: its path there, when they are.
    """

    url: str
    headers: dict[str, str]
    size: int
    sha256: str
    blob: Path
    cached: Path | None


def hub_file(repository: str, file: str, *, endpoint: str | None, cache: Path | None) -> HubFile:
    """Ask the Hub about a file; whatever goes wrong is huggingface_hub's own error."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(repository, file, endpoint=endpoint)
    found = get_hf_file_metadata(url, endpoint=endpoint)
    etag = found.etag or ""
    blob = _folder(repository, cache) / etag
    is_digest = len(etag) == 64 and not set(etag) - set("0123456789abcdef")
    cached = None
    if etag and blob.exists():
        cached = link_into_cache(repository, file, endpoint=endpoint, cache=cache)
    return HubFile(
        url, build_hf_headers(), found.size or 0, etag if is_digest else "", blob, cached
    )


def cached_file(repository: str, file: str, *, cache: Path | None = None) -> Path | None:
    """Look a file up in the cache; nobody is asked. None where it is not there whole."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, cache_dir=cache)
    return Path(found) if isinstance(found, str) and Path(found).exists() else None


def fetched_bytes(repository: str, file: str, *, cache: Path | None = None) -> int:
    """Bytes that an unfinished download has left; nobody is asked."""
    note = note_of(_folder(repository, cache), file)
    try:
        return (note.parent / f"{note.read_text(encoding='utf-8')}.part").stat().st_size
    except OSError:
        return 0


def note_of(folder: Path, file: str) -> Path:
    """Where the name is kept, under which an unfinished file's bytes lie beside it."""
    return folder / f"{quote(file, safe='')}.unfinished"


def _folder(repository: str, cache: Path | None) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(cache or constants.HF_HUB_CACHE) / name / "blobs"


@dataclass(frozen=True)
class Found:
    """A file of weights that a search found."""

    repository: str
    file: str


def search(owner: str, *, endpoint: str | None = None, limit: int) -> tuple[Found, ...]:
    """Ask the Hub, once, which RWKV weights somebody has published.

    Args:
        owner: a person or organisation there.
        endpoint: see fetch_file.
        limit: repositories and files, at most.

    Raises:
        DownloadError: no such name, or no connection; says what to do.
    """
    from huggingface_hub import errors

    if not OWNER.fullmatch(owner):
        raise DownloadError(
            "{name!r} is no name on the Hub: letters, digits, '-', '_' and '.' are, at most 96; "
            "write the part before the slash, such as BlinkDL",
            name=owner[:60],
        )
    try:
        models = _ask_for_models(owner, endpoint, limit)
        found = [
            Found(model["id"], sibling["rfilename"])
            for model in models
            for sibling in model.get("siblings") or ()
            if REPOSITORY.fullmatch(model["id"]) and WEIGHTS.fullmatch(sibling["rfilename"])
        ]
    except Exception as error:  # the network and the server raise, and answer, what they like
        reason = reason_of(error)
        if isinstance(error, (AttributeError, KeyError, TypeError, ValueError)):
            reason = "the answer did not come from a Hub, so check HF_ENDPOINT and the proxy"
        elif isinstance(error, errors.HfHubHTTPError) and error.response.status_code == 404:
            # No file was asked for, which `refusal_of` speaks of.
            reason = Sentence("the server answered {status}", status=404)
        raise DownloadError("cannot search the Hub: {reason}", reason=reason) from error
    if not found:
        raise DownloadError(
            "the Hub lists no RWKV weights of {owner}; check the name, upper and lower case count",
            owner=owner,
        )
    return tuple(found[:limit])


def link_into_cache(
    repository: str, file: str, *, endpoint: str | None, cache: Path | None
) -> Path:
    """Let huggingface_hub name a file whose bytes are in its cache already."""
    return fetch_file(repository, file, endpoint=endpoint, cache=cache)


def open_stream(found: HubFile, offset: int) -> AbstractContextManager[Any]:
    """Open the bytes of a file from an offset on; statuses other than 200 and 206 raise."""
    from contextlib import contextmanager

    from huggingface_hub import constants, get_session
    from huggingface_hub.utils._http import hf_raise_for_status

    @contextmanager
    def opened() -> Any:
        headers = found.headers | ({"Range": f"bytes={offset}-"} if offset else {})
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream(
            "GET", found.url, headers=headers, timeout=timeout, follow_redirects=True
        ) as response:
            hf_raise_for_status(response)
            yield response

    return opened()


def _ask_for_models(owner: str, endpoint: str | None, limit: int) -> list[Any]:
    """Ask once, where `HfApi.list_models` would ask a busy server five times before it says so."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import hf_raise_for_status

    answer = get_session().get(
        f"{endpoint or constants.ENDPOINT}/api/models",
        params={"author": owner, "search": "rwkv", "full": "true", "limit": limit},
        headers=build_hf_headers(),
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )
    hf_raise_for_status(answer)
    models = answer.json()
    if not isinstance(models, list):
        raise TypeError(type(models).__name__)
    return models[:limit]


def refusal_of(error: Exception) -> str:
    """Say what an answer means that will be the same next time; "" for any other error."""
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError):
        return ""
    status = error.response.status_code
    if status == 401:
        return "it needs a token (401); run `hf auth login`, then try again"
    if status == 403:
        return "your token may not read it (403); ask for access on its page on the Hub"
    if status == 404:
        return "it is not there any more (404); choose another file"
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        if not wait.isdigit():
            return "the Hub asks to slow down (429); try again in a few minutes"
        return Sentence("the Hub asks to slow down (429); try again in {wait} s", wait=wait)
    return ""


def listing(repository: str, error: Exception, *, endpoint: str | None) -> str:
    """Where a name is gone, list the weights that the repository holds; "" where that is no help."""
    from huggingface_hub import HfApi, errors

    if not isinstance(error, errors.EntryNotFoundError):
        return ""
    try:
        names = HfApi(endpoint=endpoint).list_repo_files(repository)
    except Exception:  # the first error is the one to tell
        return ""
    weights = [name for name in names if name.endswith((".pth", ".safetensors", ".st", ".gguf"))]
    shown = ", ".join(weights[:LISTED]) + (", …" if len(weights) > LISTED else "")
    return shown or "no weights file"
