import os
import threading
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from presets import default_model_path
from presets.catalogue import catalogue
from presets.limits import Limits
from rwkv_core.checkpoint.paths import stamp_of
from rwkv_core.config import Choice
from rwkv_core.errors import DownloadError, SettingsError, StrategyError, SwitchError
from rwkv_core.memory import GB, plan_memory
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import inventory_of_file
from rwkv_core.switching import Source
from tests.checkpoints import random_weights, write_safetensors
from tests.hub_server import HubServer, serving
from tests.ui.desks import FakeSwitch, machine, make_desk
from ui.models_desk import BothDoNotFitError, open_desk
from ui.offers import SHIPPED

WAIT_S = 30
# 64 MB of weights and more, so that memory decides.
LARGE = {"n_layer": 2, "n_embd": 512, "head_size": 64, "vocab_size": 4096}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "mine.safetensors", random_weights(**LARGE))  # type: ignore[arg-type]  # sizes of one kind


def test_a_model_that_is_here_is_loaded_with_the_best_strategy(mine: Path) -> None:
    switch = FakeSwitch()
    desk = make_desk(switch, local=(mine,))
    desk.use("local-0", "").wait(WAIT_S)
    desk.use(SHIPPED, "cpu int8").wait(WAIT_S)
    (first, _), (second, _) = switch.asked
    assert isinstance(first.strategy, Choice)
    assert (first.path, first.strategy.value, first.name) == (mine, "cpu fp32", "")
    assert "cpu fp32 suits this machine best: it keeps" in first.strategy.reason
    assert (second.strategy, second.name) == ("cpu int8", "Pip")


def chosen(model: Path | None, strategy: str | None = None) -> Namespace:
    return Namespace(
        model=[model] if model else [],
        models_folder=None,
        strategy=strategy,
        tokenizer=default_model_path().with_name("tokenizer.json"),
        state=None,
    )


def opened(options: Namespace, free_bytes: int) -> Choice:
    """What the command line's model runs with, and why."""
    desk = open_desk(options, "nobody", Limits(), look=lambda: machine(free_bytes))
    try:
        found = desk.switch.now.plan.placement
        return Choice(found.describe(2), desk.engine.choices["device"].reason)
    finally:
        desk.close()


def test_a_model_of_the_command_line_gets_what_suits_the_machine(mine: Path) -> None:
    roomy = opened(chosen(mine), 9 * GB)
    assert "cpu fp32 suits this machine best: it keeps the weights" in roomy.reason
    assert "int8" not in roomy.value
    fp32 = plan_memory(inventory_of_file(open_checkpoint(mine)), "cpu fp32").needs["cpu"]
    tight = opened(chosen(mine), fp32.total - fp32.runtime - 1)
    assert "int8" in tight.value
    assert "cpu int8 suits this machine best" in tight.reason
    assert "too large for 0.7 GB: cpu fp32" in tight.reason
    asked = opened(chosen(mine, "cpu fp32"), 10**6)
    assert asked.reason == "asked for by the strategy 'cpu fp32'"
    with pytest.raises(SwitchError, match=r"even cpu int4 needs .*--strategy to try it"):
        opened(chosen(mine), 10**6)
    unknown = opened(chosen(mine), 0)
    shipped = opened(chosen(None), 9 * GB)
    assert unknown.reason == shipped.reason == "the CPU runs every model on every machine"


def test_what_is_not_here_or_no_strategy_is_refused(mine: Path) -> None:
    desk = make_desk(local=(mine,))
    with pytest.raises(SettingsError, match="get it first"):
        desk.use(catalogue()[0].file, "")
    with pytest.raises(SettingsError, match="choose one of the list"):
        desk.use(str(mine), "")
    with pytest.raises(StrategyError, match="underlined"):
        desk.use("local-0", "cpu fp99")


def test_two_models_that_do_not_fit_at_once_are_told_with_the_consequence(mine: Path) -> None:
    desk = make_desk(FakeSwitch(), local=(mine,))
    inventory = desk.offers.inventory_of(desk.offers.find("local-0"))
    assert inventory is not None
    need = plan_memory(inventory, "cpu fp32").needs["cpu"]
    switch = FakeSwitch()
    tight = make_desk(switch, local=(mine,), free_bytes=need.total - need.runtime - 1)
    with pytest.raises(
        BothDoNotFitError, match=r"unloaded first: nobody can write until mine runs"
    ):
        tight.use("local-0", "cpu fp32")
    tight.use("local-0", "cpu fp32", unload_first=True).wait(WAIT_S)
    assert [first for _, first in switch.asked] == [True]
    little = make_desk(FakeSwitch(), local=(mine,), free_bytes=10**6)
    for unload_first in (False, True):
        with pytest.raises(SwitchError, match=r"needs 0\.1 GB on cpu, and even without Pip"):
            little.use("local-0", "cpu fp32", unload_first=unload_first)


def test_where_the_system_does_not_tell_its_memory_nothing_is_refused(mine: Path) -> None:
    switch = FakeSwitch()
    make_desk(switch, local=(mine,), free_bytes=0).use("local-0", "").wait(WAIT_S)
    assert switch.asked[0][0].strategy is None


def test_one_change_at_a_time(mine: Path) -> None:
    switch, go_on = FakeSwitch(), threading.Event()
    switch.before = lambda: bool(go_on.wait(WAIT_S))  # type: ignore[assignment]  # what it gives is not used
    desk = make_desk(switch, local=(mine,))
    changing = desk.use("local-0", "")
    with pytest.raises(SwitchError, match="wait until it runs"):
        desk.use(SHIPPED, "")
    go_on.set()
    changing.wait(WAIT_S)
    assert changing.error is None


def test_a_failure_is_kept_for_those_who_watch(mine: Path) -> None:
    switch = FakeSwitch()

    def fail() -> None:
        raise SwitchError("it broke; Pip still runs")

    switch.before = fail
    changing = make_desk(switch, local=(mine,)).use("local-0", "")
    changing.wait(WAIT_S)
    assert str(changing.error) == "it broke; Pip still runs"


def test_a_found_file_is_fetched_cancelled_gone_on_with_and_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 20_000
    hub = HubServer({"some/rwkv-x/x.pth": content, "some/rwkv-x/readme.md": b"x"})
    with serving(hub, monkeypatch):
        desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
        assert desk.find("some") == 1
        key, offers = "some/rwkv-x/x.pth", desk.offers
        offer = offers.find(key)
        hub.cut_after = [2_000_000, *[0] * 9]
        fetching = desk.get(key)
        while fetching.progress is None:
            assert fetching.is_running
        desk.cancel()
        fetching.wait(WAIT_S)
        assert isinstance(fetching.error, DownloadError)
        assert 0 < offers.fetched_bytes(offer) < len(content)
        assert offers.path_of(offer) is None
        hub.cut_after = []
        fetching = desk.get(key)
        fetching.wait(WAIT_S)
        assert fetching.error is None
        assert fetching.progress is not None
        assert fetching.progress.phase == "checking"
        path = offers.path_of(offer)
        assert path is not None
        assert path.read_bytes() == content
        assert offers.fetched_bytes(offer) == 0
        with pytest.raises(SettingsError, match="already"):
            desk.get(key)


def test_a_second_download_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(*args: object, **kwargs: object) -> Path:
        go_on.wait(WAIT_S)
        raise DownloadError("stopped")

    monkeypatch.setattr("ui.models_desk.download", slow)
    desk = make_desk(cache=tmp_path)
    desk.get(catalogue()[0].file)
    with pytest.raises(DownloadError, match=f"{catalogue()[0].title} is being fetched"):
        desk.get(catalogue()[1].file)
    go_on.set()
    desk.close()


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("", "no name on the Hub"),
        ("../../etc", "no name on the Hub"),
        ("a/b", "no name on the Hub"),
        ("a?b=c&d", "no name on the Hub"),
        ("x" * 97, "no name on the Hub"),
        ("nobody", "lists no RWKV weights of nobody"),
    ],
)
def test_a_search_takes_a_name_and_nothing_else(
    owner: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubServer({"some/rwkv-x/x.pth": b"x"})
    with serving(hub, monkeypatch):
        with pytest.raises(DownloadError, match=words):
            make_desk(endpoint=hub.endpoint).find(owner)
        assert len(hub.requests) == (words != "no name on the Hub")


def test_a_search_is_one_request_and_names_that_leave_their_folder_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("x.pth", "../y.pth", "sub/z.pth", "w.txt", "v.safetensors")
    hub = HubServer({f"some/rwkv-x/{name}": b"x" for name in names})
    with serving(hub, monkeypatch):
        assert make_desk(endpoint=hub.endpoint).find("some") == 2
        assert len(hub.requests) == 1


def test_a_search_that_is_refused_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for status, says in ((429, "slow down"), (503, "answered 503"), (404, "answered 404")):
        with serving(HubServer({}, status=status), monkeypatch) as hub:
            with pytest.raises(DownloadError, match=says):
                make_desk(endpoint=hub.endpoint).find("someone")
            assert len(hub.requests) == 1


def test_what_runs_is_another_once_its_file_or_the_wish_is_another(mine: Path) -> None:
    desk = make_desk(local=(mine,))
    offer = desk.offers.find("local-0")
    best = plan_memory(inventory_of_file(open_checkpoint(mine)), "cpu fp32")
    running = replace(desk.switch.now, source=Source(mine), plan=best, stamp=stamp_of(mine))
    desk.switch.now = running
    assert desk.is_running(offer)
    assert desk.is_running(offer, "cpu fp32 *1 -> cpu fp32")
    assert not desk.is_running(offer, "cpu int8")
    # Nothing chosen stands for the best one.
    other = plan_memory(inventory_of_file(open_checkpoint(mine)), "cpu int8")
    desk.switch.now = replace(running, plan=other)
    assert not desk.is_running(offer)
    desk.switch.now = running
    os.utime(mine, ns=(0, 0))
    assert not desk.is_running(offer)


def test_free_memory_is_what_there_is_without_the_model_that_runs() -> None:
    desk = make_desk(free_bytes=3 * GB)
    need = desk.switch.now.plan.needs["cpu"]
    assert desk.free()["cpu"] == 3 * GB + need.total - need.mapped


def test_closing_ends_the_engine_too() -> None:
    switch = FakeSwitch()
    make_desk(switch).close()
    assert switch.is_closed
