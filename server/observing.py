"""One line and one count for every request; what people write is in neither."""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.metrics import RequestCounts

# Everything else of a request may hold what somebody wrote, or a key to it.
_KNOWN = (
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/call", "/gradio_api/run",
    "/gradio_api/api", "/gradio_api/upload", "/gradio_api/file", "/gradio_api/heartbeat",
    "/gradio_api/cancel", "/gradio_api/info", "/gradio_api/startup-events",
    "/gradio_api/component_server", "/gradio_api/mcp", "/v1/chat/completions", "/v1/completions",
    "/v1/models", "/healthz", "/readyz", "/metrics", "/config", "/assets", "/static", "/theme.css",
)  # fmt: skip

log = logging.getLogger("server.requests")


def route_of(path: str) -> str:
    """Name the kind of request: one of a fixed list, so that no path adds to it."""
    if path in ("", "/"):
        return "/"
    matches = (known for known in _KNOWN if path.startswith(known))
    return max(matches, key=len, default="other")


class Observer:
    """Count every request, and write one line of JSON where that is wanted.

    A visitor is a short code that only this run of the server gives an address, so lines of one
    visitor can be told from another's without keeping who it was.

    Args:
        app: what comes after.
        counts: where requests are counted.
        write: takes each line; None writes none.
    """

    def __init__(
        self, app: ASGIApp, counts: RequestCounts, write: Callable[[str], None] | None = None
    ) -> None:
        self._app, self._counts, self._write = app, counts, write
        self._salt = secrets.token_bytes(16)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, size = 500, 0
        began = time.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            size += len(message.get("body", b""))
            await send(message)

        self._counts.running += 1
        try:
            await self._app(scope, receive, noted)
        finally:
            self._counts.running -= 1
            seconds, route = time.monotonic() - began, route_of(scope["path"])
            self._counts.add(route, status, seconds)
            if self._write is not None:
                self._write(self._line(scope, route, status, seconds, size))

    def _line(self, scope: Scope, route: str, status: int, seconds: float, size: int) -> str:
        address = scope["client"][0] if scope.get("client") else ""
        visitor = hashlib.blake2b(address.encode(), key=self._salt, digest_size=4).hexdigest()
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "bytes": size,
            "visitor": visitor,
        }
        return json.dumps(line)
