"""A server that speaks as much of the Hugging Face Hub's protocol as fetching a file needs."""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import cast
from urllib.parse import parse_qs, urlsplit

import huggingface_hub
import pytest

COMMIT = "c" * 40
# Where the server sends clients on to, as the Hub does for large files.
STORE = "/store/"


@dataclass
class HubServer(ThreadingHTTPServer):
    """Holds files by "owner/name/file"; anything else is answered as the Hub answers it.

    Attributes:
        files: what there is.
        moved: files whose bytes another address gives out.
        status: answer every request so, where it is not 200.
        body_status: answer so who asks for the bytes of a file, where it is not 200.
        is_hub: whether answers carry the headers by which a Hub is known.
        cut_after: bytes of a body after which the next connections are cut, one for each.
        sent: what is sent in place of a file's own bytes.
        held_after: bytes of a body after which the rest waits for `released`; 0 for none.
        ignores_range: whether the whole file is sent, whatever part is asked for.
        requests: method and path of every request, in order.
    """

    files: Mapping[str, bytes]
    moved: frozenset[str] = frozenset()
    status: int = 200
    body_status: int = 200
    is_hub: bool = True
    cut_after: list[int] = field(default_factory=list)
    sent: Mapping[str, bytes] = field(default_factory=dict)
    held_after: int = 0
    released: Event = field(default_factory=Event)
    ignores_range: bool = False
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _found(self, hub: HubServer) -> bytes:
        """The repositories of somebody, with the names of their files."""
        author = parse_qs(urlsplit(self.path).query).get("author", [""])[0]
        held: dict[str, list[dict[str, str]]] = {}
        for name in hub.files:
            owner, repository, file = name.split("/", 2)
            if owner == author:
                held.setdefault(f"{owner}/{repository}", []).append({"rfilename": file})
        found = [{"id": name, "siblings": files} for name, files in held.items()]
        return json.dumps(found).encode()

    def _answer(self, *, with_body: bool) -> None:
        hub = cast(HubServer, self.server)
        hub.requests.append(f"{self.command} {self.path}")
        key = self.path.removeprefix(STORE).removeprefix("/").replace("resolve/main/", "")
        headers = {"X-Repo-Commit": COMMIT} if hub.is_hub else {}
        status, body = hub.status, b""
        if with_body and not self.path.startswith("/api/") and hub.body_status != 200:
            status = hub.body_status
        if status == 200 and self.path.startswith("/api/models?"):
            body = self._found(hub)
        elif self.path.startswith("/api/models/"):
            # A repository's files.
            prefix = self.path.removeprefix("/api/models/").split("/tree/")[0] + "/"
            body = json.dumps(
                [
                    {"type": "file", "path": name.removeprefix(prefix), "size": 1, "oid": COMMIT}
                    for name in hub.files
                    if name.startswith(prefix)
                ]
            ).encode()
        elif status != 200:
            pass
        elif key in hub.files:
            body = hub.files[key]
            etag = f'"{sha256(body).hexdigest()}"'
            if key in hub.moved and not self.path.startswith(STORE):
                status, body = 302, b""
                headers |= {"Location": hub.endpoint + STORE + key, "X-Linked-Etag": etag}
                headers |= {"X-Linked-Size": str(len(hub.files[key]))}
            headers["ETag"] = etag
        else:
            repositories = {name.rsplit("/", 1)[0] for name in hub.files}
            is_known = key.rsplit("/", 1)[0] in repositories
            status = 404
            headers["X-Error-Code"] = "EntryNotFound" if is_known else "RepoNotFound"
        if status == 200 and (offset := self._offset()) and not hub.ignores_range:
            status, body = 206, hub.sent.get(key, body)[offset:]
        elif status == 200:
            body = hub.sent.get(key, body)
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            if body and hub.cut_after:
                body = body[: hub.cut_after.pop(0)]
            hold = hub.held_after if 0 < hub.held_after < len(body) else len(body)
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body[:hold])
                if hold < len(body):
                    hub.released.wait()
                    self.wfile.write(body[hold:])
            self.close_connection = True

    def _offset(self) -> int:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0


@contextmanager
def serving(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Generator[HubServer]:
    """Run a server, and keep huggingface_hub from what the environment says of the network."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    # It waits longer and longer between attempts.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    # Made anew, so that nothing of an earlier environment stays.
    huggingface_hub.close_session()
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
        huggingface_hub.close_session()
