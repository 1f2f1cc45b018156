"""Answers in OpenAI's form: the same words whole and in parts, whatever tokens they are made of."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from rwkv_core.generate import Alternative, Token
from rwkv_core.streams import Stream, StreamResult
from rwkv_core.tokenizer import WorldTokenizer
from server.v1.answers import Answer, parts

TOKENIZER = WorldTokenizer()
BLANK, HI = (TOKENIZER.encode(text)[0] for text in (" ", " Hi"))
# World's first ids are single bytes, from 1 on.
HALF, OTHER_HALF = 1 + 0xF0, 1 + 0xE6


def token(number: int, text: str, *likely: int) -> Token:
    alternatives = tuple(
        Alternative(other, TOKENIZER.decode([other]), -float(place))
        for place, other in enumerate(likely)
    )
    return Token(number, text, -1.0, alternatives)


class FakeStream:
    """Gives batches, and has ended."""

    def __init__(self, *given: list[Token]) -> None:
        self._given = given
        ids = tuple(token.id for batch in given for token in batch)
        text = "".join(token.text for batch in given for token in batch)
        self.result = StreamResult("stop", None, ids, text, 1, 0, 1, 0.0, 0.0, 0.0, 0.0)

    async def batches(self) -> AsyncIterator[list[Token]]:
        for batch in self._given:
            yield batch

    def cancel(self) -> None:
        """Nothing runs."""


def answer(*, is_chat: bool) -> Answer:
    return Answer(is_chat, "world", "rwkv-0", TOKENIZER, with_logprobs=True)


def choices_of(answer: Answer, stream: FakeStream) -> list[dict[str, Any]]:
    async def read() -> list[bytes]:
        made = parts(answer, [cast(Stream, stream)], with_usage=False, end=lambda: None)
        return [part async for part in made]

    *events, done = asyncio.run(read())
    assert done == b"data: [DONE]\n\n"
    return [json.loads(event.removeprefix(b"data: "))["choices"][0] for event in events]


def test_blanks_before_an_answer_are_left_out_of_parts_as_of_the_whole() -> None:
    batches = [[token(BLANK, " ")], [token(BLANK, " "), token(HI, " Hi")], [token(BLANK, " ")]]
    stream = FakeStream(*batches)
    shown = choices_of(answer(is_chat=True), stream)
    text = "".join(choice["delta"].get("content", "") for choice in shown)
    every = [token for batch in batches for token in batch]
    whole = answer(is_chat=True).whole([stream.result], [every])["choices"][0]
    assert text == whole["message"]["content"] == "Hi "
    told = [one for choice in shown if choice["logprobs"] for one in choice["logprobs"]["content"]]
    assert told == whole["logprobs"]["content"]
    for one in told:
        assert bytes(one["bytes"]).decode() == one["token"]


def test_a_text_that_goes_on_keeps_its_blanks() -> None:
    stream = FakeStream([token(BLANK, " ")], [token(HI, " Hi")])
    shown = choices_of(answer(is_chat=False), stream)
    assert "".join(choice["text"] for choice in shown) == "  Hi"
    assert [choice["logprobs"]["text_offset"] for choice in shown[:2]] == [[0], [1]]


def test_likely_parts_of_characters_have_names_of_their_own() -> None:
    made = answer(is_chat=False).logprobs([token(HI, " Hi", HALF, HI, OTHER_HALF)], 0)
    assert made is not None
    assert made["top_logprobs"] == [{"bytes:\\xf0": 0.0, " Hi": -1.0, "bytes:\\xe6": -2.0}]
