"""The page's endpoints as a program sees them."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    made = Client(address, verbose=False)
    yield made
    made.close()


def test_only_these_endpoints_are_offered_and_they_explain_themselves(client: Client) -> None:
    offered = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(offered) == ["/chat", "/complete", "/score", "/snapshot", "/tokenise"]
    assert all(len(told["description"]) > 20 for told in offered.values())


def test_chat_answers_and_the_same_seed_answers_the_same(client: Client) -> None:
    ask = {"message": "Hi", "history": [["Hello", "Hi there"]], "seed": 3, "api_name": "/chat"}
    assert client.predict(**ask) == client.predict(**ask)


def test_complete_streams_text_that_grows(client: Client) -> None:
    job = client.submit(text="The cat", max_tokens=20, seed=1, api_name="/complete")
    last = job.result(timeout=50)
    texts = job.outputs()
    assert texts[-1] == last
    assert all(after.startswith(before) for before, after in pairwise(texts))


@pytest.mark.parametrize(
    ("text", "style", "says"),
    [("", "Balanced", "empty"), ("a\x00", "Balanced", "NUL"), ("a", "Loud", "choose one of")],
)
def test_bad_requests_get_one_sentence(client: Client, text: str, style: str, says: str) -> None:
    with pytest.raises(AppError, match=says):
        client.predict(text=text, style=style, api_name="/complete")
