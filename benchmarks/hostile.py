"""Send a served page what nobody should send: python -m benchmarks.hostile --help.

Every request must get one short answer that is no server fault, and the page must live on.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.first_answer import ROOT, free_port, is_served

PATIENCE_S = 30
MAX_ANSWER_BYTES = 4000
JSON = {"Content-Type": "application/json"}

PATHS = (
    "/gradio_api/queue/join", "/gradio_api/call/chat", "/gradio_api/call/complete",
    "/gradio_api/call/tokenise", "/gradio_api/call/score", "/gradio_api/call/snapshot",
    "/gradio_api/call/v2/chat", "/gradio_api/call/answer", "/gradio_api/run/chat",
    "/gradio_api/run/predict", "/gradio_api/api/complete", "/gradio_api/reset",
    "/gradio_api/cancel", "/gradio_api/component_server", "/gradio_api/stream/x",
    "/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/embeddings", "/login", "/",
)  # fmt: skip
LOOKED_UP = (
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=../../etc/passwd", "/gradio_api/file=app.py",
    "/gradio_api/file=%2e%2e%2fapp.py", "/gradio_api/file=presets/default/model.safetensors",
    "/gradio_api/file/app.py", "/gradio_api/proxy=http://127.0.0.1:1/", "/static/../app.py",
    "/assets/..%2f..%2fapp.py", "/custom_component/a/b/c/d", "/gradio_api/custom_component/1/c/js/x",
    "/gradio_api/call/chat/none", "/gradio_api/call/chat/none?session_hash=x", "/svelte/x",
    "/gradio_api/deep_link?session_hash=x", "/v1/models/%00", "/v1/models/" + "a" * 3000,
    "/monitoring", "/monitoring/summary", "/gradio_api/upload_progress?upload_id=x", "/theme.css.",
    "/gradio_api/run-history/buckets", "/pwa_icon/999", "/gradio_api/info?x=%ff", "/%00", "//",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 2**70, 1e308, "", "\x00", "a" * 5000, "\ud800", "🐈" * 500, [], {}, [[]],
    {"a": {"b": []}}, "../../etc/passwd", "<script>alert(1)</script>", [None] * 50, "${7*7}",
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "'; drop table x; --",
)  # fmt: skip
FIELDS = (
    "data", "fn_index", "session_hash", "event_data", "trigger_id", "event_id", "messages",
    "prompt", "model", "max_tokens", "temperature", "top_p", "n", "seed", "stop", "stream",
    "logprobs", "top_logprobs", "message", "history", "text", "component_id", "fn_name",
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """One request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


def malformed(count: int, seed: int = 0) -> Iterator[Hostile]:
    """Make requests that make no sense, the same ones for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        if number % 4 == 3:
            yield Hostile(rng.choice(("GET", "HEAD", "POST")), rng.choice(LOOKED_UP), b"", {})
            continue
        method = rng.choice(("POST",) * 12 + ("PUT", "DELETE", "PATCH", "OPTIONS"))
        headers = dict(rng.choice((JSON, JSON, JSON, {}, {"Content-Type": "text/plain"})))
        if rng.random() < 0.1:
            headers["Origin"] = "https://evil.example"
        yield Hostile(method, rng.choice(PATHS), _body(rng), headers)


def _body(rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(300))
    if kind == 1:
        return b"[" * 100_000
    if kind == 2:
        return b'{"data": [' + b'{"a":' * 20_000
    if kind == 3:
        return json.dumps(rng.choice(VALUES)).encode()
    if kind == 4:
        return b'{"data": ["x"], "data": [NaN, Infinity], "session_hash": "s"}'
    fields: dict[str, Any] = {
        name: rng.choice(VALUES) for name in rng.sample(FIELDS, rng.randrange(1, 8))
    }
    if kind > 5:
        fields["data"] = [rng.choice(VALUES) for _ in range(rng.randrange(12))]
        fields["fn_index"] = rng.randrange(-3, 80)
        fields["session_hash"] = f"hostile{rng.randrange(9)}"
    return json.dumps(fields).encode()


def uploads(count: int, seed: int = 0) -> Iterator[Hostile]:
    """Make uploads that are no memories, the same ones for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        name = rng.choice(NAMES)
        data = rng.choice(CONTENTS)(rng)
        field = rng.choice(("files", "files", "file", ""))
        edge = rng.choice(("edge", "edge", "edge", "another"))
        head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        # More at once than the server reads in vain would only be cut off.
        parts = rng.choice((1, 1, 1, 2, 50 if len(data) < 10**6 else 4))
        body = (b"--edge\r\n" + head.encode() + data + b"\r\n") * parts
        body += rng.choice((b"--edge--\r\n", b"--edge--\r\n", b""))
        kind = rng.choice(
            (f"multipart/form-data; boundary={edge}",) * 4 + ("text/html", "multipart/form-data")
        )
        yield Hostile("POST", "/gradio_api/upload", body, {"Content-Type": kind})


NAMES = (
    "a.safetensors", "memory.safetensors", "../../../etc/cron.d/x", "a.html", "a.svg", "a.pth",
    "a.json", "", "a" * 1000 + ".safetensors", "a\\..\\b.safetensors", "con.safetensors", "ü🐈.json",
    "/etc/passwd", "a.safetensors.html", "%2e%2e%2fx.json", "a\t.json",
)  # fmt: skip
CONTENTS: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: b"",
    lambda rng: rng.randbytes(500),
    lambda rng: b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    lambda rng: b"<svg onload=alert(1)>",
    lambda rng: (2**63).to_bytes(8, "little") + b"{}",
    lambda rng: (2).to_bytes(8, "little") + b"{}" + b"\xff" * 64,
    lambda rng: (20_000).to_bytes(8, "little") + b"[" * 20_000,
    lambda rng: _tensors({"wkv": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    lambda rng: _tensors({"wkv": {"dtype": "F32", "shape": [-1], "data_offsets": [5, 1]}}),
    lambda rng: _tensors({"__metadata__": {"format": "rwkv-state-1", "tokens": "9" * 50}}),
    lambda rng: b"PK\x03\x04" + rng.randbytes(200),
    lambda rng: b"x" * 3_000_000,
)  # fmt: skip


def _tensors(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * 16


def send(port: int, asked: Hostile, address: str) -> tuple[int, bytes]:
    """Send a request as a visitor of this address, as behind a proxy; status and body.

    Raises:
        OSError: no answer came.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        headers = {**asked.headers, "X-Forwarded-For": address, "Connection": "close"}
        connection.request(asked.method, asked.path, asked.body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def fault_of(asked: Hostile, status: int, body: bytes) -> str:
    """Say what is wrong with an answer; "" when nothing is."""
    if status >= 500 and status != 503:
        return f"status {status}"
    if b"Traceback" in body or b"root:x:0" in body:
        return "it tells what it should not"
    if status >= 400 and asked.method != "HEAD" and not 1 <= len(body) <= MAX_ANSWER_BYTES:
        return f"an answer of {len(body)} bytes"
    return ""


def attack(port: int, requests: Iterator[Hostile]) -> tuple[Counter[int], list[str]]:
    """Send everything; counts by status, and the faults."""
    statuses: Counter[int] = Counter()
    faults = []
    for number, asked in enumerate(requests):
        what = f"{asked.method} {asked.path[:60]} {asked.body[:80]!r}"
        try:
            # Every few requests another visitor, so that rates refuse only some of them.
            status, body = send(port, asked, f"203.0.113.{number // 15 % 250}")
        except (OSError, http.client.HTTPException) as error:
            faults.append(f"{what}: {type(error).__name__}")
            continue
        statuses[status] += 1
        if fault := fault_of(asked, status, body):
            faults.append(f"{what}: {fault}: {body[:150]!r}")
    return statuses, faults


def main(arguments: list[str] | None = None) -> int:
    """Attack a page of our own, print what came of it; 1 where something did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--uploads", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "app.py", "--api", "--port", str(port), "--threads", "1"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        limit = time.monotonic() + 120
        while not is_served(port) and time.monotonic() < limit:
            time.sleep(0.1)
        results: dict[str, Any] = {}
        for name, requests in (
            ("malformed", malformed(options.requests, options.seed)),
            ("uploads", uploads(options.uploads, options.seed)),
        ):
            statuses, faults = attack(port, requests)
            counts = {str(status): count for status, count in sorted(statuses.items())}
            results[name] = {"answers": counts, "faults": faults}
        results["is_alive_after"] = server.poll() is None and is_served(port)
    finally:
        server.terminate()
        server.wait()
    results["ended_with_status"] = server.returncode
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    ok = results["is_alive_after"] and not results["malformed"]["faults"]
    return 0 if ok and not results["uploads"]["faults"] else 1


if __name__ == "__main__":
    sys.exit(main())
