import json

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from server.metrics import RequestCounts
from server.observing import Observer, route_of


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


def test_a_request_is_counted_and_one_line_says_nothing_of_what_was_written() -> None:
    counts, lines = RequestCounts(), list[str]()
    app = Starlette(
        routes=[Route("/{path:path}", answer, methods=["POST"])],
        middleware=[Middleware(Observer, counts=counts, write=lines.append)],
    )
    path = "/gradio_api/call/chat/secret-id?name=secret-query"
    TestClient(app).post(path, content="secret-text", headers={"X-Name": "secret-header"})
    (line,) = lines
    said = json.loads(line)
    assert "secret" not in line
    assert "testclient" not in line
    assert (said["route"], said["status"], said["bytes"]) == ("/gradio_api/call", 200, 4)
    assert counts.statuses == {("/gradio_api/call", 200): 1}
    assert counts.running == 0


@pytest.mark.parametrize(
    ("path", "route"),
    [("/", "/"), ("/v1/models/a/b", "/v1/models"), ("/gradio_api/file=/a/x", "/gradio_api/file"),
     ("/no/such", "other")],
)  # fmt: skip
def test_routes_are_of_a_fixed_list(path: str, route: str) -> None:
    assert route_of(path) == route
