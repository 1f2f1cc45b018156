"""Which files a visitor may send: one at a time, a saved memory or saved chats."""

import json
from collections.abc import AsyncGenerator
from pathlib import PurePosixPath

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from rwkv_core.errors import Sentence
from rwkv_core.state_files import MAX_HEAD_BYTES
from server.refusals import Refusal


async def check_upload(headers: Headers, body: bytes, limit: int) -> None:
    """Look at an upload before it becomes a file.

    Args:
        headers: of the request.
        body: its whole body.
        limit: bytes of the file.

    Raises:
        Refusal: it is no form with one file, or the file is too large or of another kind.
    """

    async def pieces() -> AsyncGenerator[bytes]:
        yield body

    if not headers.get("content-type", "").startswith("multipart/form-data"):
        raise _refusal("an upload must be a form with one file; send multipart/form-data")
    try:
        form = await MultiPartParser(headers, pieces(), max_files=1, max_fields=8).parse()
    except (MultiPartException, ValueError, KeyError, UnicodeError):
        raise _refusal("the upload's form cannot be read; send one file in it") from None
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise _refusal(
                "the upload holds {count} files, but must hold one; send it alone",
                count=len(files),
            )
        data = await files[0].read(limit + 1)
        name = files[0].filename or ""
    finally:
        await form.close()
    if len(data) > limit:
        raise Refusal(
            413,
            Sentence(
                "the file has more than {limit:,} bytes, which is the limit here", limit=limit
            ),
            "too_large",
        )
    kind = PurePosixPath(name.lower()).suffix
    if not (kind == ".safetensors" and _is_safetensors(data)) and not (
        kind == ".json" and data.lstrip()[:1] in (b"{", b"[")
    ):
        raise _refusal(
            "only memories saved here (.safetensors) and chats saved here (.json) are taken; "
            "choose such a file"
        )


def _is_safetensors(data: bytes) -> bool:
    """Whether the header lies inside the file and is a JSON object."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or not 2 <= length <= min(MAX_HEAD_BYTES, len(data) - 8):
        return False
    try:
        return isinstance(json.loads(data[8 : 8 + length]), dict)
    except (ValueError, RecursionError):
        return False


def _refusal(form: str, **values: object) -> Refusal:
    return Refusal(400, Sentence(form, **values), "bad_upload")
