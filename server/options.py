"""The command line and the environment, read once into values."""

import argparse
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rwkv_core.errors import SettingsError
from rwkv_core.limits import WhoMaySwitch

# A Space is reached through proxies of the host's own network, never directly.
PRIVATE_NETWORKS = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
MAX_PORT = 65_535


@dataclass(frozen=True)
class Hosting:
    """What the environment says about where this runs.

    Attributes:
        host: address to listen on.
        port: None means the first free one from 7860.
        space: the Space's public host name; empty when this is no Space.
        api_key: what programs must send, when the environment names it.
    """

    host: str
    port: int | None
    space: str = ""
    api_key: str = ""


def read_hosting(environment: Mapping[str, str]) -> Hosting:
    """Read where to serve; the whole network must reach a Space.

    Raises:
        SettingsError: the environment asks for what a Space must not do.
    """
    name = environment.get("SPACE_ID", "")
    if name and environment.get("GRADIO_VIBE_MODE"):
        raise SettingsError(
            "GRADIO_VIBE_MODE is set on a Space, where it lets every visitor run code; remove it"
        )
    fallback = "0.0.0.0" if name else "127.0.0.1"
    port = environment.get("GRADIO_SERVER_PORT", "")
    try:
        number = _port(port) if port else None
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"GRADIO_SERVER_PORT: {error}") from None
    return Hosting(
        environment.get("GRADIO_SERVER_NAME") or fallback,
        number,
        environment.get("SPACE_HOST") or name.replace("/", "-") + ".hf.space" if name else "",
        environment.get("RWKV_API_KEY", ""),
    )


def defaults_for(hosting: Hosting) -> dict[str, str]:
    """Environment variables that Gradio reads by itself, where nobody has set them."""
    defaults = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if hosting.space:
        defaults["FORWARDED_ALLOW_IPS"] = PRIVATE_NETWORKS
    return defaults


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text} is no port; give a number from 1 to {MAX_PORT}")
    return int(text)


def _root(text: str) -> str:
    """Take a path with or without its slashes, or a whole address, as Gradio wants it."""
    return text.rstrip("/") if "://" in text else "/" + text.strip("/")


def _host(text: str) -> str:
    """Take a host as it stands in an address: "https://example.org/" is example.org."""
    host = text.strip().lower().rpartition("://")[2].partition("/")[0]
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r} is no host; give a name such as example.org")
    return host


def require_free_port(host: str, port: int | None) -> None:
    """Check that a server can listen there, before anything takes long.

    Raises:
        SettingsError: it cannot; says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        # As the server does: a port whose last connections are still closing is free.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port or 0))
        except OSError as error:
            why = error.strerror or error
            if port is None:
                raise SettingsError(
                    f"nothing can listen on {host} ({why}); choose another address with --host"
                ) from None
            raise SettingsError(
                f"nothing can listen on port {port} of {host} ({why}); choose another with --port, "
                "or another address with --host"
            ) from None


def parse_options(arguments: Sequence[str] | None, hosting: Hosting) -> argparse.Namespace:
    """Read the command line; what it leaves out comes from the hosting."""
    parser = argparse.ArgumentParser(
        prog="app.py", description="A playground for RWKV language models."
    )
    parser.add_argument("--host", default=hosting.host, help="address to listen on: %(default)s")
    parser.add_argument("--port", type=_port, default=hosting.port, help="first free from 7860")
    parser.add_argument("--root-path", type=_root,
                        help="the path a proxy shows the page under, such as /rwkv")  # fmt: skip
    parser.add_argument("--model", type=Path, action="append", default=[], help="weights, a file "
                        "or folder; the shipped one. Further ones can be used from the page")  # fmt: skip
    parser.add_argument("--models-folder", type=Path, help="its weights can be used from the page")
    parser.add_argument("--strategy", help='such as "cpu fp32", "cpu int8" or "cuda fp16"')
    parser.add_argument("--tokenizer", help='a file, "world" or "20B"; chosen for you')
    parser.add_argument("--state", type=Path, help="a tuned or saved state that texts begin from")
    parser.add_argument("--threads", type=int, help="CPU threads of the model; torch's choice")
    served = parser.add_argument_group("for programs and owners, see docs/api.md and hosting.md")
    served.add_argument("--api", action="store_true", help="serve /v1 as OpenAI's clients expect")
    served.add_argument("--api-key", default=hosting.api_key, help="what /v1 asks for; or in "
                        "the environment as RWKV_API_KEY")  # fmt: skip
    served.add_argument("--mcp", action="store_true", help="offer the endpoints as MCP tools")
    served.add_argument("--limits", type=Path, help="a table in place of presets/limits.toml")
    served.add_argument("--origin", type=_host, action="append", default=[], metavar="HOST",
                        help="another site whose pages may call this server")  # fmt: skip
    served.add_argument("--metrics", action="store_true", help="show /metrics to other machines")
    served.add_argument("--log-requests", action="store_true", help="one JSON line per request")
    served.add_argument("--read-drafts", action=argparse.BooleanOptionalAction, default=None,
                        help="read texts while visitors type; on where only this machine "
                        "reaches the page")  # fmt: skip
    served.add_argument("--allow-model-switch", action=argparse.BooleanOptionalAction, default=None,
                        help="let everyone who reaches the page fetch models and change the one "
                        "that runs; without it only this machine's own browser may, and only "
                        "where nothing else reaches the page")  # fmt: skip
    return parser.parse_args(arguments)


def who_may_switch(options: argparse.Namespace, hosting: Hosting) -> WhoMaySwitch:
    """Who may fetch models and change the one that runs.

    Raises:
        SettingsError: everyone, on a Space.
    """
    if options.allow_model_switch and hosting.space:
        raise SettingsError(
            "--allow-model-switch is refused on a Space, where every visitor would choose for all; "
            "name the model with --model"
        )
    if options.allow_model_switch is not None:
        return "everyone" if options.allow_model_switch else "nobody"
    return "this machine" if is_local(options, hosting) else "nobody"


def reads_drafts(options: argparse.Namespace, hosting: Hosting) -> bool:
    """Whether drafts are read while they are typed: as asked, or where nobody else comes."""
    if options.read_drafts is not None:
        return bool(options.read_drafts)
    return is_local(options, hosting)


def is_local(options: argparse.Namespace, hosting: Hosting) -> bool:
    """Whether the server listens to this machine only."""
    return not hosting.space and options.host in ("127.0.0.1", "localhost", "::1")
