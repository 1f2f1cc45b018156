"""The page and its descriptions, compressed for the way to the browser."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

# Three quarters of all that a visit costs, a megabyte of words and wiring in an eighth of the bytes;
# Gradio compresses its scripts by itself. Streams must not wait, memories do not get smaller.
PATHS = ("/", "/config", "/gradio_api/info")
# A hundredth of a second for the page; 9 takes more than twice as long for a thirtieth fewer bytes.
LEVEL = 5


class Compressed:
    """Compress these addresses for whoever can read that.

    Args:
        app: what comes after.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain, self._compressed = app, GZipMiddleware(app, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, through the compressor if it asks for one of these addresses."""
        is_meant = scope["type"] == "http" and scope["path"] in PATHS
        await (self._compressed if is_meant else self._plain)(scope, receive, send)
