import pytest

from benchmarks.hostile import Hostile, fault_of, malformed, uploads

ASKED = Hostile("POST", "/", b"", {})


def test_the_same_seed_makes_the_same_requests() -> None:
    assert list(malformed(50, 1)) == list(malformed(50, 1)) != list(malformed(50, 2))
    assert list(uploads(20, 1)) == list(uploads(20, 1))


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"nothing here", ""), (503, b"busy", ""), (200, b"", ""), (500, b"x", "status 500"),
        (404, b"", "0 bytes"), (422, b"x" * 9999, "9999 bytes"), (200, b"Traceback (most", "tells"),
        (200, b"root:x:0:0", "tells"),
    ],
)  # fmt: skip
def test_an_answer_is_short_says_something_and_is_no_fault_of_the_server(
    status: int, body: bytes, says: str
) -> None:
    found = fault_of(ASKED, status, body)
    assert says in found
    assert bool(found) == bool(says)
