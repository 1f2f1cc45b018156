"""The token loop: read ids, write tokens, show text only when it is settled.

Text is settled when its UTF-8 is whole and it cannot become part of a stop string. The pieces
(`make_token`, `TextAssembler`) also serve the engine, which runs many loops at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from torch import Tensor

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.sampling import (
    Logits,
    Penalties,
    SamplingSettings,
    Weighed,
    draw_seed,
    most_likely,
    sample,
    weigh,
)
from rwkv_core.state import State
from rwkv_core.tokenizer import StreamDecoder, Tokenizer

MAX_STOP_STRINGS = 8
MAX_STOP_LENGTH = 64


class LanguageModel(Protocol):
    """The part of a model that writing text needs."""

    def forward(self, tokens: list[int], state: State | None = None) -> tuple[Tensor, State]:
        """Read tokens; logits (1, V) float32 after the last, and the new state."""
        ...

    def prefill(
        self, tokens: list[int], state: State | None = None, *, chunk_tokens: int = 256
    ) -> tuple[Tensor, State]:
        """Read many tokens in constant memory; logits (1, V) float32 and the new state."""
        ...


@dataclass(frozen=True)
class GenerationSettings:
    """How tokens are chosen and when to stop.

    Attributes:
        sampling: how each token is chosen.
        max_tokens: 1 or more; an engine has a limit, see `EngineLimits`.
        stop: at most 8 strings of 1 to 64 characters that end the text; never shown.
        stop_tokens: ids that end the text; never shown.

    Raises:
        SettingsError: a value is outside its range.
    """

    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise SettingsError(
                "max_tokens is {value}, but must be 1 or more; choose how long the answer may be",
                value=self.max_tokens,
            )
        # A string is a sequence of strings too, each of one letter.
        given: object = self.stop
        if isinstance(given, str):
            raise SettingsError(
                "stop is the one string {value!r}; give a tuple of strings, such as ({value!r},)",
                value=given[:64],
            )
        if len(self.stop) > MAX_STOP_STRINGS:
            raise SettingsError(
                "{count} stop strings given, the limit is {limit}; remove some",
                count=len(self.stop),
                limit=MAX_STOP_STRINGS,
            )
        for text in self.stop:
            if not 1 <= len(text) <= MAX_STOP_LENGTH:
                raise SettingsError(
                    "a stop string has {count} characters, but must have 1 to {limit}; "
                    "shorten it or leave it out",
                    count=len(text),
                    limit=MAX_STOP_LENGTH,
                )


@dataclass(frozen=True)
class Alternative:
    """A token that could have been chosen; logprob in nats, before any settings."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True)
class Token:
    """One written token.

    Attributes:
        id: the token.
        text: what it adds to the shown text; "" while a character is incomplete.
        logprob: the model's own log probability of it, nats, before any settings.
        alternatives: the most likely tokens at this place, best first.
        change: per layer ||S_t - S_{t-1}|| / ||S_{t-1}||; empty where nobody asked.
    """

    id: int
    text: str
    logprob: float
    alternatives: tuple[Alternative, ...] = ()
    change: tuple[float, ...] = ()


def make_token(
    token: int, scores: Logits | Weighed, tokenizer: Tokenizer, *, alternatives: int = 0
) -> Token:
    """Describe a chosen token; its text stays "" until a TextAssembler settles it.

    Args:
        token: the chosen id.
        scores: logits (V,) float32 it was chosen from, without penalties.
        tokenizer: gives the alternatives' texts.
        alternatives: how many of the most likely tokens to list.
    """
    weighed = scores if isinstance(scores, Weighed) else weigh(scores)
    likely = most_likely(weighed.logits, alternatives).tolist() if alternatives else []
    return Token(
        token,
        "",
        weighed.log_prob(token),
        tuple(Alternative(i, tokenizer.decode([i]), weighed.log_prob(i)) for i in likely),
    )


class TextAssembler:
    """Turns written tokens into shown text: whole characters only, and no stop strings.

    Tokens come back once their text is settled; they are held while a character is incomplete
    or the text could be the beginning of a stop string.

    Attributes:
        text: all text given out so far.
        ids: ids that decode to `text`; a token that a stop string cuts is encoded anew.
        is_stopped: whether a stop string was met; nothing may be fed after it.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...] = ()) -> None:
        self.text = ""
        self.ids: tuple[int, ...] = ()
        self.is_stopped = False
        self._tokenizer = tokenizer
        self._stop = stop
        self._decoder = StreamDecoder(tokenizer)
        # Each with its own text, and whether no character goes on in the next token.
        self._held: list[tuple[Token, bool]] = []

    @property
    def is_holding(self) -> bool:
        """Whether tokens wait for their text to be settled."""
        return bool(self._held)

    def feed(self, token: Token) -> list[Token]:
        """Add a token; the `text` it comes with is ignored.

        Returns:
            The tokens that are settled now, in order, with their text; perhaps none.
        """
        text = self._decoder.feed(token.id)
        self._held.append((replace(token, text=text), self._decoder.is_whole))
        return self._settle(is_last=False)

    def finish(self) -> list[Token]:
        """End the text: give out what is held, an incomplete character as U+FFFD."""
        if not self._held:
            return []
        token, _ = self._held[-1]
        self._held[-1] = (replace(token, text=token.text + self._decoder.flush()), True)
        return self._settle(is_last=True)

    def _settle(self, *, is_last: bool) -> list[Token]:
        text = "".join(token.text for token, _ in self._held)
        # Where each stop string ends and starts; the one that is complete first counts, so that
        # it does not matter how the text is cut into tokens.
        matches = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        limit = len(text) if is_last else self._stop_may_start(text)
        if matches:
            limit = min(matches)[1]
        count = settled_end = end = 0
        for index, (token, is_whole) in enumerate(self._held):
            end += len(token.text)
            if end <= limit and is_whole:
                count, settled_end = index + 1, end
        settled = [token for token, _ in self._held[:count]]
        self.ids += tuple(token.id for token in settled)
        if matches:
            self.is_stopped = True
            if cut := text[settled_end:limit]:
                settled.append(replace(self._held[count][0], text=cut))
                self.ids += tuple(self._tokenizer.encode(cut))
            count = len(self._held)
        del self._held[:count]
        self.text += "".join(token.text for token in settled)
        return settled

    def _stop_may_start(self, text: str) -> int:
        """Find where a stop string may have begun that the text does not complete yet."""
        first = max(0, len(text) - MAX_STOP_LENGTH)
        for at in range(first, len(text)):
            if any(stop.startswith(text[at:]) for stop in self._stop):
                return at
        return len(text)


@dataclass(frozen=True, eq=False)
class GenerationResult:
    """How a generation ended.

    Attributes:
        reason: "stop" for a stop string, "end_of_text" for a stop token, "length" for
            max_tokens.
        text: the shown text.
        ids: the ids it decodes from.
        state: the model's state after prompt and ids; the next text goes on from here.
    """

    reason: Literal["stop", "end_of_text", "length"]
    text: str
    ids: tuple[int, ...]
    state: State


class Generation:
    """An iterator over one generation's tokens, which are written as they are taken.

    Attributes:
        seed: the seed in use, drawn at random where the settings name none.
        result: how it ended; None until the last token has been taken.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        ids: Sequence[int],
        settings: GenerationSettings,
        state: State | None,
        *,
        alternatives: int,
        chunk_tokens: int,
    ) -> None:
        seed = settings.sampling.seed
        self.seed = draw_seed() if seed is None else seed
        self.result: GenerationResult | None = None
        self._model, self._tokenizer, self._settings = model, tokenizer, settings
        self._alternatives = alternatives
        self._tokens = self._write([int(token) for token in ids], state, chunk_tokens)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        return next(self._tokens)

    def _write(self, ids: list[int], state: State | None, chunk_tokens: int) -> Iterator[Token]:
        sampling = self._settings.sampling
        assembler = TextAssembler(self._tokenizer, self._settings.stop)
        penalties = Penalties(sampling, self._tokenizer)
        reason: Literal["stop", "end_of_text", "length"] = "length"
        logits, state = self._model.prefill(ids, state, chunk_tokens=chunk_tokens)
        # The state after the settled ids: held ones may turn out to be a stop string.
        settled, settled_count = state, 0
        for position in range(len(ids), len(ids) + self._settings.max_tokens):
            row = weigh(logits[0].cpu().numpy())
            token = sample(row, sampling, seed=self.seed, position=position, penalties=penalties)
            if token in self._settings.stop_tokens:
                reason = "end_of_text"
                break
            yield from assembler.feed(
                make_token(token, row, self._tokenizer, alternatives=self._alternatives)
            )
            if assembler.is_stopped:
                break
            penalties = penalties.after(token)
            logits, state = self._model.forward([token], state)
            if not assembler.is_holding:
                settled, settled_count = state, len(assembler.ids)
        yield from assembler.finish()
        if assembler.is_stopped:
            reason = "stop"
        if unread := list(assembler.ids[settled_count:]):
            _, settled = self._model.forward(unread, settled)
        self.result = GenerationResult(reason, assembler.text, assembler.ids, settled)


def generate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    settings: GenerationSettings,
    state: State | None = None,
    *,
    alternatives: int = 0,
    chunk_tokens: int = 256,
) -> Generation:
    """Continue a text.

    Args:
        model: reads ids and gives logits.
        tokenizer: the vocabulary of that model.
        ids: text to continue, at least one token.
        settings: how tokens are chosen and when to stop.
        state: memory before ids, not changed; None for an empty one.
        alternatives: how many of the most likely tokens each Token lists.
        chunk_tokens: how many ids are read at once; less takes less memory.

    Returns:
        An iterator over tokens; afterwards its `result` holds text, ids and state.

    Raises:
        InputError: ids are empty.
    """
    # Arrays and tensors too, which have no truth value.
    if len(ids) == 0:
        raise InputError(
            "there are 0 tokens to continue; give at least one, for example the tokenizer's "
            "end_of_text, which begins a new text"
        )
    return Generation(
        model,
        tokenizer,
        ids,
        settings,
        state,
        alternatives=alternatives,
        chunk_tokens=chunk_tokens,
    )
