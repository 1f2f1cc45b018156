"""Who may fetch models and change the one that runs; every handler asks here itself."""

from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from rwkv_core.errors import NotAllowedError
from rwkv_core.limits import WhoMaySwitch

# Where one of these is there, the request came through a proxy, so from anywhere.
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")


class _Client(Protocol):
    @property
    def host(self) -> str: ...


class _Headers(Protocol):
    def get(self, key: str, /) -> str | None: ...


class Asker(Protocol):
    """What is looked at of a request."""

    @property
    def client(self) -> _Client | None:
        """Who has connected."""
        ...

    @property
    def headers(self) -> _Headers:
        """What was sent along."""
        ...


def may_switch(who: WhoMaySwitch, request: Asker | None) -> bool:
    """Whether whoever asks may fetch models and change the one that runs."""
    if who == "everyone":
        return True
    return who == "this machine" and request is not None and _is_of_this_machine(request)


def require_switch(who: WhoMaySwitch, request: Asker | None) -> None:
    """Check that whoever asks may do so.

    Raises:
        NotAllowedError: no; says who may.
    """
    if not may_switch(who, request):
        raise NotAllowedError(
            "only the owner of this server fetches and changes models: on the machine itself, or "
            "for everyone with --allow-model-switch"
        )


def _is_of_this_machine(request: Asker) -> bool:
    """Whether the browser runs here, came directly, and was not led here by a foreign name."""
    if any(request.headers.get(name) for name in _FORWARDED):
        return False
    asked = urlsplit(f"//{request.headers.get('host') or ''}").hostname or ""
    return _is_loopback(request.client.host if request.client else "") and (
        asked == "localhost" or _is_loopback(asked)
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
