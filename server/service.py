"""Everything around the page: what `launch` is given, health, and the end."""

import gc
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from presets import chat_template_for
from presets.catalogue import first_preset, presets_for
from presets.limits import Limits
from rwkv_core.engine import Engine
from rwkv_core.errors import SettingsError
from rwkv_core.state_files import file_limit
from server.allocator import give_back_memory, settle_allocator
from server.compressed import Compressed
from server.gate import Gate
from server.headers import SecurityHeaders
from server.last_resort import LastResort, say_what_is_wrong
from server.metrics import RequestCounts, metrics_text
from server.observing import Observer
from server.options import Hosting, is_local
from server.remembered import Remembered
from server.v1.routes import Face, v1_routes

GIVE_BACK_S = 10.0  # between two times that free memory goes back to the system
# How late a signal to stop may be noticed.
STOP_POLL_S = 0.2
# What readers saw last still travels to the browser.
LAST_WORDS_S = 0.5


@dataclass(frozen=True)
class Options:
    """What the owner chose; see `server.options`.

    Attributes:
        api: serve /v1.
        api_key: what /v1 asks for; empty asks for nothing.
        mcp: offer the endpoints as MCP tools.
        origins: other sites whose pages may call.
        space: the Space's public host name; empty when this is no Space.
        is_local: the server listens to this machine only.
        metrics: show /metrics to other machines.
        write_log: takes one JSON line per request; None writes none.
    """

    api: bool = False
    api_key: str = ""
    mcp: bool = False
    origins: tuple[str, ...] = ()
    space: str = ""
    is_local: bool = False
    metrics: bool = False
    write_log: Callable[[str], None] | None = None

    @classmethod
    def of(cls, chosen: Namespace, hosting: Hosting) -> "Options":
        """Take what the command line and the environment say."""
        return cls(
            api=chosen.api,
            api_key=chosen.api_key,
            mcp=chosen.mcp,
            origins=tuple(chosen.origin),
            space=hosting.space,
            is_local=is_local(chosen, hosting),
            metrics=chosen.metrics,
            write_log=partial(print, file=sys.stderr, flush=True) if chosen.log_requests else None,
        )


@dataclass(eq=False)
class Service:
    """One served page: its counts, and whether it is about to stop.

    Attributes:
        engine: runs the model; another takes its place with `change`.
        name: what the model is called in /v1.
        limits: sizes and rates.
        options: what the owner chose.
        counts: of requests.
        closing: set when the server is about to stop.
        face: what /v1 says and asks.
    """

    engine: Engine
    name: str
    limits: Limits
    options: Options = field(default_factory=Options)
    counts: RequestCounts = field(default_factory=RequestCounts)
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.face = self._face()

    def change(self, engine: Engine, name: str) -> None:
        """Speak for another model from now on."""
        self.engine, self.name = engine, name
        self.face = replace(self._face(), secret=self.face.secret)
        rest_collector()

    def _face(self) -> Face:
        template, _ = chat_template_for(self.engine.model.name, self.engine.tokenizer.name)
        requests, key = self.limits.requests, self.options.api_key
        preset = first_preset(presets_for(self.engine.model.name))
        return Face(self.engine, self.name, requests, key, template, preset)

    @property
    def upload_bytes(self) -> int:
        """Size of the largest file that may be sent; a saved memory of this model always fits."""
        return max(self.limits.requests.upload_bytes, file_limit(self.engine.model.config))

    def launch_arguments(self) -> dict[str, Any]:
        """Arguments of `launch` that add routes, the door and limits.

        Raises:
            SettingsError: MCP is wanted and its package is missing.
        """
        if self.options.mcp:
            require_mcp()
        requests = self.limits.requests
        origins = (*self.options.origins, *([self.options.space] if self.options.space else []))
        middleware = [
            Middleware(Observer, counts=self.counts, write=self.options.write_log),
            Middleware(Compressed),
            Middleware(SecurityHeaders, is_space=bool(self.options.space)),
            Middleware(
                Gate,
                limits=requests,
                upload_bytes=lambda: self.upload_bytes,
                origins=origins,
                is_closing=self.closing.is_set,
                is_local=self.options.is_local,
            ),
            Middleware(LastResort),
            Middleware(Remembered),
        ]
        return {
            "app_kwargs": {
                "routes": self.routes(),
                "middleware": middleware,
                "exception_handlers": {RequestValidationError: say_what_is_wrong},
                # Gradio's own description of itself would list its private routes.
                "openapi_url": None,
            },
            "mcp_server": self.options.mcp,
            "max_threads": requests.events,
            "state_session_capacity": requests.sessions,
            "max_file_size": self.upload_bytes,
            "strict_cors": True,
        }

    def routes(self) -> list[BaseRoute]:
        """Routes beside the page."""
        routes: list[BaseRoute] = [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]
        if self.options.api:
            routes += v1_routes(lambda: self.face)
        return routes

    async def healthz(self, request: Request) -> Response:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Say whether new texts are taken: not while stopping, nor when no model runs."""
        if self.closing.is_set() or self.engine.is_closed:
            is_closing = self.closing.is_set()
            return JSONResponse({"status": "closing" if is_closing else "no model runs"}, 503)
        return JSONResponse({"status": "ready", "model": self.name})

    async def metrics(self, request: Request) -> Response:
        """Give the counts to this machine, and to others where the owner allows it."""
        if not self.options.metrics and not _is_this_machine(request):
            return PlainTextResponse("only this machine may look; see --metrics\n", 403)
        text = metrics_text(self.engine.usage(), self.counts, self.name)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    def wait_until_stopped(self) -> None:
        """Block until SIGTERM or Ctrl+C; then let running answers end, within the limit.

        For the main thread, which alone may handle signals.
        """
        # A list, since setting an event takes a lock that the interrupted wait may hold.
        received: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: received.append(number))
        rest_collector()
        settle_allocator()
        given_back_at = time.monotonic()
        while not received:
            time.sleep(STOP_POLL_S)
            if time.monotonic() - given_back_at > GIVE_BACK_S:
                give_back_memory()
                given_back_at = time.monotonic()
        self.closing.set()
        self.engine.drain(self.limits.requests.drain_s)
        time.sleep(LAST_WORDS_S)


def rest_collector() -> None:
    """Keep Python's collector from looking through what stays: the libraries, page and model.

    It did so again and again for a seventh of a busy page's time.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def require_mcp() -> None:
    """Check that the package MCP needs is there.

    Raises:
        SettingsError: it is not; says how to install it.
    """
    if find_spec("mcp") is None:
        raise SettingsError(
            "--mcp needs a package that is not installed; run `pip install 'gradio[mcp]==6.31.0'` "
            "and start again"
        )


def _is_this_machine(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
