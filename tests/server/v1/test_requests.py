import json

import pytest

from presets.limits import RequestLimits
from server.refusals import Refusal
from server.v1.requests import ChatAsk, CompletionAsk, read_ask

LIMITS = RequestLimits(messages=2, prompts=3)
HELLO = {"role": "user", "content": "Hello"}


def test_messages_and_prompts_are_counted_before_they_are_looked_at() -> None:
    with pytest.raises(Refusal, match="messages: 3 given, the limit is 2; send fewer"):
        read_ask(ChatAsk, json.dumps({"messages": [HELLO, 7, None]}).encode(), LIMITS)
    with pytest.raises(Refusal, match="prompt: 4 given, the limit is 3; send fewer"):
        read_ask(CompletionAsk, json.dumps({"prompt": ["a"] * 4}).encode(), LIMITS)


def test_as_many_as_the_limits_allow_are_taken_and_ids_are_one_prompt() -> None:
    chat = read_ask(ChatAsk, json.dumps({"messages": [HELLO] * 2}).encode(), LIMITS)
    assert len(chat.messages) == 2
    for prompt, count in ((["a"] * 3, 3), ([1, 2, 3, 4, 5], 1), ("a", 1)):
        ask = read_ask(CompletionAsk, json.dumps({"prompt": prompt}).encode(), LIMITS)
        assert len(ask.prompts) == count


def test_null_counts_as_left_out() -> None:
    names = (
        "model",
        "n",
        "stream",
        "stream_options",
        "max_tokens",
        "seed",
        "stop",
        "user",
        "tools",
    )
    body = {"messages": [HELLO], **dict.fromkeys(names)}
    assert read_ask(ChatAsk, json.dumps(body).encode(), LIMITS) == read_ask(
        ChatAsk, json.dumps({"messages": [HELLO]}).encode(), LIMITS
    )
    body = {"prompt": "a", "stream": True, "stream_options": {"include_usage": None}}
    ask = read_ask(CompletionAsk, json.dumps(body).encode(), LIMITS)
    assert ask.stream_options is not None
    assert not ask.stream_options.include_usage
    with pytest.raises(Refusal, match="messages: Field required"):
        read_ask(ChatAsk, json.dumps({"messages": None}).encode(), LIMITS)


@pytest.mark.parametrize("content", [None, 7, {"text": "a"}])
def test_a_refusal_names_the_field_and_no_form_of_it(content: object) -> None:
    body = {"messages": [{"role": "user", "content": content}]}
    with pytest.raises(Refusal) as caught:
        read_ask(ChatAsk, json.dumps(body).encode(), LIMITS)
    assert caught.value.error["param"] == "messages.0.content"


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]},
            r"messages\.0\.content\.1\.type: only text is read here; leave out parts",
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]},
            r"messages\.0: tool calls are not offered here; leave such messages out",
        ),
    ],
)
def test_what_a_message_cannot_hold_is_refused_for_what_it_is(
    message: dict[str, object], words: str
) -> None:
    with pytest.raises(Refusal, match=words):
        read_ask(ChatAsk, json.dumps({"messages": [message]}).encode(), LIMITS)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [([], "at least 1 item"), ([-5], "prompt.0: .* greater than or equal to 0")],
)
def test_a_prompt_is_refused_in_the_form_it_has(prompt: object, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        read_ask(CompletionAsk, json.dumps({"prompt": prompt}).encode(), LIMITS)
