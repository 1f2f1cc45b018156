"""A desk for tests: a fake engine runs, and nothing is loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import presets
from presets.limits import Limits
from rwkv_core.config import Choice
from rwkv_core.limits import WhoMaySwitch
from rwkv_core.machine import Machine
from rwkv_core.memory import GB, plan_memory
from rwkv_core.models.outline import Sizes, inventory_of_sizes
from rwkv_core.switching import Running, Source, Switch
from tests.ui.fakes import FakeEngine, as_engine
from ui.models_actions import Visit
from ui.models_desk import Desk
from ui.offers import Offers
from ui.permission import Asker

TINY = inventory_of_sizes(Sizes("7", 2, 64, 300, ranks=(("a", 8), ("g", 8), ("v", 8), ("w", 8))))


def machine(free_bytes: int = 9 * GB, gpus: tuple[tuple[str, int, int], ...] = ()) -> Machine:
    """A machine with so much free memory."""
    return Machine(
        Choice("A <CPU>", "test"),
        Choice("2", "of 4"),
        Choice("avx2", "used"),
        Choice("none", "this PyTorch is the build for the CPU alone"),
        16 * GB,
        free_bytes,
        gpus,
    )


class FakeSwitch:
    """Remembers what it was asked to load."""

    def __init__(self, source: Source | None = None) -> None:
        source = source or Source(presets.default_model_path(), name="Pip")
        self.now = Running(source, as_engine(FakeEngine()), plan_memory(TINY, "cpu fp32"))
        self.asked: list[tuple[Source, bool]] = []
        self.before: Callable[[], None] = lambda: None
        self.is_closed = False

    def change(self, source: Source, *, unload_first: bool, tell: Callable[[str], None]) -> None:
        self.asked.append((source, unload_first))
        tell("draining")
        self.before()
        self.now = Running(source, self.now.engine, self.now.plan)

    def close(self) -> None:
        self.is_closed = True


def make_desk(
    switch: FakeSwitch | None = None,
    who: WhoMaySwitch = "everyone",
    *,
    local: tuple[Path, ...] = (),
    free_bytes: int = 9 * GB,
    **kwargs: Any,
) -> Desk:
    """A desk over a fake switch."""
    offers = Offers(local, cache=kwargs.get("cache"))
    chosen = cast(Switch, switch or FakeSwitch())
    return Desk(chosen, offers, who, Limits(), look=lambda: machine(free_bytes), **kwargs)


def asker(host: str = "127.0.0.1", headers: Mapping[str, str] | None = None) -> Asker:
    """Somebody who asks."""
    sent = {"host": "127.0.0.1:7860"} | dict(headers or {})
    return cast(Asker, SimpleNamespace(client=SimpleNamespace(host=host), headers=sent))


VISIT = Visit("en", asker())
