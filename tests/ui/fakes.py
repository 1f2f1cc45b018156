"""An engine without a model: it answers at once, the same words every time.

Its tokens are words with the blank before them, so ids, words and text are easy to follow.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import numpy as np

from rwkv_core.config import Choice, ModelConfig
from rwkv_core.engine import Engine
from rwkv_core.errors import HeldMemoryError, InputError, RwkvError
from rwkv_core.generate import Alternative, GenerationSettings, Token
from rwkv_core.limits import EngineLimits
from rwkv_core.state import Memory, State
from rwkv_core.streams import Reason, StreamResult, StreamStatus

ANSWER = (" Once", " there", " was", " a", " cat.")
CONFIG = ModelConfig("7", 256, 6, 192, 768, 3, 64)
MAX_TEXT = 1000


class FakeTokenizer:
    """Bytes as ids, moved by one: 0 ends a text."""

    name = "bytes"
    vocab_size = 257
    end_of_text = 0

    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i - 1 for i in ids if i).decode(errors="replace")


@dataclass
class FakeStream:
    """Says so often that it is reading, gives one token per look, then ends."""

    ids: tuple[int, ...]
    settings: GenerationSettings
    words: tuple[str, ...]
    error: RwkvError | None = None
    tokens_reused: int = 0
    result: StreamResult | None = None
    status: StreamStatus = StreamStatus("waiting", 1, 0, 1)
    cancelled: bool = False
    interval_s: float = 0.0
    looks_while_reading: int = 1
    kept: list[tuple[int, ...]] = field(default_factory=list)
    written: list[Token] = field(default_factory=list)

    def cancel(self) -> None:
        self.cancelled = True

    async def batches(self, interval_s: float = 0.05) -> AsyncIterator[list[Token]]:
        self.interval_s = interval_s
        try:
            for _ in range(self.looks_while_reading):
                yield []
            for word in self.words:
                if self.cancelled:
                    break
                self.status = StreamStatus("writing", 0, len(self.ids), len(self.ids))
                self.written.append(fake_token(word))
                yield self.written[-1:]
            self._finish()
            yield []
        finally:
            self.cancelled = True

    def _finish(self) -> None:
        reason: Reason = "cancelled" if self.cancelled else "stop"
        ids = tuple(token.id for token in self.written)
        self.kept += [self.ids, self.ids + ids]
        text = "".join(token.text for token in self.written)
        read = len(self.ids) - self.tokens_reused
        self.status = StreamStatus("done", 0, len(self.ids), len(self.ids))
        self.result = StreamResult(
            "error" if self.error else reason, self.error, ids, text, 7,
            self.tokens_reused, read, 0.01, 0.02, 0.1, 50.0,
        )  # fmt: skip


def fake_token(word: str) -> Token:
    """One token whose id is the word's first letter."""
    return Token(
        ord((word.strip() or word)[0]),
        word,
        -0.5,
        (Alternative(1, word, -0.5), Alternative(2, " <b>", -2.0)),
        (0.5, 0.25, 0.01, 0.0, 0.1, 0.9),
    )


def fake_memory(tokens: int) -> Memory:
    """An empty state that says how much it has read."""
    return Memory(State.zeros(CONFIG), tokens, np.zeros(CONFIG.vocab_size, np.float32))


class FakeEngine:
    """What the page asks of an engine.

    Attributes:
        words: the answer it gives.
        refusal: raised by the next submits, as a busy engine would.
        failure: ends streams early with this error.
        looks_while_reading: how often a stream is looked at before its first word.
        streams: every stream it made.
        dropped: sessions that are gone.
        held: memories by session and name.
        memories: what `read` has left, by session, root and ids.
        quiet: drafts it was asked to read.
    """

    limits = EngineLimits()

    def __init__(self) -> None:
        self.tokenizer = FakeTokenizer()
        self.model = SimpleNamespace(
            name="Pip <tiny>",
            fingerprint="ab" * 32,
            config=CONFIG,
            parameters=4_600_000,
            weight_bytes=9_200_000,
            choices={
                "device": Choice("cpu", "the CPU runs every model on every machine"),
                "dtype": Choice("float32", "fp32 rounds least"),
                "kernel": Choice("C++ AVX2", "compiled for this processor"),
            },
        )
        self.choices = self.model.choices | {"tokenizer": Choice("bytes <1>", "one id per byte")}
        self.words: tuple[str, ...] = ANSWER
        self.refusal: RwkvError | None = None
        self.failure: RwkvError | None = None
        self.looks_while_reading = 1
        self.streams: list[FakeStream] = []
        self.dropped: list[str] = []
        self.held: dict[tuple[str, str], Memory] = {}
        self.memories: dict[tuple[str, str, tuple[int, ...]], Memory] = {}
        self.quiet: list[tuple[int, ...]] = []
        self._kept: dict[str, list[tuple[int, ...]]] = {}

    def encode(self, text: str) -> list[int]:
        if not text or "\x00" in text:
            raise InputError("the text is empty or binary; paste plain text")
        if len(text) > MAX_TEXT:
            raise InputError(f"the text has {len(text)} characters, the limit is {MAX_TEXT}")
        return self.tokenizer.encode(text)

    def submit(
        self,
        session_id: str,
        ids: Sequence[int],
        settings: GenerationSettings,
        *,
        alternatives: int = 0,
        root: str = "",
        keep_every: int = 0,
        tells_change: bool = False,
    ) -> FakeStream:
        if self.refusal is not None:
            raise self.refusal
        if root and (session_id, root) not in self.held:
            raise HeldMemoryError("the memory that this text begins from is no longer held here")
        kept = self._kept.setdefault(session_id, [])
        known = [k for k in kept if tuple(ids[: len(k)]) == k]
        stream = FakeStream(
            tuple(ids), settings, self.words, self.failure, max(map(len, known), default=0)
        )
        stream.kept, stream.looks_while_reading = kept, self.looks_while_reading
        self.streams.append(stream)
        return stream

    def kept_length(self, session_id: str, ids: Sequence[int], *, root: str = "") -> int:
        kept = self._kept.get(session_id, [])
        return max((len(k) for k in kept if tuple(ids[: len(k)]) == k), default=0)

    def forget(self) -> None:
        """Lose all memories, as a full store would."""
        self._kept.clear()

    def read(
        self, session_id: str, ids: Sequence[int], *, root: str = "", is_quiet: bool = False
    ) -> FakeStream:
        words, self.words = self.words, ()
        stream = self.submit(session_id, ids, GenerationSettings(), root=root)
        self.words = words
        if is_quiet:
            self.quiet.append(tuple(ids))
        self.memories[session_id, root, tuple(ids)] = fake_memory(len(ids))
        return stream

    def hold(self, session_id: str, memory: Memory) -> str:
        root = memory.key()
        self.held[session_id, root] = memory
        return root

    def release(self, session_id: str, root: str) -> None:
        del self.held[session_id, root]

    def memory_at(self, session_id: str, ids: Sequence[int], *, root: str = "") -> Memory | None:
        if root and (session_id, root) not in self.held:
            raise HeldMemoryError("the memory that this text begins from is no longer held here")
        if root and not ids:
            return self.held[session_id, root]
        return self.memories.get((session_id, root, tuple(ids)))

    def drop_session(self, session_id: str) -> None:
        self.dropped.append(session_id)


def as_engine(fake: FakeEngine) -> Engine:
    """The fake, as the type the page is written for."""
    return cast(Engine, fake)
