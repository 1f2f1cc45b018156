import gc
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from presets.limits import Limits, RequestLimits
from rwkv_core.engine import Engine
from rwkv_core.errors import SettingsError
from rwkv_core.tally import Times, Usage
from server import service
from server.service import Options, Service, require_mcp

ROOT = Path(__file__).parents[2]


class FakeEngine:
    """What the service asks of an engine."""

    is_closed = False
    model = SimpleNamespace(
        config=SimpleNamespace(state_bytes=40_000_000, vocab_size=10), name="pip", fingerprint="ab"
    )
    tokenizer = SimpleNamespace(name="World")
    drained_s: float | None = None

    def usage(self) -> Usage:
        return Usage(1, 0, 0, 0, 0, {}, Times(), 0, 0)

    def drain(self, limit_s: float) -> None:
        self.drained_s = limit_s


def make(engine: FakeEngine, options: Options | None = None) -> Service:
    limits = Limits(requests=RequestLimits(drain_s=7))
    return Service(cast(Engine, engine), "Pip", limits, options or Options())


def client_of(made: Service, host: str = "127.0.0.1") -> TestClient:
    return TestClient(Starlette(routes=made.routes()), client=(host, 5))


def test_it_is_ready_until_it_stops_or_the_engine_is_gone() -> None:
    engine = FakeEngine()
    made = make(engine)
    client = client_of(made)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "model": "Pip"}
    engine.is_closed = True
    assert client.get("/readyz").status_code == 503
    engine.is_closed = False
    made.closing.set()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("host", "is_open", "status"),
    [("127.0.0.1", False, 200), ("::1", False, 200), ("10.0.0.7", False, 403),
     ("10.0.0.7", True, 200), ("no address", False, 403)],
)  # fmt: skip
def test_metrics_are_for_this_machine_unless_the_owner_opens_them(
    host: str, is_open: bool, status: int
) -> None:
    made = make(FakeEngine(), Options(metrics=is_open))
    answer = client_of(made, host).get("/metrics")
    assert answer.status_code == status
    assert ("rwkv_texts_running 1" in answer.text) == (status == 200)


def test_v1_is_there_only_when_asked_for() -> None:
    assert client_of(make(FakeEngine())).get("/v1/models").status_code == 404
    made = make(FakeEngine(), Options(api=True, api_key="secret"))
    # What is let in is refused for what it sent.
    for sent, status in (("bearer secret", 400), ("BEARER  secret ", 400), ("secret", 401)):
        tried = client_of(made).post("/v1/completions", headers={"Authorization": sent})
        assert tried.status_code == status
    refused = client_of(made).get("/v1/models", headers={"Authorization": "Bearer other"})
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"


@pytest.fixture
def kept_handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("kept_handlers")
def test_a_signal_ends_the_waiting_once_running_answers_had_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "LAST_WORDS_S", 0.0)
    engine = FakeEngine()
    made = make(engine)
    # Sent again until it is handled: the first may come before anybody listens.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    done = threading.Event()

    def knock() -> None:
        while not done.wait(0.01):
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=knock, daemon=True).start()
    gc.unfreeze()
    made.wait_until_stopped()
    # The collector leaves alone what was there before anyone was served.
    assert gc.get_freeze_count() > 1000
    done.set()
    assert made.closing.is_set()
    assert engine.drained_s == 7


def test_mcp_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = re.findall(r"^gradio==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=re.escape(f"pip install 'gradio[mcp]=={pinned[0]}'")):
        require_mcp()


def test_everything_enters_through_launch() -> None:
    given = make(FakeEngine(), Options(space="a.hf.space")).launch_arguments()
    inside = given["app_kwargs"]
    assert [entry.cls.__name__ for entry in inside["middleware"]] == [
        "Observer", "Compressed", "SecurityHeaders", "Gate", "LastResort", "Remembered",
    ]  # fmt: skip
    assert {route.path for route in inside["routes"]} == {"/healthz", "/readyz", "/metrics"}
    gate = inside["middleware"][3]
    assert gate.kwargs["origins"] == ("a.hf.space",)
    assert not gate.kwargs["is_local"]
    # A memory of a large model is larger than the limit for other files.
    assert given["max_file_size"] > 40_000_000


def test_health_counts_uploads_and_v1_follow_a_change_of_the_model() -> None:
    made = make(FakeEngine(), Options(api=True))
    client = client_of(made)
    other = FakeEngine()
    other.model = SimpleNamespace(
        config=SimpleNamespace(
            state_bytes=90_000_000, vocab_size=10, generation="7"
        ), name="rwkv7-g1d-0.1b", fingerprint="cd", parameters=5,
    )  # fmt: skip
    before, secret = made.upload_bytes, made.face.secret
    made.change(cast(Engine, other), "G1")
    assert client.get("/readyz").json()["model"] == "G1"
    assert 'rwkv_model{name="G1"} 1' in client.get("/metrics").text
    assert made.upload_bytes > before
    assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["G1"]
    # The template follows too; names of sessions stay as they were.
    assert made.face.template.thinking
    assert made.face.secret == secret
