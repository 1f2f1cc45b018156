import http.server
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.first_answer import free_port, is_served, measure_answers, seconds_to_page
from rwkv_core.engine import Engine
from rwkv_core.models import load_model
from rwkv_core.tokenizer import Tokenizer
from tests.checkpoints import random_weights, write_safetensors

SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", "docs"]


def test_answers_are_timed_in_fresh_sessions(tmp_path: Path, tokenizer: Tokenizer) -> None:
    weights = random_weights(vocab_size=tokenizer.vocab_size)
    model = load_model(write_safetensors(tmp_path / "a.safetensors", weights), "cpu fp32")
    with Engine(model, tokenizer) as engine:
        result = measure_answers(engine, "Hello", 2)
    assert result["times"] == 2
    assert 0 < result["first_token_ms"] <= result["first_token_ms_worst"]
    assert result["first_token_ms"] < result["whole_answer_ms"]
    assert result["answer_tokens"] >= 1


def test_a_page_is_waited_for_until_it_is_served() -> None:
    port = free_port()
    assert not is_served(port)
    assert 0 < seconds_to_page([*SERVER, str(port)], port) < 100
    assert not is_served(port)


def test_a_server_that_ends_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="status 3"):
        seconds_to_page([sys.executable, "-c", "raise SystemExit(3)"], free_port())


def test_a_page_that_is_not_there_is_not_served() -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert not is_served(server.server_port)
        thread.join()
