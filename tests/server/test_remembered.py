from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from server.headers import SecurityHeaders
from server.remembered import MAX_KEPT, Remembered


def test_a_description_is_made_once_for_each_name_the_page_is_reached_by() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> PlainTextResponse:
        asked.append(str(request.url))
        return PlainTextResponse(str(request.url), 404 if "none" in request.url.query else 200)

    app = Starlette(
        routes=[Route("/{path:path}", answer)],
        middleware=[Middleware(SecurityHeaders), Middleware(Remembered)],
    )
    client = TestClient(app, base_url="http://here")
    first, again = client.get("/config"), client.get("/config")
    assert first.text == again.text == "http://here/config"
    assert first.headers == again.headers
    assert len(asked) == 1
    client.get("/config", headers={"Host": "there"})
    client.get("/config?page=b")
    assert len(asked) == 3
    for _ in range(2):
        client.get("/other")
        client.get("/config?none")
    assert len(asked) == 7
    for number in range(MAX_KEPT):
        client.get(f"/config?{number}")
    client.get("/config")
    assert len(asked) == 8 + MAX_KEPT
