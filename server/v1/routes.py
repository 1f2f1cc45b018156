"""The routes of /v1: who may ask, what is asked, and what comes back."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from presets import ChatTemplate, SamplingPreset, chat_template, sampling_presets
from presets.catalogue import first_preset
from presets.limits import RequestLimits
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError, SessionBusyError
from rwkv_core.generate import GenerationSettings, Token
from rwkv_core.streams import Stream, StreamResult
from server.refusals import Refusal
from server.v1.answers import Answer, as_refusal, merged, parts, result_of
from server.v1.prompts import chat_ids, text_ids
from server.v1.requests import Ask, ChatAsk, CompletionAsk, read_ask, settings_of

# OpenAI's own when a completion does not say.
COMPLETION_TOKENS = 16
_Done = TypeVar("_Done")


@dataclass(frozen=True, eq=False)
class Face:
    """What the routes need.

    Attributes:
        engine: runs the model.
        name: what the model is called.
        limits: of one request.
        key: what a program must send; empty asks for nothing.
        template: turns roles into text.
        preset: gives the settings that a request leaves out.
        secret: makes names of sessions that no program can guess.
    """

    engine: Engine
    name: str
    limits: RequestLimits
    key: str = ""
    template: ChatTemplate = field(default_factory=chat_template)
    preset: SamplingPreset = field(default_factory=lambda: first_preset(sampling_presets()))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))


def v1_routes(current: Callable[[], Face]) -> list[BaseRoute]:
    """Make the routes.

    Args:
        current: gives what is true now: another model may take the place of the one that runs.
    """

    async def chat(face: Face, request: Request) -> Response:
        ask = read_ask(ChatAsk, await request.body(), face.limits)
        ids = await asyncio.to_thread(chat_ids, face.engine, face.template, ask.messages)
        most = ask.max_completion_tokens or ask.max_tokens or face.preset.max_tokens
        stop = (*face.template.stop, *ask.stops)
        settings = settings_of(ask, face.preset, max_tokens=most, stop=stop)
        return await respond(face, request, ask, [ids], settings, ask.alternatives)

    async def complete(face: Face, request: Request) -> Response:
        ask = read_ask(CompletionAsk, await request.body(), face.limits)
        if ask.n * len(ask.prompts) > face.limits.samples:
            raise Refusal(
                400, f"{len(ask.prompts)} prompts with n = {ask.n} make more than "
                f"{face.limits.samples} answers, which is the limit; ask in several goes",
                "out_of_range", param="n",
            )  # fmt: skip
        prompts = [await asyncio.to_thread(text_ids, face.engine, text) for text in ask.prompts]
        most = ask.max_tokens or COMPLETION_TOKENS
        settings = settings_of(ask, face.preset, max_tokens=most, stop=ask.stops)
        return await respond(face, request, ask, prompts, settings, ask.alternatives)

    async def models(face: Face, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model_card(face)]})

    async def model(face: Face, request: Request) -> Response:
        require_model(face, request.path_params["name"])
        return JSONResponse(model_card(face))

    async def nothing(face: Face, request: Request) -> Response:
        raise Refusal(
            404, "there is nothing at this address; docs/api.md lists what /v1 offers",
            "not_found",
        )  # fmt: skip

    async def other_method(face: Face, request: Request) -> Response:
        raise Refusal(
            405, f"this address does not take {request.method[:10]}; see docs/api.md",
            "bad_method",
        )  # fmt: skip

    return [
        _route(current, "/v1/chat/completions", chat, "POST"),
        _route(current, "/v1/completions", complete, "POST"),
        _route(current, "/v1/models", models, "GET"),
        _route(current, "/v1/models/{name:path}", model, "GET"),
        *(
            _route(current, path, other_method)
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/models")
        ),
        _route(current, "/v1/{path:path}", nothing),
    ]


def _route(
    current: Callable[[], Face],
    path: str,
    handler: Callable[[Face, Request], Awaitable[Response]],
    method: str | None = None,
) -> Route:
    async def guarded(request: Request) -> Response:
        # Asked once: ids of one model must not reach another.
        face = current()
        try:
            require_key(face, request)
            return await handler(face, request)
        except Refusal as refusal:
            return refusal.response(request.url.path)
        except RwkvError as error:
            return as_refusal(error).response(request.url.path)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] if method is None else [method]
    return Route(path, guarded, methods=methods)


def require_key(face: Face, request: Request) -> None:
    """Check the key.

    Raises:
        Refusal: it is missing or wrong.
    """
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    sent = sent.strip() if scheme.lower() == "bearer" else ""
    if face.key and not secrets.compare_digest(sent.encode(), face.key.encode()):
        raise Refusal(
            401, "the API key is missing or wrong; send the owner's as `Authorization: Bearer KEY`",
            "invalid_api_key",
        )  # fmt: skip


def require_model(face: Face, name: str) -> None:
    """Check the model's name; none means the one that runs.

    Raises:
        Refusal: another is asked for.
    """
    if name and name.lower() != face.name.lower():
        raise Refusal(
            404, f"the model {name[:80]!r} is not here; ask for {face.name!r}", "model_not_found",
            param="model",
        )  # fmt: skip


def model_card(face: Face) -> dict[str, object]:
    """Describe the model that runs."""
    model = face.engine.model
    return {
        "id": face.name,
        "object": "model",
        "created": 0,
        "owned_by": "rwkv-playground",
        "generation": model.config.generation,
        "parameters": model.parameters,
    }


def session_of(face: Face, request: Request, ask: Ask) -> str:
    """Name the session: the caller's own where it gives a key of a cache, else a new one."""
    cache_key = ask.prompt_cache_key or ask.user
    if not cache_key:
        return _new_session()
    who = request.headers.get("authorization", "") or (
        request.client.host if request.client else ""
    )
    named = f"{len(who)}:{who}{cache_key}".encode()
    return hashlib.blake2b(named, key=face.secret, digest_size=16).hexdigest()


async def respond(
    face: Face,
    request: Request,
    ask: Ask,
    prompts: Sequence[tuple[int, ...]],
    settings: GenerationSettings,
    alternatives: int | None,
) -> Response:
    """Let the engine write n answers to each prompt, and send them whole or as they come."""
    require_model(face, ask.model)
    engine, session = face.engine, session_of(face, request, ask)
    is_named = bool(ask.prompt_cache_key or ask.user)
    own = [] if is_named else [session]
    streams: list[Stream] = []

    def end() -> None:
        for stream in streams:
            stream.cancel()
        for name in own:
            engine.drop_session(name)

    def submit(session: str, index: int) -> Stream:
        asked = _seeded(settings, index % ask.n)
        return engine.submit(
            session, prompts[index // ask.n], asked, alternatives=alternatives or 0
        )

    try:
        for index in range(len(prompts) * ask.n):
            try:
                stream = submit(session, index)
            except SessionBusyError:
                # Who has its share running waits as those do who gave no name.
                session = _new_session()
                own.append(session)
                stream = submit(session, index)
            streams.append(stream)
    except RwkvError:
        end()
        raise
    is_chat = isinstance(ask, ChatAsk)
    fingerprint = f"rwkv-{engine.model.fingerprint[:12]}"
    answer = Answer(
        is_chat, face.name, fingerprint, engine.tokenizer, alternatives is not None, ask.n
    )
    if ask.stream:
        with_usage = ask.stream_options is not None and ask.stream_options.include_usage
        written = parts(answer, streams, with_usage=with_usage, end=end)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(written, media_type="text/event-stream", headers=headers)
    try:
        results, tokens = await until_gone(request, collect(streams))
    finally:
        end()
    return JSONResponse(answer.whole(results, tokens))


async def collect(
    streams: Sequence[Stream],
) -> tuple[list[StreamResult], list[list[Token]]]:
    """Read streams to their ends.

    Raises:
        RwkvError: the model failed.
    """
    tokens: list[list[Token]] = [[] for _ in streams]
    async for index, batch in merged(streams):
        tokens[index] += batch
    return [result_of(stream) for stream in streams], tokens


async def until_gone(request: Request, work: Awaitable[_Done]) -> _Done:
    """Do something unless the caller hangs up first.

    Raises:
        Refusal: the caller has gone; nobody reads it.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Refusal(400, "the caller hung up", "gone")
        return doing.result()
    finally:
        leaving.cancel()
        doing.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


def _new_session() -> str:
    return secrets.token_hex(16)


def _seeded(settings: GenerationSettings, index: int) -> GenerationSettings:
    """Give each answer to one prompt a seed of its own, and the same ones every time."""
    seed = settings.sampling.seed
    if seed is None or index == 0:
        return settings
    return replace(settings, sampling=replace(settings.sampling, seed=(seed + index) % 2**64))
