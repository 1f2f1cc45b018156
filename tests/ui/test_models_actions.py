import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from presets.catalogue import catalogue
from presets.words import LANGUAGES
from rwkv_core.errors import DownloadError, SettingsError, SwitchError
from rwkv_core.memory import GB, plan_memory
from tests.checkpoints import random_weights, write_safetensors
from tests.hub_server import HubServer, serving
from tests.ui.desks import VISIT, FakeSwitch, asker, make_desk
from ui import models_actions as actions
from ui.models_actions import CARD, COMPUTER, HERE, Chosen, View, Visit, available, look
from ui.models_desk import Desk
from ui.offers import SHIPPED

ROOT = Path(__file__).parents[2]
FIRST = catalogue()[0].file
BUTTONS = ("get", "use", "first", "cancel", "back")


def chosen(key: str = FIRST, place: str = COMPUTER, size: str = "8", **kwargs: Any) -> Chosen:
    values: dict[str, Any] = {"sessions": 1, "strategy": ""} | kwargs
    return Chosen(place, size, values["sessions"], key, values["strategy"])


def views_of(
    stream: AsyncIterator[View], on_view: Callable[[], object] = lambda: None
) -> list[View]:
    async def collect() -> list[View]:
        views = []
        async for view in stream:
            views.append(view)
            on_view()
        return views

    return asyncio.run(collect())


def shown(view: View) -> list[str]:
    """Names of the buttons that can be seen."""
    return [name for name in BUTTONS if getattr(view, name).get("visible")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "mine.safetensors", random_weights(n_layer=2))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "REDRAW_S", 0.01)


class TestLooking:
    def test_the_table_judges_every_model_for_the_chosen_memory(self) -> None:
        desk = make_desk()
        view = look(desk, VISIT, chosen(size="4"))
        # One more: the shipped model.
        assert view.table.count("verdict is-") == len(catalogue()) + 1
        assert {"is-fits", "is-no"} <= set(re.findall(r"is-\w+", view.table))
        assert "4.0 GB" in view.verdict
        assert "is-no" not in look(desk, VISIT, chosen(size="80")).table

    def test_a_card_gets_strategies_of_cards(self) -> None:
        view = look(make_desk(), VISIT, chosen(place=CARD))
        assert "cuda fp16" in view.table
        assert "cuda int4" in view.table
        assert "cuda fp16 *" in view.table
        assert "cpu fp32" not in view.table + view.plan

    def test_this_machine_needs_no_size_and_counts_without_the_model_that_runs(self) -> None:
        desk = make_desk()
        view = look(desk, VISIT, chosen(place=HERE))
        assert view.size["visible"] is False
        assert available(desk, HERE, "8") == desk.free()
        assert desk.free()["cpu"] > 9 * GB

    def test_a_strategy_is_checked_as_it_is_typed_and_drawn_layer_by_layer(self) -> None:
        desk = make_desk()
        wanted = chosen(place=CARD, strategy="cuda fp16 *4 -> cpu int8")
        assert "<b>4</b> cuda fp16" in look(desk, VISIT, wanted).plan
        assert "<b>9</b> cpu fp32 with int8 weights" in look(desk, VISIT, wanted).plan
        wrong = look(desk, VISIT, chosen(strategy="cpu fp99")).verdict
        assert 'role="alert"' in wrong
        assert "underlined" in wrong

    def test_a_device_that_this_machine_lacks_is_named_and_may_still_be_planned_for(self) -> None:
        desk, text = make_desk(), "cuda:99 fp16"
        here = look(desk, VISIT, chosen(place=HERE, strategy=text)).verdict
        assert "cannot run: torch sees" in here
        assert 'role="alert"' in here
        assert "cannot run" not in look(desk, VISIT, chosen(place=CARD, strategy=text)).verdict

    @pytest.mark.parametrize(
        "wrong",
        [
            {"place": "moon"},
            {"size": "9"},
            {"size": "x"},
            {"size": None},
            {"place": ["here"]},
            {"sessions": 1e9},
            {"sessions": float("nan")},
            {"sessions": "many"},
            {"key": "../../passwd"},
            {"key": None},
            {"strategy": "cpu " * 1000},
        ],
    )
    def test_what_the_controls_cannot_send_is_one_sentence(self, wrong: dict[str, Any]) -> None:
        view = look(make_desk(), VISIT, chosen(**wrong))
        assert "alert" in f"{view.table}{view.verdict}"

    def test_an_empty_strategy_is_the_best_one(self) -> None:
        plans = [look(make_desk(), VISIT, chosen(strategy=text)) for text in ("", None)]
        assert plans[0].verdict == plans[1].verdict
        assert "cpu fp32" in plans[0].plan

    def test_an_unknown_memory_is_refused_by_name(self) -> None:
        with pytest.raises(SettingsError, match="7 GB"):
            available(make_desk(), COMPUTER, "7")

    def test_a_file_of_the_owner_is_planned_from_its_header_and_named_if_broken(
        self, mine: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "broken.pth").write_bytes(b"x")
        desk = make_desk(local=(mine, tmp_path / "broken.pth"))
        view = look(desk, VISIT, chosen("local-0"))
        assert "verdict is-fits" in view.verdict
        assert "neither a .pth nor" in look(desk, VISIT, chosen("local-1")).verdict
        # The others are judged all the same.
        assert view.table.count("verdict is-") == len(catalogue()) + 2


class TestWho:
    def test_a_visitor_only_plans_and_sees_no_files(self, mine: Path) -> None:
        desk, visitor = make_desk(who="nobody", local=(mine,)), VISIT
        view = look(desk, visitor, chosen())
        assert shown(view) == []
        assert "python -m rwkv_core.downloads" in view.plan
        assert "mine" not in view.table
        assert "running" not in view.table
        assert "choose one of the list" in look(desk, visitor, chosen("local-0")).table

    @pytest.mark.parametrize("action", ["get", "use", "back", "search", "cancel"])
    def test_every_action_asks_for_permission_itself(
        self, action: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = make_desk(who="this machine")
        for name in ("get", "use", "find", "cancel"):
            monkeypatch.setattr(desk, name, lambda *a, **k: pytest.fail("it was done"))
        far = Visit("en", asker("10.0.0.7"))
        if action == "search":
            said = str(asyncio.run(actions.search(desk, far, "someone", chosen()))[1])
        elif action == "cancel":
            said = actions.cancel(desk, far)
        else:
            said = views_of(getattr(actions, action)(desk, far, chosen()))[-1].status
        assert "Only the owner of this server" in said

    def test_the_owner_sees_what_can_be_done(self, mine: Path, tmp_path: Path) -> None:
        desk = make_desk(local=(mine,), cache=tmp_path / "hub")
        assert shown(look(desk, VISIT, chosen())) == ["get"]
        assert look(desk, VISIT, chosen()).get["value"] == "Get 382 MB"
        assert shown(look(desk, VISIT, chosen("local-0"))) == ["use"]
        assert shown(look(desk, VISIT, chosen(SHIPPED))) == []
        assert "python -m" not in look(desk, VISIT, chosen()).plan

    def test_the_model_that_runs_may_run_under_another_strategy(self) -> None:
        desk = make_desk()
        other = ["cpu int8", "cpu fp32 *1 -> cpu int8"]
        same = ["", "cpu fp32", "cpu fp32 *1 -> cpu fp32", "cpu fp99", "cuda:99 fp16"]
        for strategy in (*other, *same):
            view = look(desk, VISIT, chosen(SHIPPED, strategy=strategy))
            assert ("use" in shown(view)) is (strategy in other), strategy


class TestGetting:
    def test_a_download_is_shown_to_its_end_with_its_checksum(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The rest is not sent before the first view.
        hub = HubServer({"o/rwkv-x/x.pth": bytes(5_000_000)}, held_after=2_000_000)
        with serving(hub, monkeypatch):
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            choices, said, *_ = asyncio.run(actions.search(desk, VISIT, " o ", chosen()))
            assert "1 files of o" in said
            assert ("x.pth", "o/rwkv-x/x.pth") in choices["choices"]
            getting = actions.get(desk, VISIT, chosen("o/rwkv-x/x.pth"))
            views = views_of(getting, hub.released.set)
        assert shown(views[0]) == ["cancel"]
        assert "its checksum (sha256) is right" in views[-1].status
        assert shown(look(desk, VISIT, chosen("o/rwkv-x/x.pth"))) == ["use"]

    def test_what_is_left_of_a_download_changes_the_button(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = HubServer({"o/rwkv-x/x.pth": bytes(5_000_000)})
        with serving(hub, monkeypatch):
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            desk.find("o")
            hub.cut_after = [2_000_000, *[0] * 9]
            fetching = desk.get("o/rwkv-x/x.pth")
            while fetching.progress is None:
                assert fetching.is_running
            assert "Stopping" in actions.cancel(desk, VISIT)
            fetching.wait(30)
        views = views_of(actions.watch_fetching(desk, VISIT, chosen("o/rwkv-x/x.pth"), fetching))
        assert "is kept, so it goes on from there" in views[-1].status
        again = look(desk, VISIT, chosen("o/rwkv-x/x.pth"))
        assert re.match(r"Go on from [\d.]+ MB", again.get["value"])
        assert "MB fetched" in again.table

    def test_a_download_that_the_page_began_survives_a_kill_of_the_program(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content, key = bytes(range(256)) * 20_000, "o/rwkv-x/x.pth"
        hub = HubServer({key: content}, held_after=2_000_000)
        # Without Gradio, which takes seconds to import.
        code = (
            "import time; from pathlib import Path; from presets.limits import Limits\n"
            "from ui.models_desk import Desk; from ui.offers import Offers\n"
            f"cache, endpoint = Path({str(tmp_path)!r}), {hub.endpoint!r}\n"
            "offers = Offers(cache=cache)\n"
            "desk = Desk(None, offers, 'everyone', Limits(), cache=cache, endpoint=endpoint)\n"
            "desk.find('o')\n"
            f"fetching = desk.get({key!r})\n"
            "while True: print(fetching.progress, flush=True); time.sleep(0.05)"
        )
        with serving(hub, monkeypatch):
            command = [sys.executable, "-c", code]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                assert any("fetching" in line for line in child.stdout)
                child.kill()
            hub.released.set()
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            desk.find("o")
            hub.held_after = 0
            assert re.match(r"Go on from [\d.]+ MB", look(desk, VISIT, chosen(key)).get["value"])
            views = views_of(actions.get(desk, VISIT, chosen(key)))
        assert "its checksum (sha256) is right" in views[-1].status
        path = desk.offers.path_of(desk.offers.find(key))
        assert path is not None
        assert path.read_bytes() == content

    @pytest.mark.parametrize(
        ("status", "words"), [(401, "token"), (403, "ask for access"), (429, "slow down")]
    )
    def test_what_the_hub_refuses_is_one_sentence_in_the_page(
        self, status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(HubServer({}, status=status), monkeypatch) as hub:
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            said = views_of(actions.get(desk, VISIT, chosen()))[-1].status
        assert words in said
        assert said.count("<p") == 1

    def test_a_name_that_is_gone_gives_what_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = f"{catalogue()[0].repository}/newer.pth"
        with serving(HubServer({held: b"x"}), monkeypatch) as hub:
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            said = views_of(actions.get(desk, VISIT, chosen()))[-1].status
        assert "it holds newer.pth" in said

    def test_a_full_disk_is_told_before_it_begins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = catalogue()[0]
        name = f"{entry.repository}/{entry.file}"
        monkeypatch.setattr("rwkv_core.downloads.SPARE_BYTES", 2**60)
        with serving(HubServer({name: b"x"}), monkeypatch) as hub:
            desk = make_desk(cache=tmp_path, endpoint=hub.endpoint)
            said = views_of(actions.get(desk, VISIT, chosen()))[-1].status
        assert "make room, or set HF_HOME" in said

    def test_a_search_that_takes_too_long_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*args: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(actions, "SEARCH_S", 0.01)
        monkeypatch.setattr(asyncio, "to_thread", never)
        said = asyncio.run(actions.search(make_desk(), VISIT, "o", chosen()))[1]
        assert "did not answer within" in said

    def test_whoever_opens_the_page_sees_a_download_that_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*args: object, **kwargs: Any) -> Path:
            kwargs["cancelled"].wait(30)
            raise DownloadError("stopped")

        monkeypatch.setattr("ui.models_desk.download", stop)
        desk = make_desk(cache=tmp_path)
        desk.get(FIRST)

        async def watch(who: Visit) -> list[View]:
            views = []
            async for view in actions.resume(desk, who, chosen()):
                views.append(view)
                if len(views) > 2:
                    desk.cancel()
            return views

        far = Visit("en", asker("10.0.0.7"))
        assert len(asyncio.run(watch(VISIT))) > 3
        desk._who = "this machine"
        assert len(asyncio.run(watch(far))) == 1


class TestUsing:
    def test_a_device_that_this_machine_lacks_is_refused_before_anything_is_loaded(
        self, mine: Path
    ) -> None:
        desk = make_desk(switch := FakeSwitch(), local=(mine,))
        wanted = chosen("local-0", strategy="cuda:99 fp16")
        (view,) = views_of(actions.use(desk, VISIT, wanted))
        assert "cannot run: torch sees" in view.status
        assert switch.asked == []

    def test_using_a_model_ends_with_a_page_that_must_be_loaded_again(self, mine: Path) -> None:
        switch = FakeSwitch()
        desk = make_desk(switch, local=(mine,))
        views = views_of(actions.use(desk, VISIT, chosen("local-0", strategy=" cpu int8 ")))
        assert "Until it runs, everybody goes on" in views[0].status
        assert "runs. This page is loaded again" in views[-1].status
        assert views[-1].changed == desk.switch.now.name
        assert switch.asked[0][0].strategy == "cpu int8"
        assert shown(look(desk, VISIT, chosen())) == ["get", "back"]
        views_of(actions.back(desk, VISIT, chosen("local-0")))
        assert (switch.asked[1][0].name, desk.is_shipped()) == ("Pip", True)

    def test_a_failure_changes_nothing_and_is_told_where_it_was_asked(self, mine: Path) -> None:
        switch = FakeSwitch()

        def fail() -> None:
            raise SwitchError("mine could not be loaded: it is broken; Pip still runs")

        switch.before = fail
        view = views_of(actions.use(make_desk(switch, local=(mine,)), VISIT, chosen("local-0")))[-1]
        assert "Pip still runs" in view.status
        assert not isinstance(view.changed, str)

    def test_what_fits_only_alone_gets_a_button_for_that(self, mine: Path) -> None:
        switch = FakeSwitch()
        desk = crowded(switch, mine)
        view = views_of(actions.use(desk, VISIT, chosen("local-0", strategy="cpu fp32")))[-1]
        assert "nobody can write until" in view.status
        assert "first" in shown(view)
        assert switch.asked == []
        wish = chosen("local-0", strategy="cpu fp32")
        views_of(actions.use(desk, VISIT, wish, unload_first=True))
        assert switch.asked[0][1]


def crowded(switch: FakeSwitch, mine: Path) -> Desk:
    """A machine in which a model fits only without the one that runs."""
    desk = make_desk(local=(mine,))
    inventory = desk.offers.inventory_of(desk.offers.find("local-0"))
    assert inventory is not None
    need = plan_memory(inventory, "cpu fp32").needs["cpu"]
    return make_desk(switch, local=(mine,), free_bytes=need.total - need.runtime - 1)


def test_everything_is_said_in_every_language(mine: Path) -> None:
    for language in LANGUAGES:
        desk = make_desk(local=(mine,))
        visit = Visit(language, asker())
        assert look(desk, visit, chosen()).get["value"]
        assert views_of(actions.use(desk, visit, chosen("local-0")))[-1].status
