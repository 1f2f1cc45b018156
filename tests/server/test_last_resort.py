from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient

from server.last_resort import LastResort, say_what_is_wrong


class Body(BaseModel):
    number: int


async def breaking(secret: str) -> AsyncIterator[bytes]:
    yield b"data: 1\n\n"
    raise ValueError(secret)


async def answer(request: Request) -> Response:
    path, secret = request.url.path, (await request.body()).decode()
    if path.endswith("/broken"):
        raise ValueError(secret)
    if path.endswith("/stream"):
        return StreamingResponse(breaking(secret), media_type="text/event-stream")
    if path.endswith("/empty"):
        return Response(status_code=404)
    if path.startswith("/gradio_api/run/"):
        told = {"error": f"too few values\n{secret}", "title": "Error"}
        return JSONResponse(told if path.endswith("x") else [secret], 500)
    return PlainTextResponse("fine")


async def typed(body: Body) -> str:
    return str(body.number)


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(
        middleware=[Middleware(LastResort)],
        exception_handlers={RequestValidationError: say_what_is_wrong},
    )
    app.post("/typed")(typed)
    app.add_route("/{path:path}", answer, methods=["GET", "POST"])
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/gradio_api/broken", 400, "makes no sense"),
        ("/broken", 500, "server failed"),
        ("/v1/broken", 500, '"code":"failed"'),
        ("/gradio_api/stream", 200, "broke off"),
        ("/empty", 404, "nothing for this request"),
        ("/gradio_api/run/x", 400, '{"error":"too few values","title":"Error"}'),
        ("/gradio_api/run/y", 400, "this call failed"),
        ("/else", 200, "fine"),
    ],
)
def test_every_request_gets_one_answer_and_none_of_it_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, path: str, status: int, says: str
) -> None:
    told = client.post(path, content=b"secret")
    assert told.status_code == status
    assert says in told.text
    assert "secret" not in told.text + caplog.text
    assert ("ValueError" in caplog.text) == ("broken" in path or "stream" in path)


def test_a_field_that_is_wrong_is_named_but_not_repeated(client: TestClient) -> None:
    told = client.post("/typed", json={"number": "secret" * 1000})
    assert told.status_code == 422
    assert told.json()["detail"].startswith("number: ")
    assert "secret" not in told.text
