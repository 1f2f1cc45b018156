import gc
import shutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import presets
from rwkv_core.engine import Engine
from rwkv_core.errors import EngineClosedError, StateError, SwitchError, TokenizerError
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.limits import EngineLimits
from rwkv_core.memory import GB, plan_memory
from rwkv_core.models import load_model
from rwkv_core.sampling import SamplingSettings
from rwkv_core.state_files import load_initial_state
from rwkv_core.switching import (
    Running,
    Source,
    Switch,
    freed_by,
    load_engine,
    room_for,
    start,
)
from tests.checkpoints import random_weights, write_safetensors
from tests.rwkv_core.test_memory import SMALL
from tests.rwkv_core.watched import settings

LIMITS = EngineLimits()
SHIPPED = Source(presets.default_model_path(), "cpu fp32", name="Pip")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A second model with a vocabulary of its own."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copy(presets.default_model_path().with_name("tokenizer.json"), folder)
    vocabulary = load_model(presets.default_model_path(), "cpu fp32").config.vocab_size
    weights = random_weights(n_layer=2, vocab_size=vocabulary)
    return Source(write_safetensors(folder / "other.safetensors", weights), "cpu fp32")


@pytest.fixture
def switch() -> Iterator[Switch]:
    made = Switch(start(SHIPPED, LIMITS), LIMITS, drain_s=5)
    yield made
    made.close()


def write(engine: Engine, tokens: int = 3) -> list[int]:
    return [token.id for token in engine.submit("a", [5], settings(tokens))]


class TestLoading:
    def test_a_model_that_was_given_a_name_is_called_by_it(self, switch: Switch) -> None:
        assert switch.now.engine.model.name == switch.now.name == "Pip"

    def test_a_model_its_vocabulary_and_a_state_come_together(self, tmp_path: Path) -> None:
        shutil.copytree(presets.default_model_path().parent, tmp_path / "pip")
        path = tmp_path / "pip" / "model.safetensors"
        model = load_model(path, "cpu fp32")
        tuned = {
            f"blocks.{i}.att.time_state": torch.randn(model.config.wkv_shape)
            for i in range(model.config.n_layer)
        }
        torch.save(tuned, tmp_path / "tuned.pth")
        with load_engine(path, "cpu fp32", None, tmp_path / "tuned.pth") as engine:
            assert [*engine.choices] == [*model.choices, "tokenizer", "state"]
            assert engine.choices["tokenizer"] == ("tokenizer.json", "it lies beside the model")
            assert engine.choices["state"].value == "tuned.pth"
            wanted = settings(4, greedy=True)
            ids = [token.id for token in engine.submit("a", [5], wanted)]
            start, _ = load_initial_state(tmp_path / "tuned.pth", model.config, "")
            assert ids == [t.id for t in generate(model, engine.tokenizer, [5], wanted, start)]
        with load_engine(path, "cpu fp32", path.parent) as engine:
            assert "state" not in engine.choices
            assert engine.choices["tokenizer"].reason == "asked for"

    def test_what_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        path = presets.default_model_path()
        with pytest.raises(TokenizerError, match="World vocabulary has 65,530 ids"):
            load_engine(path, "cpu fp32", "world")
        with pytest.raises(StateError, match=r"none\.pth is not a readable state file"):
            load_engine(path, "cpu fp32", None, tmp_path / "none.pth")


class TestChanging:
    def test_another_model_runs_and_the_old_one_says_so_and_gives_its_memory_back(
        self, switch: Switch, other: Source
    ) -> None:
        old = switch.now
        told: list[Running] = []
        steps: list[str] = []
        switch.on_change = told.append
        weight = weakref.ref(next(old.engine.model.network.parameters()))
        new = switch.change(other, tell=steps.append)
        assert (switch.now, told, steps) == (new, [new], ["loading", "draining"])
        assert (new.name, old.name) == ("other", "Pip")
        assert write(new.engine)
        with pytest.raises(EngineClosedError, match="replaced by other; reload it"):
            write(old.engine)
        gc.collect()
        assert weight() is None
        # Sizes and names stay: pages that are still open show them.
        assert old.engine.model.config.n_layer == 6

    def test_a_failed_load_leaves_the_old_model_as_it_was(
        self, switch: Switch, tmp_path: Path
    ) -> None:
        old = switch.now
        (tmp_path / "broken.safetensors").write_bytes(b"no weights")
        with pytest.raises(
            SwitchError, match=r"broken\.safetensors could not be loaded: .*Pip still"
        ):
            switch.change(Source(tmp_path / "broken.safetensors"))
        with pytest.raises(SwitchError, match="cannot read this strategy"):
            switch.change(Source(SHIPPED.path, "cpu fp99"))
        assert switch.now is old
        assert write(old.engine)

    def test_a_page_that_cannot_be_built_leaves_the_old_model(
        self, switch: Switch, other: Source
    ) -> None:
        old = switch.now
        seen: list[Running] = []

        def fail(new: Running) -> None:
            seen.append(new)
            raise RuntimeError("no page")

        switch.on_change = fail
        with pytest.raises(SwitchError, match=r"RuntimeError, no page; Pip still runs"):
            switch.change(other)
        assert switch.now is old
        assert write(old.engine)
        assert seen[0].engine.is_closed

    def test_answers_that_run_are_finished_and_new_ones_wait_for_the_new_model(
        self, switch: Switch, other: Source
    ) -> None:
        old = switch.now.engine
        asked = GenerationSettings(SamplingSettings(seed=1), max_tokens=400, stop=())
        stream = old.submit("a", [5], asked)
        refusals: list[str] = []

        def look(new: Running) -> None:
            try:
                old.submit("b", [5], asked)
            except EngineClosedError as error:
                refusals.append(str(error))

        switch.on_change = look
        thread = threading.Thread(target=switch.change, args=(other,))
        thread.start()
        tokens = list(stream)
        thread.join()
        assert stream.result is not None
        assert stream.result.error is None
        assert len(tokens) == 400 or stream.result.reason != "cancelled"
        assert "being changed to other" in refusals[0]

    def test_only_one_change_at_a_time(self, switch: Switch, other: Source) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def wait(new: Running) -> None:
            begun.set()
            go_on.wait(30)

        switch.on_change = wait
        thread = threading.Thread(target=switch.change, args=(other,))
        thread.start()
        begun.wait(30)
        with pytest.raises(SwitchError, match="just now; wait"):
            switch.change(SHIPPED)
        go_on.set()
        thread.join()
        assert switch.now.name == "other"


class TestUnloadingFirst:
    def test_the_old_model_is_gone_before_the_new_one_is_read(
        self, switch: Switch, other: Source
    ) -> None:
        old = switch.now
        steps: list[tuple[str, bool]] = []

        def tell(step: str) -> None:
            steps.append((step, old.engine.is_closed))

        switch.change(other, unload_first=True, tell=tell)
        assert steps == [("unloading", False), ("loading", True)]
        assert write(switch.now.engine)

    def test_a_failure_loads_the_old_one_again(self, switch: Switch, tmp_path: Path) -> None:
        old = switch.now
        told: list[Running] = []
        switch.on_change = told.append
        (tmp_path / "broken.pth").write_bytes(b"no weights")
        with pytest.raises(SwitchError, match="Pip was loaded again"):
            switch.change(Source(tmp_path / "broken.pth"), unload_first=True)
        assert switch.now is not old
        assert told == [switch.now]
        assert (switch.now.name, bool(write(switch.now.engine))) == ("Pip", True)

    def test_where_nothing_can_be_loaded_another_choice_is_still_possible(
        self, tmp_path: Path, other: Source
    ) -> None:
        gone = Source(Path(shutil.copy(other.path, tmp_path / "gone.safetensors")), "cpu fp32")
        shutil.copy(other.path.with_name("tokenizer.json"), tmp_path)
        switch = Switch(start(gone, LIMITS), LIMITS, drain_s=1)
        gone.path.unlink()
        with pytest.raises(SwitchError, match="so no model runs: choose another"):
            switch.change(Source(tmp_path / "none.pth"), unload_first=True)
        assert switch.now.engine.is_closed
        switch.change(SHIPPED)
        assert write(switch.now.engine)
        switch.close()


def test_room_beside_counts_no_second_program_and_room_alone_what_comes_back() -> None:
    running, plan = plan_memory(SMALL, "cpu int8"), plan_memory(SMALL, "cpu fp32")
    need = plan.needs["cpu"].total - plan.needs["cpu"].runtime
    taken = running.needs["cpu"]
    back = taken.weights - taken.mapped + taken.state + taken.workspace
    room = room_for(plan, running, {"cpu": need - 1})
    assert (room.beside.answer, room.beside.needed) == ("no", need)
    assert room.alone.answer == "fits"
    assert room.alone.available == need - 1 + back
    assert room_for(plan, running, {"cpu": need}).beside.answer == "tight"


def test_a_card_gets_back_what_the_running_model_had_there() -> None:
    running = plan_memory(SMALL, "cuda fp16")
    free = freed_by(running, {"cpu": GB, "cuda:0": GB})
    assert free["cuda:0"] > GB + running.needs["cuda"].weights
    assert "cuda" not in free
