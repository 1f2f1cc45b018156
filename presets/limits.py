"""The table of limits: what the engine gives out, and what the door lets in."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from presets import read_table
from rwkv_core.errors import SettingsError
from rwkv_core.limits import EngineLimits

_PATH = Path(__file__).with_name("limits.toml")
_Part = TypeVar("_Part", bound="EngineLimits | RequestLimits")


@dataclass(frozen=True)
class RequestLimits:
    """What the door lets in; limits.toml says what each means.

    Attributes:
        body_bytes: of one request.
        body_s: seconds to send it.
        upload_bytes: of one file.
        per_session: requests a minute that start something, of one page or caller.
        per_address: the same, of everyone who shares an address.
        uploads: a minute, of one address.
        samples: answers to one request.
        stop_strings: of one request.
        messages: of one request.
        prompts: of one request.
        kept_texts: that programs had read in advance, of all of them.
        kept_tokens: of these texts together.
        sessions: open pages whose settings are kept.
        events: of the page, running or waiting.
        drain_s: seconds that running answers get when the server is stopped.
    """

    body_bytes: int = 8_000_000
    body_s: float = 30
    upload_bytes: int = 8_000_000
    per_session: int = 240
    per_address: int = 960
    uploads: int = 20
    samples: int = 8
    stop_strings: int = 4
    messages: int = 2000
    prompts: int = 8
    kept_texts: int = 1000
    kept_tokens: int = 10_000_000
    sessions: int = 1000
    events: int = 512
    drain_s: float = 20


@dataclass(frozen=True)
class Limits:
    """Both halves of the table."""

    engine: EngineLimits = field(default_factory=EngineLimits)
    requests: RequestLimits = field(default_factory=RequestLimits)


def read_limits(path: Path | None = None) -> Limits:
    """Read the shipped table, and over it an owner's own.

    Args:
        path: the owner's; what it leaves out keeps the shipped value.

    Raises:
        SettingsError: a file is broken, or names a limit that is not one or a value below it.
    """
    limits = _over(Limits(), _PATH)
    return limits if path is None else _over(limits, path)


def _over(limits: Limits, path: Path) -> Limits:
    table = read_table(path)
    if unknown := sorted(set(table) - {"engine", "requests"}):
        raise SettingsError(
            f"{path.name} has a part {unknown[0]!r}; there are only [engine] and [requests]"
        )
    return Limits(
        _changed(limits.engine, table.get("engine", {}), path),
        _changed(limits.requests, table.get("requests", {}), path),
    )


def _changed(part: _Part, values: object, path: Path) -> _Part:
    if not isinstance(values, Mapping):
        raise SettingsError(
            f"{path.name} gives {values!r} where a part should be; write [engine] or [requests] "
            "on a line of its own"
        )
    known = {entry.name: getattr(part, entry.name) for entry in dataclasses.fields(part)}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(
                f"{path.name} has a limit {name!r}, which is none; choose one of "
                f"{', '.join(sorted(known))}"
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            raise SettingsError(
                f"{name} is {value!r} in {path.name}, but must be a number above 0; correct it"
            )
        if isinstance(known[name], int) and not isinstance(value, int):
            raise SettingsError(f"{name} is {value!r} in {path.name}, but must be whole; round it")
    return dataclasses.replace(part, **values)
