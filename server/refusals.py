"""One sentence for a request that is refused, in the form its sender expects."""

import math
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from presets.words import language_of, translated

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class Refusal(Exception):
    """A request that gets no other answer.

    Attributes:
        status: of HTTP.
        message: one sentence: the value, the limit, the next step.
        code: a word for programs.
        param: the field at fault.
        retry_after_s: when to try again; 0 where that would not help.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        *,
        param: str | None = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after_s = retry_after_s

    @property
    def error(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kind = _KINDS.get(self.status, "server_error")
        return {"message": str(self.message), "type": kind, "param": self.param, "code": self.code}

    def response(self, path: str, wishes: str = "") -> Response:
        """Answer: OpenAI's form under /v1, words for uploads, which the page shows, else Gradio's.

        Args:
            path: that was asked for.
            wishes: the request's Accept-Language; what the page asks for is answered in it.
        """
        is_openai = path.startswith("/v1/")
        message = str(self.message)
        if path.startswith("/gradio_api/"):
            message = translated(language_of(wishes), self.message)
        content = {"error": self.error} if is_openai else {"detail": message}
        headers = {"Retry-After": str(math.ceil(self.retry_after_s))} if self.retry_after_s else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if path.startswith("/gradio_api/upload"):
            return PlainTextResponse(message, self.status, headers)
        return JSONResponse(content, self.status, headers)
