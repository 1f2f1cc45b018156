import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from server.headers import SecurityHeaders

CODE = b"window.a = {'b': \"<c>\"};\n"
PAGE = b"<html><script src='x.js'></script><script>" + CODE + b"</script></html>"


async def pieces() -> AsyncIterator[bytes]:
    yield PAGE[:50]
    yield PAGE[50:]


async def answer(request: Request) -> Response:
    if request.url.path == "/json":
        return JSONResponse({})
    if request.url.path == "/streamed":
        return StreamingResponse(pieces(), media_type="text/html")
    return HTMLResponse(PAGE)


def client(*, is_space: bool = False) -> TestClient:
    return TestClient(
        Starlette(
            routes=[Route("/{path:path}", answer)],
            middleware=[Middleware(SecurityHeaders, is_space=is_space)],
        )
    )


@pytest.mark.parametrize("path", ["/", "/streamed"])
def test_a_pages_own_inline_scripts_are_allowed_and_no_others(path: str) -> None:
    shown = client().get(path)
    policy = shown.headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(CODE).digest()).decode()
    assert shown.content == PAGE
    assert policy.count("'sha256-") == 1
    assert f"'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_what_is_no_page_may_run_nothing() -> None:
    headers = client().get("/json").headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"


def test_only_a_space_is_shown_in_a_frame_of_another_site() -> None:
    own, space = client().get("/"), client(is_space=True).get("/")
    assert own.headers["x-frame-options"] == "SAMEORIGIN"
    assert own.headers["content-security-policy"].endswith("frame-ancestors 'self'")
    assert "x-frame-options" not in space.headers
    assert "huggingface.co" in space.headers["content-security-policy"]
