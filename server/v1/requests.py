"""What a program may ask for under /v1, checked before anything is done with it."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from presets import SamplingPreset
from presets.limits import RequestLimits
from rwkv_core.generate import MAX_STOP_LENGTH, GenerationSettings
from rwkv_core.sampling import SamplingSettings
from server.refusals import Refusal

# What this server cannot do; left alone a program would think it was done.
_NOT_OFFERED = (
    "tools", "functions", "tool_choice", "function_call", "logit_bias", "suffix", "best_of",
    "audio", "modalities", "prediction", "web_search_options",
)  # fmt: skip

# Faults of the forms that a field of several does not have.
_OTHER_FORMS = ("string_type", "list_type", "int_type")

Text = Annotated[str, StringConstraints(strict=True)]
Ids = Annotated[list[Annotated[int, Field(strict=True, ge=0, lt=2**31)]], Field(min_length=1)]


class TextPart(BaseModel):
    """One part of a message; pictures and sounds are refused."""

    type: Literal["text"]
    text: Text

    @field_validator("type", mode="before")
    @classmethod
    def _text_alone(cls, value: object) -> object:
        if value != "text":
            raise ValueError("only text is read here; leave out parts of another type")
        return value


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]

    @model_validator(mode="before")
    @classmethod
    def _without_tools(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("tool_calls"):
            raise ValueError("tool calls are not offered here; leave such messages out")
        return data

    @property
    def text(self) -> str:
        """All its words."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class _Given(BaseModel):
    """Fields of which null counts as left out, as clients send it for what they have no wish for."""

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


class StreamOptions(_Given):
    """What a stream tells besides its words."""

    include_usage: bool = False


class Ask(_Given):
    """The settings that both kinds of request share."""

    model_config = ConfigDict(extra="allow")

    model: Text = ""
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int = Field(1, ge=1)
    seed: int | None = None
    stop: Text | list[Text] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Text | None = None
    prompt_cache_key: Text | None = None

    @model_validator(mode="after")
    def _refuse_what_is_not_offered(self) -> "Ask":
        extra = self.model_extra or {}
        for name in _NOT_OFFERED:
            if extra.get(name) not in (None, [], {}, "none", "auto", 1, "text", ["text"]):
                raise ValueError(f"{name} is not offered here; leave it out")
        form = extra.get("response_format")
        if form is not None and form != {"type": "text"}:
            raise ValueError("response_format is not offered here; leave it out")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        return (
            ()
            if self.stop is None
            else (self.stop,)
            if isinstance(self.stop, str)
            else tuple(self.stop)
        )


class ChatAsk(Ask):
    """A request of /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    @field_validator("messages", mode="before")
    @classmethod
    def _few_messages(cls, value: object, info: ValidationInfo) -> object:
        """Count before each is looked at, which would hold the server."""
        assert info.context is not None
        return _few(value, info.context.messages)

    @property
    def alternatives(self) -> int | None:
        """How many likely tokens to list; None when no probabilities are wanted."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionAsk(Ask):
    """A request of /v1/completions."""

    prompt: Text | Ids | Annotated[list[Text | Ids], Field(min_length=1)]
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: Literal[False] | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _few_prompts(cls, value: object, info: ValidationInfo) -> object:
        """Count before each is looked at; numbers are the ids of one."""
        assert info.context is not None
        is_one = isinstance(value, list) and bool(value) and isinstance(value[0], int)
        return value if is_one else _few(value, info.context.prompts)

    @property
    def alternatives(self) -> int | None:
        """How many likely tokens to list; None when no probabilities are wanted."""
        return self.logprobs

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every text to go on from."""
        prompt: Any = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        return [prompt] if isinstance(prompt[0], int) else prompt


def _few(value: object, limit: int) -> object:
    if isinstance(value, list) and len(value) > limit:
        raise ValueError(f"{len(value)} given, the limit is {limit}; send fewer")
    return value


AskT = TypeVar("AskT", bound=Ask)


def read_ask(kind: type[AskT], body: bytes, limits: RequestLimits) -> AskT:
    """Read a request.

    Raises:
        Refusal: it is no JSON, or a field is missing, of another kind, or out of range.
    """
    try:
        ask = kind.model_validate_json(body, context=limits)
    except ValidationError as error:
        raise _as_refusal(error) from None
    if ask.n > limits.samples:
        raise Refusal(
            400, f"n is {ask.n}, the limit is {limits.samples}; ask for fewer answers",
            "out_of_range", param="n",
        )  # fmt: skip
    if len(ask.stops) > limits.stop_strings:
        raise Refusal(
            400, f"{len(ask.stops)} stop strings given, the limit is {limits.stop_strings}; "
            "remove some", "out_of_range", param="stop",
        )  # fmt: skip
    for text in ask.stops:
        if not 1 <= len(text) <= MAX_STOP_LENGTH:
            raise Refusal(
                400, f"a stop string has {len(text)} characters, but must have 1 to "
                f"{MAX_STOP_LENGTH}; shorten it or leave it out", "out_of_range", param="stop",
            )  # fmt: skip
    return ask


def _as_refusal(error: ValidationError) -> Refusal:
    """Say the first fault, in one sentence, without repeating what was sent."""
    faults: list[Any] = error.errors(include_url=False, include_input=False)
    # Of a field with several forms those that it has not are named first, and say nothing.
    fault = next((one for one in faults if one["type"] not in _OTHER_FORMS), faults[0])
    where = ".".join(part for part in map(str, fault["loc"]) if not _is_form(part))
    if fault["type"] == "json_invalid":
        return Refusal(400, "the request's body is no JSON; send a JSON object", "invalid_json")
    message = str(fault["msg"]).removeprefix("Value error, ")
    sentence = f"{where}: {message}" if where else message
    return Refusal(400, sentence[:300], "invalid_value", param=where or None)


def _is_form(part: str) -> bool:
    """Whether part of a fault's place names no field, but one of the forms that it may have."""
    return part.startswith(("function-", "list[", "constrained-")) or part == "str"


def settings_of(
    ask: Ask, preset: SamplingPreset, *, max_tokens: int, stop: tuple[str, ...]
) -> GenerationSettings:
    """Settings of a request; what it leaves out is the preset's.

    Args:
        ask: the request.
        preset: gives the values that were left out.
        max_tokens: the most to write.
        stop: texts that end the answer, the template's included.

    Raises:
        SettingsError: a value is outside its range.
    """
    own = preset.settings
    return GenerationSettings(
        SamplingSettings(
            temperature=own.temperature if ask.temperature is None else ask.temperature,
            top_p=own.top_p if ask.top_p is None else ask.top_p,
            top_k=own.top_k,
            presence_penalty=_given(ask.presence_penalty, own.presence_penalty),
            frequency_penalty=_given(ask.frequency_penalty, own.frequency_penalty),
            penalty_decay=own.penalty_decay,
            seed=ask.seed,
        ),
        max_tokens=max_tokens,
        stop=stop,
    )


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
