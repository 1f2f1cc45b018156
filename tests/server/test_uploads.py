import asyncio
import json

import pytest
from starlette.datastructures import Headers

from server.refusals import Refusal
from server.uploads import check_upload

LIMIT = 2000


def safetensors(header: bytes = b'{"__metadata__":{}}', length: int | None = None) -> bytes:
    size = len(header) if length is None else length
    return size.to_bytes(8, "little") + header


def form(*files: tuple[str, bytes], boundary: str = "edge") -> bytes:
    parts = b""
    for name, data in files:
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += f"--{boundary}\r\n{head}".encode() + data + b"\r\n"
    return parts + f"--{boundary}--\r\n".encode()


def check(body: bytes, kind: str = "multipart/form-data; boundary=edge") -> None:
    asyncio.run(check_upload(Headers({"content-type": kind}), body, LIMIT))


def test_memories_and_chats_that_were_saved_here_are_taken() -> None:
    check(form(("memory.safetensors", safetensors() + b"\0" * 100)))
    check(form(("chats.JSON", b' {"chats": []}')))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--edge\r\nno",
        form(),
        form(("a.json", b"{}"), ("b.json", b"{}")),
        form(("a.html", b"<script>")),
        form(("a.json", b"<script>")),
        form(("a.pth", safetensors())),
        form(("a.safetensors", b"")),
        form(("a.safetensors", b"PK\x03\x04" + b"\0" * 60)),
        form(("a.safetensors", safetensors(length=2**63))),
        form(("a.safetensors", safetensors(length=10**6))),
        form(("a.safetensors", safetensors(b"[1,2,3]"))),
        form(("a.safetensors", safetensors(b"[" * 1900))),
        form(("a.json", json.dumps({"a": "x" * LIMIT}).encode())),
    ],
)
def test_anything_else_is_refused_in_one_sentence(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        check(body)
    assert caught.value.status in (400, 413)


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/x"])
def test_only_a_form_is_an_upload(kind: str) -> None:
    with pytest.raises(Refusal):
        check(form(("a.json", b"{}")), kind)
