from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from presets.limits import RequestLimits
from server.gate import Gate

LIMITS = RequestLimits(body_bytes=100, per_session=2, per_address=4, uploads=1)
JOIN = "/gradio_api/queue/join"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


@pytest.fixture
def client() -> Iterator[TestClient]:
    closing: list[bool] = []
    gate = Middleware(
        Gate,
        limits=LIMITS,
        upload_bytes=lambda: 50,
        origins=["friend.org"],
        is_closing=lambda: bool(closing),
    )
    app = Starlette(
        routes=[Route("/{path:path}", echo, methods=["GET", "POST"])], middleware=[gate]
    )
    app.state.closing = closing
    with TestClient(app, base_url="http://here") as made:
        yield made


def test_a_body_passes_unchanged(client: TestClient) -> None:
    assert client.post(JOIN, content=b"hello").content == b"hello"


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_over_the_limit_is_refused(client: TestClient, is_declared: bool) -> None:
    content = b"x" * 101 if is_declared else iter([b"x" * 60, b"x" * 41])
    answer = client.post(JOIN, content=content)
    assert answer.status_code == 413
    assert "100 bytes" in answer.json()["detail"]


def test_one_page_and_then_one_address_run_out_of_requests(client: TestClient) -> None:
    one, other = ({"data": ["x"], "session_hash": name} for name in ("one", "other"))
    assert [client.post(JOIN, json=one).status_code for _ in range(3)] == [200, 200, 429]
    assert client.post(JOIN, json=other).status_code == 200
    refused = client.post("/v1/models")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "15"
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert client.get("/anything").status_code == 200


def test_a_page_is_refused_in_its_visitors_language_and_a_program_in_english(
    client: TestClient,
) -> None:
    chinese = {"accept-language": "zh-CN,en;q=0.5"}
    asked = {"data": ["x"], "session_hash": "one"}
    files = {"files": ("notes.txt", b"hello")}
    assert "服务器" not in client.post(JOIN, json=asked, headers=chinese).text
    large = client.post(JOIN, content=b"x" * 101, headers=chinese)
    assert large.json()["detail"].startswith("请求超过了 100 字节的上限")
    wrong = client.post("/gradio_api/upload", files=files, headers=chinese)
    assert wrong.text.startswith("只接受在这里保存的记忆")
    often = client.post("/gradio_api/upload", files=files, headers=chinese)
    assert "文件超过了 1 次" in often.text
    program = client.post("/v1/models", headers=chinese)
    assert "from your address" in program.json()["error"]["message"]
    assert "您的地址" in client.post(JOIN, json=asked, headers=chinese).json()["detail"]
    assert "from your address" in client.post(JOIN, json=asked).json()["detail"]


def test_a_session_named_inside_a_text_is_not_the_callers(client: TestClient) -> None:
    text = r'{"data": ["\"session_hash\": \"a\""], "session_hash": "%s"}'
    answers = [client.post(JOIN, content=text % name).status_code for name in "bcde"]
    assert answers == [200] * 4


def test_uploads_have_a_rate_of_their_own(client: TestClient) -> None:
    files = {"files": ("chats.json", b"{}")}
    answers = [client.post("/gradio_api/upload", files=files).status_code for _ in range(2)]
    assert answers == [200, 429]


def test_a_refused_upload_is_answered_in_words_which_the_page_shows(client: TestClient) -> None:
    answer = client.post("/gradio_api/upload", files={"files": ("chats.txt", b"{}")})
    assert answer.status_code == 400
    assert answer.text.startswith("only memories saved here (.safetensors)")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://here", 200), ("https://friend.org", 200), ("https://evil.org", 403), ("null", 403)],
)
def test_only_its_own_pages_and_named_friends_may_call(
    client: TestClient, origin: str, status: int
) -> None:
    assert client.post(JOIN, headers={"Origin": origin}).status_code == status
    assert client.get("/config", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("LocalHost", 200),
        ("pip.localhost", 200),
        ("127.0.0.1:7860", 200),
        ("[::1]:7860", 200),
        ("friend.org", 200),
        ("friend.org:7860", 200),
        ("evil.org:7860", 403),
        ("localhost.evil.org", 403),
        ("evillocalhost", 403),
        ("127.0.0.1.evil.org", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_a_server_of_this_machine_only_is_not_called_by_a_foreign_name(
    host: str, status: int
) -> None:
    gate = Middleware(
        Gate, limits=LIMITS, upload_bytes=lambda: 50, origins=["friend.org"], is_local=True
    )
    app = Starlette(
        routes=[Route("/{path:path}", echo, methods=["GET", "POST"])], middleware=[gate]
    )
    with TestClient(app, base_url="http://here") as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        answer = client.post(JOIN, headers=headers)
        assert client.get("/config", headers={"Host": host}).status_code == status
        assert answer.status_code == status
        assert status == 200 or "this server is called localhost" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/gradio_api/proxy=x", "/gradio_api/file=https://a/b"])
def test_addresses_that_fetch_from_elsewhere_are_closed(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nothing_new_begins_while_the_server_stops(client: TestClient) -> None:
    client.app.state.closing.append(True)  # type: ignore[attr-defined]
    assert client.post(JOIN, content=b"{}").status_code == 503
    assert client.get("/").status_code == 200
