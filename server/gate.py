"""The door: what every request must pass before anything reads it.

Gradio's "private" events can be called by anyone, so nothing here asks which page a request
came from; whatever starts work is counted, whoever sends it.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from presets.limits import RequestLimits
from rwkv_core.errors import Sentence
from server.rates import Rates
from server.refusals import Refusal
from server.uploads import check_upload

_SESSION = re.compile(rb'"session_hash"\s*:\s*"([^"\\]{1,64})"')
_UPLOADS = ("/gradio_api/upload",)
# Gradio turns these addresses into files of its own, or asks other servers for them.
_CLOSED = ("/gradio_api/proxy=", "/gradio_api/file=http:", "/gradio_api/file=https:",
           "/pwa_icon",
    "/gradio_api/deep_link", "/gradio_api/run-history", "/monitoring")  # fmt: skip
# What programs outside the page have a use for.
READ_IN_VAIN_BYTES = 2**26
# What a form adds to the file in it.
FORM_BYTES = 4096
_FROM_ADDRESS = "more than {limit} requests a minute came from your address; wait {seconds} s"
_FROM_PAGE = "more than {limit} requests a minute came from this page; wait {seconds} s"
_TO_UPLOAD = "more than {limit} requests a minute came to upload a file; wait {seconds} s"
_STARTS_WORK = ("POST", "PUT", "PATCH", "DELETE")


class Gate:
    """Refuse what is too large, too often, from a foreign page, or too late.

    Args:
        app: what comes after.
        limits: sizes and rates.
        upload_bytes: asked for the bytes of one file; a memory of the model must fit.
        origins: hosts whose pages may call, besides the one that was asked.
        is_local: whether only this machine reaches the server; then it goes by local names only.
        is_closing: whether the server is about to stop.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: RequestLimits,
        upload_bytes: Callable[[], int],
        origins: Sequence[str] = (),
        is_closing: Callable[[], bool] = lambda: False,
        *,
        is_local: bool = False,
    ) -> None:
        self._app, self._limits, self._is_closing = app, limits, is_closing
        self._upload_bytes, self._is_local = upload_bytes, is_local
        self._origins = {origin.lower() for origin in origins}
        self._sessions = Rates(limits.per_session)
        self._addresses = Rates(limits.per_address)
        self._uploads = Rates(limits.uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._admit(scope, receive)
        except Refusal as refusal:
            wishes = Headers(scope=scope).get("accept-language", "")
            await refusal.response(scope["path"], wishes)(scope, receive, send)
            return
        await self._app(scope, receive if body is None else _replay(body, receive), send)

    async def _admit(self, scope: Scope, receive: Receive) -> bytes | None:
        """Check a request; returns its body where that had to be read."""
        headers = Headers(scope=scope)
        if self._is_local:
            self._check_name(headers)
        self._check_origin(headers)
        path = scope["path"]
        if path.startswith(_CLOSED):
            raise Refusal(404, "there is nothing here", "not_found")
        if scope["method"] not in _STARTS_WORK:
            return None
        if self._is_closing():
            raise Refusal(
                503, Sentence("the server is being restarted; try again in a minute"), "restarting",
                retry_after_s=60,
            )  # fmt: skip
        address = scope["client"][0] if scope.get("client") else "unknown"
        _count(self._addresses, address, _FROM_ADDRESS, self._limits.per_address)
        if is_upload := path.startswith(_UPLOADS):
            _count(self._uploads, address, _TO_UPLOAD, self._limits.uploads)
            most = self._upload_bytes()
            body = await self._body(headers, receive, most + FORM_BYTES)
            await check_upload(headers, body, most)
        else:
            body = await self._body(headers, receive, self._limits.body_bytes)
        if not is_upload and path.startswith("/gradio_api/") and (match := _SESSION.search(body)):
            _count(self._sessions, match[1].decode(), _FROM_PAGE, self._limits.per_session)
        return body

    def _check_name(self, headers: Headers) -> None:
        """Refuse a foreign name that leads to this machine.

        Whoever owns a name can let it lead here, and his pages of that name then count as ours.
        An address cannot be led elsewhere.
        """
        asked = headers.get("host", "localhost").lower()
        name = _name_of(asked)
        is_own = name == "localhost" or name.endswith(".localhost") or _is_address(name)
        if not is_own and not {asked, name} & self._origins:
            raise Refusal(
                403,
                f"this server is called localhost, not {asked[:100]}; its owner can allow that "
                "name with --origin",
                "foreign_name",
            )

    def _check_origin(self, headers: Headers) -> None:
        """Refuse a page of another site; programs send no origin."""
        origin = headers.get("origin")
        if origin is None:
            return
        host = origin.lower().partition("://")[2].partition("/")[0]
        if not host or host not in {headers.get("host", "").lower(), *self._origins}:
            raise Refusal(
                403,
                f"pages of {host[:100] or 'unknown sites'} may not call this server; its owner "
                "can allow them with --origin",
                "foreign_origin",
            )

    async def _body(self, headers: Headers, receive: Receive, limit: int) -> bytes:
        declared = headers.get("content-length", "")
        pieces: list[bytes] = []
        size = 0
        is_kept = not declared.isdigit() or int(declared) <= limit
        try:
            async with asyncio.timeout(self._limits.body_s):
                more = True
                # Who sends too much hears so once all is sent, as long as that is not endless.
                while more and size <= READ_IN_VAIN_BYTES:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(
                            400, Sentence("the request broke off; send it again"), "broken_off"
                        )
                    data = message.get("body", b"")
                    size += len(data)
                    is_kept = is_kept and size <= limit
                    if is_kept:
                        pieces.append(data)
                    else:
                        pieces.clear()
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refusal(
                408,
                Sentence(
                    "the request took longer than {seconds:g} s to arrive; send it again",
                    seconds=self._limits.body_s,
                ),
                "too_slow",
            ) from None
        if not is_kept:
            raise Refusal(
                413,
                Sentence(
                    "the request has more than {limit:,} bytes, which is the limit; shorten it",
                    limit=limit,
                ),
                "too_large",
            )
        return b"".join(pieces)


def _name_of(host: str) -> str:
    """Take the port from a host; nothing is left of what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _count(rates: Rates, key: str, form: str, limit: int) -> None:
    if wait_s := rates.wait_s(key):
        raise Refusal(
            429,
            Sentence(form, limit=limit, seconds=max(1, round(wait_s))),
            "too_many_requests",
            retry_after_s=wait_s,
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then what really comes next."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
