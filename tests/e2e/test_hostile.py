"""A sample of what nobody should send; `python -m benchmarks.hostile` sends it all."""

from urllib.parse import urlsplit

from benchmarks.first_answer import is_served
from benchmarks.hostile import attack, malformed, uploads


def test_hostile_requests_get_one_clear_answer_each_and_the_page_lives_on(address: str) -> None:
    port = urlsplit(address).port or 0
    for requests in (malformed(120, 7), uploads(30, 7)):
        statuses, faults = attack(port, requests)
        assert faults == []
        assert len(statuses) > 1
    assert is_served(port)
