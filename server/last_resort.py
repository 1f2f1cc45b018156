"""One clear answer also where Gradio, or we, did not foresee a request."""

import json
import logging

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.observing import route_of
from server.refusals import Refusal

# Gradio answers 500 here whatever the caller did wrong; its body says what.
_CALLS = ("/gradio_api/run/", "/gradio_api/api/")
_BROKEN = b'event: error\ndata: "this stream does not exist, or broke off; ask again"\n\n'

log = logging.getLogger(__name__)


class LastResort:
    """Turn what nobody foresaw into one sentence; of its cause only the kind is logged.

    The text of an error may repeat what was sent, so it is neither logged nor shown.

    Args:
        app: what comes after.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see that it gets an answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            log.warning("%s was answered by %s", route_of(scope["path"]), type(error).__name__)
            await answer.break_off()


class _Answer:
    """An answer on its way; an error without a word gets one."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        # The start of an answer, as long as nothing of it was sent.
        self._held: Message | None = None
        self._is_begun = self._is_stream = False
        # What Gradio says about a call that failed.
        self._fault: list[bytes] | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._held = message
            kind = Headers(raw=message.get("headers", [])).get("content-type", "")
            self._is_stream = kind.startswith("text/event-stream")
            is_fault = message["status"] == 500 and self._scope["path"].startswith(_CALLS)
            self._fault = [] if is_fault else None
            return
        if self._fault is not None:
            self._fault.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._say_fault(b"".join(self._fault))
            return
        if (start := self._held) is not None:
            is_empty = not message.get("body") and not message.get("more_body", False)
            if is_empty and start["status"] >= 400 and self._scope["method"] != "HEAD":
                await self._say(_nothing(start["status"]))
                return
            await self._begin(start)
        await self._send(message)

    async def break_off(self) -> None:
        if not self._is_begun:
            await self._say(_unforeseen(self._scope["path"]))
            return
        body = _BROKEN if self._is_stream else b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _begin(self, start: Message) -> None:
        self._held, self._is_begun = None, True
        await self._send(start)

    async def _say_fault(self, body: bytes) -> None:
        """Pass on Gradio's first line; the others repeat what was sent."""
        try:
            told = json.loads(body)
            told["error"] = str(told["error"]).partition("\n")[0][:300]
        except (ValueError, TypeError, KeyError):
            told = {"error": "this call failed; docs/api.md says what may be asked"}
        self._held, self._is_begun, self._fault = None, True, None
        await JSONResponse(told, 400)(self._scope, self._receive, self._send)

    async def _say(self, refusal: Refusal) -> None:
        self._held, self._is_begun = None, True
        await refusal.response(self._scope["path"])(self._scope, self._receive, self._send)


async def say_what_is_wrong(request: Request, error: Exception) -> Response:
    """Answer a request whose fields FastAPI refused, without repeating all that was sent."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    fault = faults[0] if faults else {}
    where = ".".join(str(part)[:40] for part in fault.get("loc", ()) if part != "body")
    sentence = f"{where or 'the request'}: {str(fault.get('msg', 'it cannot be read'))[:200]}"
    return Refusal(422, sentence, "invalid_value").response(request.url.path)


def _nothing(status: int) -> Refusal:
    return Refusal(status, "there is nothing for this request here", "nothing")


def _unforeseen(path: str) -> Refusal:
    # Gradio looks things up by what was sent, so there it is nearly always the request's fault.
    if path.startswith("/gradio_api/"):
        return Refusal(
            400,
            "this request makes no sense here; docs/api.md says what may be asked",
            "not_understood",
        )
    return Refusal(
        500, "the server failed on this request; its owner's log names the fault", "failed"
    )
