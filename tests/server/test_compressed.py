import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from server.compressed import PATHS, Compressed
from server.headers import SecurityHeaders

PAGE = "<script>let a = 1;</script>" + "words " * 5_000


@pytest.fixture
def client() -> TestClient:
    async def answer(_: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    routes = [Route("/{path:path}", answer)]
    layers = [Middleware(Compressed), Middleware(SecurityHeaders)]
    return TestClient(Starlette(routes=routes, middleware=layers))


@pytest.mark.parametrize("path", PATHS)
def test_the_page_comes_in_fewer_bytes_and_says_the_same(client: TestClient, path: str) -> None:
    small = client.get(path, headers={"Accept-Encoding": "gzip, br"})
    whole = client.get(path, headers={"Accept-Encoding": "identity"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert int(small.headers["Content-Length"]) * 10 < int(whole.headers["Content-Length"])
    assert small.text == whole.text == PAGE
    # The hash of the page's script is that of the script, not of compressed bytes.
    policy = small.headers["Content-Security-Policy"]
    assert policy == whole.headers["Content-Security-Policy"]
    assert policy.count("'sha256-") == 1


def test_what_streams_or_is_packed_already_goes_as_it_is(client: TestClient) -> None:
    for path in ("/gradio_api/queue/data", "/gradio_api/file=/memory.safetensors"):
        response = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in response.headers
        assert response.text == PAGE
