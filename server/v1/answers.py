"""Answers of the engine in the form that OpenAI's clients read."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rwkv_core.errors import (
    EngineBusyError,
    EngineClosedError,
    InputError,
    RwkvError,
    SettingsError,
    TokenizerError,
)
from rwkv_core.generate import Alternative, Token
from rwkv_core.streams import Stream, StreamResult
from rwkv_core.tokenizer import Tokenizer
from server.refusals import Refusal

_FINISHED = {"stop": "stop", "end_of_text": "stop"}
# JSON has no infinity; OpenAI writes the same number.
_IMPOSSIBLE = -9999.0


def as_refusal(error: RwkvError) -> Refusal:
    """Say an error of the engine with HTTP's status."""
    if isinstance(error, EngineBusyError):
        return Refusal(503, str(error), "engine_busy", retry_after_s=2)
    if isinstance(error, EngineClosedError):
        return Refusal(503, str(error), "restarting", retry_after_s=60)
    if isinstance(error, InputError | SettingsError | TokenizerError):
        return Refusal(400, str(error), "invalid_value")
    return Refusal(500, str(error), "engine_failed")


@dataclass(frozen=True)
class Answer:
    """What every part of one response repeats, and how it is written.

    Attributes:
        is_chat: a conversation, or a text to go on from.
        model: the model's name.
        fingerprint: of its weights.
        tokenizer: gives tokens' bytes.
        with_logprobs: whether probabilities are told.
        n: answers to each prompt.
        id: of the response.
        created: when, in seconds since 1970.
    """

    is_chat: bool
    model: str
    fingerprint: str
    tokenizer: Tokenizer
    with_logprobs: bool
    n: int = 1
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, *, is_part: bool) -> dict[str, Any]:
        """The fields before the choices."""
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if self.is_chat else 'cmpl'}-{self.id}",
            "object": f"{kind}.chunk" if is_part and self.is_chat else kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def part(self, index: int, text: str, tokens: Sequence[Token], at: int) -> dict[str, Any]:
        """Some tokens of one choice.

        Args:
            index: which choice.
            text: what they add to it.
            tokens: the new ones.
            at: characters of the choice before them.
        """
        choice: dict[str, Any] = {"index": index, "finish_reason": None}
        choice |= {"delta": {"content": text}} if self.is_chat else {"text": text}
        choice["logprobs"] = self.logprobs(tokens, at)
        return {**self.head(is_part=True), "choices": [choice]}

    def role(self, index: int) -> dict[str, Any]:
        """The first part of a choice of a conversation."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return {**self.head(is_part=True), "choices": [choice]}

    def end(self, index: int, result: StreamResult) -> dict[str, Any]:
        """The last part of a choice."""
        choice: dict[str, Any] = {"index": index, "finish_reason": finish_reason(result)}
        choice |= dict[str, Any](delta={}) if self.is_chat else {"text": ""}
        choice |= {"logprobs": None, "seed": result.seed}
        return {**self.head(is_part=True), "choices": [choice]}

    def whole(
        self, results: Sequence[StreamResult], tokens: Sequence[Sequence[Token]]
    ) -> dict[str, Any]:
        """The whole response at once."""
        choices = []
        for index, result in enumerate(results):
            choice: dict[str, Any] = {"index": index, "finish_reason": finish_reason(result)}
            if self.is_chat:
                text = result.text.lstrip()
                choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            else:
                choice["text"] = result.text
            choice["logprobs"] = self.logprobs(tokens[index], 0)
            choice["seed"] = result.seed
            choices.append(choice)
        return {**self.head(is_part=False), "choices": choices, "usage": self.usage(results)}

    def logprobs(self, tokens: Sequence[Token], at: int) -> dict[str, Any] | None:
        """Probabilities of tokens, where they are wanted."""
        if not self.with_logprobs:
            return None
        if self.is_chat:
            return {"content": [self._chat_logprob(token) for token in tokens], "refusal": None}
        offsets, end = [], at
        for token in tokens:
            offsets.append(end)
            end += len(token.text)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [_finite(token.logprob) for token in tokens],
            "top_logprobs": [
                {self._key(other): _finite(other.logprob) for other in token.alternatives}
                for token in tokens
            ],
            "text_offset": offsets,
        }

    def usage(self, results: Sequence[StreamResult]) -> dict[str, Any]:
        """Tokens read and written; a prompt counts once however many answers it got."""
        asked = results[:: self.n]
        prompt = sum(result.tokens_read + result.tokens_reused for result in asked)
        written = sum(len(result.generated_ids) for result in results)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {
                "cached_tokens": sum(result.tokens_reused for result in asked)
            },
        }

    def _chat_logprob(self, token: Token) -> dict[str, Any]:
        likely = [self._one(other.id, other.text, other.logprob) for other in token.alternatives]
        return {**self._one(token.id, token.text, token.logprob), "top_logprobs": likely}

    def _key(self, token: Alternative) -> str:
        """Name a token by its text, or as OpenAI does by its bytes: parts of characters look alike."""
        data = self.tokenizer.token_bytes(token.id)
        try:
            return data.decode() and token.text
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    def _one(self, token: int, text: str, logprob: float) -> dict[str, Any]:
        data = list(self.tokenizer.token_bytes(token))
        return {"token": text, "logprob": _finite(logprob), "bytes": data}


def finish_reason(result: StreamResult) -> str:
    """OpenAI's word for why an answer ended; whatever cut it short is "length"."""
    return _FINISHED.get(result.reason, "length")


async def merged(streams: Sequence[Stream]) -> AsyncGenerator[tuple[int, list[Token]]]:
    """Yield (which, tokens) as any of the streams gives some; leaving it ends them all."""
    news: asyncio.Queue[tuple[int, list[Token]] | None] = asyncio.Queue(maxsize=64)

    async def follow(index: int, stream: Stream) -> None:
        async for tokens in stream.batches():
            if tokens:
                await news.put((index, tokens))
        await news.put(None)

    tasks = [asyncio.create_task(follow(i, stream)) for i, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            item = await news.get()
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for stream in streams:
            stream.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def parts(
    answer: Answer, streams: Sequence[Stream], *, with_usage: bool, end: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """Write a response part by part, as server-sent events.

    Args:
        answer: how it is written.
        streams: one per choice.
        with_usage: whether the last part counts tokens.
        end: called at the end, also when the reader has gone.
    """
    lengths, has_begun = [0] * len(streams), [not answer.is_chat] * len(streams)
    try:
        if answer.is_chat:
            for index in range(len(streams)):
                yield _event(answer.role(index))
        async for index, tokens in merged(streams):
            text = "".join(token.text for token in tokens)
            # As of a whole answer.
            shown = text if has_begun[index] else text.lstrip()
            has_begun[index] |= bool(shown)
            yield _event(answer.part(index, shown, tokens, lengths[index]))
            lengths[index] += len(text)
        results = [result_of(stream) for stream in streams]
        for index, result in enumerate(results):
            yield _event(answer.end(index, result))
        if with_usage:
            usage = {"choices": [], "usage": answer.usage(results)}
            yield _event({**answer.head(is_part=True), **usage})
    except RwkvError as error:
        yield _event({"error": as_refusal(error).error})
    finally:
        end()
    yield b"data: [DONE]\n\n"


def result_of(stream: Stream) -> StreamResult:
    """How a stream ended.

    Raises:
        RwkvError: the model failed.
    """
    result = stream.result
    assert result is not None
    if result.error is not None:
        raise result.error
    return result


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _finite(logprob: float) -> float:
    return max(logprob, _IMPOSSIBLE)
