"""The address /v1 as OpenAI's own client sees it, on the whole program."""

import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

ASK: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are Pip."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi there."},
    {"role": "user", "content": "Tell me a story"},
]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    (only,) = client.models.list().data
    assert client.models.retrieve(only.id).id == only.id
    return only.id


def test_a_chat_is_answered_whole_or_in_parts_with_the_same_words(
    client: openai.OpenAI, model: str
) -> None:
    whole = client.chat.completions.create(model=model, messages=ASK, seed=5, max_tokens=20)
    parts = client.chat.completions.create(
        model=model,
        messages=ASK,
        seed=5,
        max_tokens=20,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, reasons, usage = "", [], None
    for part in parts:
        usage = part.usage or usage
        text += "".join(choice.delta.content or "" for choice in part.choices)
        reasons += [c.finish_reason for c in part.choices if c.finish_reason]
    assert text == whole.choices[0].message.content != ""
    assert reasons == [whole.choices[0].finish_reason]
    assert usage is not None
    assert whole.usage is not None
    assert usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.completion_tokens <= 20


def test_several_answers_have_seeds_of_their_own_and_repeat(
    client: openai.OpenAI, model: str
) -> None:
    def ask() -> list[str]:
        made = client.completions.create(
            model=model, prompt="Once", n=3, seed=1, max_tokens=12, temperature=1
        )
        return [choice.text for choice in made.choices]

    first = ask()
    assert ask() == first
    assert len(set(first)) > 1


def test_a_stop_string_ends_the_text_and_does_not_show(client: openai.OpenAI, model: str) -> None:
    ask = {"model": model, "prompt": "Once", "max_tokens": 30, "seed": 2}
    whole = client.completions.create(**ask).choices[0].text  # type: ignore[call-overload]
    stop = whole[8:10]
    cut = client.completions.create(**ask, stop=[stop]).choices[0]  # type: ignore[call-overload]
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_probabilities_come_with_every_token(client: openai.OpenAI, model: str) -> None:
    made = client.chat.completions.create(
        model=model, messages=ASK, max_tokens=4, logprobs=True, top_logprobs=3, temperature=0
    )
    told = made.choices[0].logprobs
    assert told is not None
    assert told.content
    for token in told.content:
        assert token.logprob <= 0
        assert token.top_logprobs[0].token == token.token
    text = client.completions.create(model=model, prompt="Once", max_tokens=4, logprobs=2)
    listed = text.choices[0].logprobs
    assert listed is not None
    assert listed.tokens
    assert "".join(listed.tokens) == text.choices[0].text


def test_a_conversation_with_a_cache_key_is_not_read_again(
    client: openai.OpenAI, model: str
) -> None:
    def cached(key: str) -> int | None:
        made = client.chat.completions.create(
            model=model, messages=ASK, max_tokens=2, prompt_cache_key=key
        )
        assert made.usage is not None
        assert made.usage.prompt_tokens_details is not None
        return made.usage.prompt_tokens_details.cached_tokens

    assert cached("mine") == 0
    assert cached("mine") != 0
    assert cached("another") == 0


def test_more_requests_of_one_name_than_run_at_once_wait_in_line(
    client: openai.OpenAI, model: str
) -> None:
    def ask(seed: int) -> str:
        made = client.completions.create(
            model=model, prompt="Once", max_tokens=40, user="me", seed=seed
        )
        return made.choices[0].text

    with ThreadPoolExecutor(20) as pool:
        texts = list(pool.map(ask, range(20)))
    assert texts[:3] == [ask(seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "is not here"),
        ({"temperature": 99}, openai.BadRequestError, "temperature is 99"),
        ({"n": 1000}, openai.BadRequestError, "limit is 8"),
        ({"max_tokens": 10**9}, openai.BadRequestError, "4096"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, openai.BadRequestError, "empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, openai.BadRequestError, "user"),
        ({"stop": ["a"] * 5}, openai.BadRequestError, "limit is 4"),
        ({"extra_body": {"tools": [{}]}}, openai.BadRequestError, "tools is not offered"),
        ({"logprobs": True, "top_logprobs": 11}, openai.BadRequestError, "choose 0 to 10"),
    ],
)
def test_what_cannot_be_done_is_said_in_openais_form(
    client: openai.OpenAI,
    model: str,
    fields: dict[str, object],
    error: type[openai.APIStatusError],
    says: str,
) -> None:
    with pytest.raises(error, match=says) as caught:
        client.chat.completions.create(**({"model": model, "messages": ASK} | fields))  # type: ignore[call-overload]
    assert caught.value.type == "invalid_request_error"


def running_texts(address: str) -> int:
    with urllib.request.urlopen(f"{address}metrics", timeout=5) as answer:
        found = re.search(r"^rwkv_texts_running (\d+)", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_caller_that_hangs_up_frees_its_slot_within_a_second(
    address: str, model: str, is_streamed: bool
) -> None:
    ask = {
        "model": model, "prompt": "x y " * 40_000, "max_tokens": 4000, "stream": is_streamed,
    }  # fmt: skip
    body = json.dumps(ask).encode()
    where = urlsplit(address)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        limit = time.monotonic() + 20
        while running_texts(address) == 0 and time.monotonic() < limit:
            time.sleep(0.02)
        assert running_texts(address) == 1
    left = time.monotonic()
    while running_texts(address) and time.monotonic() < left + 10:
        time.sleep(0.02)
    # A second, and what a busy machine may add to it.
    assert time.monotonic() - left < 3
