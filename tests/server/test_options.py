import socket

import pytest

from rwkv_core.errors import SettingsError
from server.options import (
    Hosting,
    defaults_for,
    parse_options,
    read_hosting,
    reads_drafts,
    require_free_port,
    who_may_switch,
)
from server.service import Options


def test_the_page_stays_on_this_machine_by_default() -> None:
    assert read_hosting({}) == Hosting("127.0.0.1", None)


def test_a_space_and_the_environment_say_where_to_listen() -> None:
    space = read_hosting({"SPACE_ID": "someone/thing"})
    assert (space.host, space.space) == ("0.0.0.0", "someone-thing.hf.space")
    named = {"GRADIO_SERVER_NAME": "10.0.0.1", "GRADIO_SERVER_PORT": "8000", "RWKV_API_KEY": "k"}
    assert read_hosting(named) == Hosting("10.0.0.1", 8000, api_key="k")
    with pytest.raises(SettingsError, match="GRADIO_SERVER_PORT: many is no port"):
        read_hosting({"GRADIO_SERVER_PORT": "many"})


def test_a_space_refuses_to_start_where_visitors_could_run_code() -> None:
    assert read_hosting({"GRADIO_VIBE_MODE": "1"}).host == "127.0.0.1"
    with pytest.raises(SettingsError, match="GRADIO_VIBE_MODE"):
        read_hosting({"GRADIO_VIBE_MODE": "1", "SPACE_ID": "someone/thing"})


def test_only_a_space_believes_its_proxies_about_who_asks() -> None:
    assert "FORWARDED_ALLOW_IPS" not in defaults_for(Hosting("0.0.0.0", None))
    assert "10.0.0.0/8" in defaults_for(Hosting("0.0.0.0", None, "a.b"))["FORWARDED_ALLOW_IPS"]


def test_flags_win_over_the_environment() -> None:
    hosting = Hosting("10.0.0.1", 8000, api_key="from the environment")
    options = parse_options(["--port", "9", "--strategy", "cpu bf16", "--api-key", "k"], hosting)
    assert (options.host, options.port, options.strategy) == ("10.0.0.1", 9, "cpu bf16")
    assert (options.model, options.api, options.api_key) == ([], False, "k")


@pytest.mark.parametrize(
    ("arguments", "environment", "reads"),
    [
        ([], {}, True),
        (["--host", "0.0.0.0"], {}, False),
        ([], {"SPACE_ID": "a/b"}, False),
        (["--read-drafts"], {"SPACE_ID": "a/b"}, True),
        (["--no-read-drafts"], {}, False),
    ],
)
def test_drafts_are_read_only_where_nobody_else_comes_or_it_is_asked_for(
    arguments: list[str], environment: dict[str, str], reads: bool
) -> None:
    hosting = read_hosting(environment)
    assert reads_drafts(parse_options(arguments, hosting), hosting) == reads


@pytest.mark.parametrize(
    ("arguments", "environment", "who"),
    [
        ([], {}, "this machine"),
        (["--host", "0.0.0.0"], {}, "nobody"),
        ([], {"SPACE_ID": "a/b"}, "nobody"),
        (["--host", "127.0.0.1"], {"SPACE_ID": "a/b"}, "nobody"),
        (["--host", "0.0.0.0", "--allow-model-switch"], {}, "everyone"),
        (["--no-allow-model-switch"], {}, "nobody"),
    ],
)
def test_models_are_changed_from_this_machine_or_where_the_owner_says_so(
    arguments: list[str], environment: dict[str, str], who: str
) -> None:
    hosting = read_hosting(environment)
    assert who_may_switch(parse_options(arguments, hosting), hosting) == who


@pytest.mark.parametrize(
    ("arguments", "environment", "is_local"),
    [
        ([], {}, True),
        (["--host", "::1"], {}, True),
        (["--host", "0.0.0.0"], {}, False),
        ([], {"SPACE_ID": "a/b"}, False),
    ],
)
def test_what_the_owner_chose_reaches_the_service(
    arguments: list[str], environment: dict[str, str], is_local: bool
) -> None:
    hosting = read_hosting(environment)
    chosen = parse_options([*arguments, "--origin", "friend.org", "--api"], hosting)
    options = Options.of(chosen, hosting)
    assert (options.is_local, options.origins, options.api) == (is_local, ("friend.org",), True)


def test_a_space_never_lets_visitors_change_the_model() -> None:
    hosting = read_hosting({"SPACE_ID": "a/b"})
    with pytest.raises(SettingsError, match="refused on a Space"):
        who_may_switch(parse_options(["--allow-model-switch"], hosting), hosting)


def test_a_port_that_is_taken_is_said_before_anything_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} of 127\.0\.0\.1 \(.+\); choose"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", None)
    with pytest.raises(SettingsError, match=r"1\.2\.3\.4"):
        require_free_port("1.2.3.4", port)
    # Without a port Gradio would try a hundred of them, one after the other.
    with pytest.raises(SettingsError, match=r"listen on 1\.2\.3\.4 \(.+\); choose another address"):
        require_free_port("1.2.3.4", None)


@pytest.mark.parametrize("given", ["rwkv", "/rwkv", "/rwkv/", "https://example.org/rwkv/"])
def test_a_root_path_is_taken_with_and_without_slashes(given: str) -> None:
    chosen = parse_options([f"--root-path={given}"], read_hosting({})).root_path
    assert chosen == ("https://example.org/rwkv" if "://" in given else "/rwkv")
    assert parse_options([], read_hosting({})).root_path is None


def test_an_origin_is_taken_as_it_stands_in_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("https://Example.org/a", "example.org", "localhost:8080")
    chosen = parse_options([f"--origin={one}" for one in given], read_hosting({}))
    assert chosen.origin == ["example.org", "example.org", "localhost:8080"]
    with pytest.raises(SystemExit):
        parse_options(["--origin=https://"], read_hosting({}))
    assert "is no host" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "99999", "-1", "many"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options([f"--port={port}"], read_hosting({}))
    assert f"{port} is no port; give a number from 1 to 65535" in capsys.readouterr().err
