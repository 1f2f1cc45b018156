"""The model that runs, and how another takes its place while everybody is connected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kernels.sentences import Sentence
from rwkv_core.checkpoint.paths import stamp_of
from rwkv_core.config import Choice
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError, SwitchError
from rwkv_core.limits import EngineLimits
from rwkv_core.memory import MemoryPlan, Verdict, judge, plan_memory, plan_without_program
from rwkv_core.models import load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import inventory_of_file
from rwkv_core.models.runtime import PACKED
from rwkv_core.state_files import load_initial_state
from rwkv_core.tokenizer import load_tokenizer

Step = Literal["loading", "draining", "unloading", "back"]


@dataclass(frozen=True)
class Source:
    """What a model is loaded from.

    Attributes:
        path: a checkpoint, see rwkv_core.models.load_model.
        strategy: devices and dtypes; chosen for the file when not given.
        tokenizer: "world", "20B" or a file.
        state: a file whose memory every text begins from.
        name: what to call it; its file's name when empty.
    """

    path: Path
    strategy: str | Choice | None = None
    tokenizer: str | Path | None = None
    state: Path | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Running:
    """A model that runs.

    Attributes:
        source: what it was loaded from.
        engine: runs it.
        plan: what it takes.
        stamp: of its file when it was loaded, see `stamp_of`.
    """

    source: Source
    engine: Engine
    plan: MemoryPlan
    stamp: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.engine.model.name

    def describe(self) -> str:
        """Say what runs and what was chosen, each with its reason, a line for each."""
        lines = [f"{self.source.path.name}: {self.engine.model.parameters:,} parameters"]
        choices = self.engine.choices.items()
        lines += [f"  {what}: {value} ({reason})" for what, (value, reason) in choices]
        return "\n".join(lines)


def load_engine(
    path: str | Path,
    strategy: str | Choice | None = None,
    tokenizer: str | Path | None = None,
    state: str | Path | None = None,
    limits: EngineLimits | None = None,
) -> Engine:
    """Load a model with its vocabulary and start an engine.

    Args:
        path: a checkpoint, see rwkv_core.models.load_model.
        strategy: devices and dtypes; chosen for the file when not given.
        tokenizer: "world", "20B" or a file, see rwkv_core.tokenizer.load_tokenizer.
        state: a file whose memory every text begins from, see rwkv_core.state_files.
        limits: what to give out; the defaults suit two CPU cores.

    Raises:
        RwkvError: one of them cannot be used; says why and what can.
    """
    model = load_model(path, strategy)
    vocabulary, why = load_tokenizer(path, model.config.vocab_size, tokenizer)
    start, choices = None, {"tokenizer": why}
    if state is not None:
        start, choices["state"] = load_initial_state(state, model.config, model.fingerprint)
    return Engine(model, vocabulary, limits, start=start, choices=choices)


def start(source: Source, limits: EngineLimits) -> Running:
    """Load a model; errors as of `load_engine`."""
    stamp = stamp_of(source.path)
    files = (source.path, source.strategy, source.tokenizer, source.state)
    engine = load_engine(*files, limits=limits)
    engine.model.name = source.name or engine.model.name
    inventory = inventory_of_file(open_checkpoint(source.path))
    plan = plan_memory(
        inventory,
        engine.model.placement,
        limits=limits,
        has_compiler=engine.choices["kernel"].value == PACKED,
    )
    return Running(source, engine, plan, stamp)


@dataclass(frozen=True)
class Room:
    """Whether another model fits.

    Attributes:
        beside: while the one that runs stays until the new one is loaded.
        alone: once the one that runs is unloaded.
    """

    beside: Verdict
    alone: Verdict


def room_for(plan: MemoryPlan, running: MemoryPlan, free: Mapping[str, int]) -> Room:
    """Judge whether a model fits into a process that runs another one.

    Args:
        plan: of the new model.
        running: of the one that runs.
        free: bytes by device that nobody uses now.
    """
    added = plan_without_program(plan, running)
    return Room(judge(added, free), judge(added, freed_by(running, free)))


def freed_by(running: MemoryPlan, free: Mapping[str, int]) -> dict[str, int]:
    """Bytes by device that are free once the model that runs is unloaded; its program stays."""
    freed = dict(free)
    for device, need in running.needs.items():
        # What stays in the file counts as free already: the system drops it when asked.
        back = need.weights - need.mapped + need.state + need.workspace
        key = device if device in freed else f"{device}:0" if f"{device}:0" in freed else device
        freed[key] = freed.get(key, 0) + back
    return freed


class Switch:
    """Which model runs; one change at a time, and whatever fails leaves a model running.

    Args:
        running: the first one.
        limits: of every engine.
        drain_s: seconds that running texts get before their model goes.

    Attributes:
        now: the one that runs.
        on_change: told of the new one when nobody asks the old one any more; an error from it
            leaves the old one running.
    """

    def __init__(self, running: Running, limits: EngineLimits, drain_s: float) -> None:
        self.now = running
        self.on_change: Callable[[Running], None] = lambda new: None
        self._limits, self._drain_s = limits, drain_s
        self._changing = threading.Lock()

    def change(
        self,
        source: Source,
        *,
        unload_first: bool = False,
        tell: Callable[[Step], None] = lambda step: None,
    ) -> Running:
        """Load a model and let it take the place of the one that runs.

        Texts that run are finished, within the limit; new ones are refused meanwhile, with the
        reason. The old model is given up last, so that a failure leaves it as it was.

        Args:
            source: the new model.
            unload_first: give the old one up before, for both do not fit at once; should the
                new one fail, the old one is loaded again.
            tell: told of every step.

        Raises:
            SwitchError: it failed, or another change is under way; says which model runs now.
        """
        if not self._changing.acquire(blocking=False):
            raise SwitchError("another model is being loaded just now; wait until it runs")
        try:
            return (self._instead if unload_first else self._beside)(source, tell)
        finally:
            self._changing.release()

    def _beside(self, source: Source, tell: Callable[[Step], None]) -> Running:
        old = self.now
        tell("loading")
        try:
            new = start(source, self._limits)
        except Exception as error:
            raise SwitchError(
                "{told}; {name} still runs", told=_told(source, error), name=old.name
            ) from error
        tell("draining")
        try:
            old.engine.drain(self._drain_s, _changing_to(new.name))
            self._put(new)
        except Exception as error:
            old.engine.resume()
            new.engine.unload("this model never ran")
            raise SwitchError(
                "{told}; {name} still runs", told=_told(source, error), name=old.name
            ) from error
        old.engine.unload(_gone(new.name))
        return new

    def _instead(self, source: Source, tell: Callable[[Step], None]) -> Running:
        old = self.now
        tell("unloading")
        old.engine.drain(self._drain_s, _changing_to(source.name or source.path.stem))
        old.engine.unload(_changing_to(source.name or source.path.stem))
        try:
            tell("loading")
            new = start(source, self._limits)
            self._put(new)
        except Exception as error:
            tell("back")
            told = _told(source, error)
            try:
                self._put(start(old.source, self._limits))
            except Exception as second:
                raise SwitchError(
                    "{told}; and {name} cannot be loaded again ({why}), so no model runs: choose "
                    "another, or start the program again",
                    told=told,
                    name=old.name,
                    why=_line(second),
                ) from second
            raise SwitchError(
                "{told}; {name} was loaded again", told=told, name=old.name
            ) from error
        return new

    def _put(self, new: Running) -> None:
        self.on_change(new)
        self.now = new

    def close(self) -> None:
        """End the engine."""
        self.now.engine.close()


def _changing_to(name: str) -> str:
    return Sentence(
        "the model is being changed to {name}; what you wrote is kept, so wait a moment and "
        "reload this page",
        name=name,
    )


def _gone(name: str) -> str:
    return Sentence(
        "this page is of a model that was replaced by {name}; reload it, your chats are kept",
        name=name,
    )


def _told(source: Source, error: Exception) -> str:
    reason = error if isinstance(error, RwkvError) else _line(error)
    name = source.name or source.path.name
    return Sentence("{name} could not be loaded: {reason}", name=name, reason=reason)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no details'}"
