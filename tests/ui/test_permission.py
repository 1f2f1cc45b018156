import pytest

from rwkv_core.errors import NotAllowedError
from rwkv_core.limits import WhoMaySwitch
from tests.ui.desks import asker
from ui.permission import may_switch, require_switch


@pytest.mark.parametrize(
    ("host", "headers", "may"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {"host": "[::1]:7860"}, True),
        ("127.0.0.1", {"host": "localhost:7860"}, True),
        # Another machine, also one that says so of itself.
        ("10.0.0.7", {}, False),
        ("10.0.0.7", {"host": "localhost:7860"}, False),
        # Through a proxy, which runs on this machine.
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.7"}, False),
        ("127.0.0.1", {"forwarded": "for=10.0.0.7"}, False),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
        # A foreign name that was made to lead here.
        ("127.0.0.1", {"host": "evil.example:7860"}, False),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, False),
        ("127.0.0.1", {"host": "user@evil.example"}, False),
        ("127.0.0.1", {"host": ""}, False),
        ("not an address", {}, False),
    ],
)
def test_this_machine_means_its_own_browser_without_a_detour(
    host: str, headers: dict[str, str], may: bool
) -> None:
    assert may_switch("this machine", asker(host, headers)) == may


@pytest.mark.parametrize(("who", "may"), [("nobody", False), ("everyone", True)])
def test_the_owners_word_counts_for_all(who: WhoMaySwitch, may: bool) -> None:
    assert [may_switch(who, one) for one in (asker(), asker("10.0.0.7"), None)] == [may] * 3


def test_whoever_may_not_is_told_who_may() -> None:
    with pytest.raises(NotAllowedError, match="--allow-model-switch"):
        require_switch("nobody", asker())
    require_switch("this machine", asker())
    with pytest.raises(NotAllowedError):
        require_switch("this machine", None)
