"""Files from the Hugging Face Hub, fetched when they are needed and kept in the Hub's own cache.

Where the cache lies, a token, offline mode and another endpoint are the business of
`huggingface_hub`, which has its own settings for them.
"""

from pathlib import Path

from rwkv_core.errors import DownloadError


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
            f"cannot fetch {file} of {repository} from the Hugging Face Hub: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
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
        return f"the server answered {cause.response.status_code}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "it is not in the cache, and no server answered"
    return f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no details'}"
