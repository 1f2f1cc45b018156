"""Descriptions of the page that Gradio makes anew for every visitor, made once."""

from collections import OrderedDict

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The same for everyone who comes by the same name; each costs Gradio a tenth of a second, in which
# running answers stand still.
_PATHS = ("/config", "/gradio_api/info")
_NAMES = ("host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix")
MAX_KEPT, MAX_KEY = 16, 500

_Key = tuple[str, ...]


class Remembered:
    """Answer these addresses from memory after the first time.

    Args:
        app: what comes after.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: OrderedDict[_Key, list[Message]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or pass a request on and remember its answer."""
        is_known = scope["type"] == "http" and scope["method"] == "GET"
        if not is_known or scope["path"] not in _PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = scope.get("query_string", b"").decode("latin-1")
        key = (scope["path"], query, scope["scheme"], *(headers.get(n, "") for n in _NAMES))
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            for message in kept:
                await send(_copied(message))
            return
        seen: list[Message] = []

        async def noted(message: Message) -> None:
            seen.append(_copied(message))
            await send(message)

        await self._app(scope, receive, noted)
        if seen and seen[0].get("status") == 200 and sum(map(len, key)) <= MAX_KEY:
            self._kept[key] = seen
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)


def _copied(message: Message) -> Message:
    """Copy a message with its headers, which layers further out add to."""
    return {**message, "headers": list(message["headers"])} if "headers" in message else {**message}
