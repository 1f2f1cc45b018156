"""Headers that tell a browser what this page may do, and what others may do with it."""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
# Where Spaces are shown inside a page of their host.
_SPACE_FRAMES = "https://huggingface.co https://*.hf.space"


class SecurityHeaders:
    """Add the headers to every response; a page's own inline scripts are allowed by their hash.

    Args:
        app: what comes after.
        is_space: whether the host of Spaces shows this page in a frame.
    """

    def __init__(self, app: ASGIApp, *, is_space: bool = False) -> None:
        self._app, self._is_space = app, is_space

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and complete the headers of its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers[name] = value
                if not self._is_space:
                    headers["X-Frame-Options"] = "SAMEORIGIN"
                if headers.get("content-type", "").startswith("text/html"):
                    held.append(message)
                    return
                headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
            elif held:
                held.append(message)
                if message.get("more_body", False):
                    return
                body = b"".join(part.get("body", b"") for part in held[1:])
                headers = MutableHeaders(raw=held[0]["headers"])
                headers["Content-Security-Policy"] = self._policy(body)
                await send(held[0])
                message = {**message, "body": body, "more_body": False}
                held.clear()
            await send(message)

        await self._app(scope, receive, complete)

    def _policy(self, html: bytes) -> str:
        hashes = " ".join(f"'sha256-{_sha256(code)}'" for code in _INLINE_SCRIPT.findall(html))
        frames = f"'self' {_SPACE_FRAMES}" if self._is_space else "'self'"
        return "; ".join(
            (
                "default-src 'self'",
                # Gradio makes functions of the page's own handlers in JavaScript.
                f"script-src 'self' 'unsafe-eval' {hashes}".strip(),
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "media-src 'self' data: blob:",
                "font-src 'self' data:",
                "connect-src 'self' data: blob:",
                "worker-src 'self' blob:",
                "object-src 'none'",
                "base-uri 'self'",
                "form-action 'self'",
                f"frame-ancestors {frames}",
            )
        )


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
