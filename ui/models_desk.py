"""What an owner may do on the Models tab, and what is going on there, whoever watches."""

import threading
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

from presets import DEFAULT_MODEL_NAME, default_model_path
from presets.limits import Limits
from rwkv_core.checkpoint import resolve_path
from rwkv_core.checkpoint.paths import stamp_of
from rwkv_core.config import Choice
from rwkv_core.downloads import Fetching, download
from rwkv_core.engine import Engine
from rwkv_core.errors import (
    CheckpointError,
    DownloadError,
    RwkvError,
    SettingsError,
    StrategyError,
    SwitchError,
)
from rwkv_core.hub import search
from rwkv_core.limits import EngineLimits, WhoMaySwitch
from rwkv_core.machine import Machine, look_at_machine
from rwkv_core.memory import PROGRAM_BYTES, gigabytes, plan_memory
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import inventory_of_file
from rwkv_core.proposals import propose
from rwkv_core.strategy import choose_strategy, parse_strategy
from rwkv_core.switching import Room, Source, Step, Switch, freed_by, room_for, start
from ui.offers import SHIPPED, Offer, Offers
from ui.permission import Asker, may_switch, require_switch

# Repositories and files that a search gives.
MAX_FOUND = 40


class BothDoNotFitError(SwitchError):
    """A model fits once the one that runs is unloaded, not before."""


class Changing:
    """Another model on its way, on a thread of its own, which goes on whoever watches it.

    Attributes:
        key: of the new model.
        step: what is being done.
        error: why it failed.
    """

    def __init__(self, key: str, change: Callable[[Callable[[Step], None]], object]) -> None:
        self.key = key
        self.step: Step = "loading"
        self.error: RwkvError | None = None
        self._change, self._ended = change, threading.Event()
        # A fresh thread also has a fresh context: Gradio builds no page inside one of its events.
        threading.Thread(target=self._run, name="rwkv-switch", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._ended.wait(timeout_s)

    def _note(self, step: Step) -> None:
        self.step = step

    def _run(self) -> None:
        try:
            self._change(self._note)
        except RwkvError as error:
            self.error = error
        finally:
            self._ended.set()


class Desk:
    """Fetches models, and changes the one that runs; for the whole server.

    Args:
        switch: which model runs.
        offers: what can be chosen.
        who: may do so.
        limits: of every engine and page.
        cache: of the Hub's files; huggingface_hub's own by default.
        endpoint: of the Hub; huggingface_hub's own by default.
        look: finds out what the machine has.

    Attributes:
        fetching: the last download.
        changing: the last change.
    """

    def __init__(
        self,
        switch: Switch,
        offers: Offers,
        who: WhoMaySwitch,
        limits: Limits,
        *,
        cache: Path | None = None,
        endpoint: str | None = None,
        look: Callable[[], Machine] = look_at_machine,
    ) -> None:
        self.switch, self.offers, self.look = switch, offers, look
        self.fetching: Fetching | None = None
        self.changing: Changing | None = None
        self._who, self.limits = who, limits
        self._cache, self._endpoint = cache, endpoint
        # Two clicks at once must not start two.
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether anybody may change the model, so that pages have to look out for it."""
        return self._who != "nobody"

    @property
    def engine(self) -> Engine:
        """The engine that runs."""
        return self.switch.now.engine

    def lets(self, request: Asker | None) -> bool:
        """Whether whoever asks may use the desk."""
        return may_switch(self._who, request)

    def require(self, request: Asker | None) -> None:
        """Check that whoever asks may use the desk; NotAllowedError where not."""
        require_switch(self._who, request)

    def free(self) -> dict[str, int]:
        """Bytes by device that are free once the model that runs is gone, the program included."""
        running = self.switch.now.plan
        freed = freed_by(running, self.look().available)
        if freed.get("cpu"):
            freed["cpu"] += running.needs["cpu"].runtime
        return freed

    def is_shipped(self) -> bool:
        """Whether the shipped model runs."""
        return self.switch.now.source.path == self.offers.find(SHIPPED).path

    def is_running(self, offer: Offer, strategy: str = "", sessions: int = 1) -> bool:
        """Whether it is this model that runs, from the file as it is, and where and how is wanted.

        Args:
            offer: the model.
            strategy: what is wanted; "" for the best one.
            sessions: conversations at once to propose for.
        """
        now = self.switch.now
        path = self.offers.path_of(offer)
        if path is None or now.source.path != path or now.stamp not in ((0, 0), stamp_of(path)):
            return False
        runs, layers = now.plan.placement, now.plan.config.n_layer
        try:
            text = strategy.strip() or self._best(offer, sessions)
            wanted = parse_strategy(text) if text else runs
            return wanted.allocate(layers) == runs.allocate(layers)
        except (StrategyError, CheckpointError):
            # Nothing that could run instead.
            return True

    def _best(self, offer: Offer, sessions: int) -> str:
        inventory = self.offers.inventory_of(offer)
        if inventory is None:
            return ""
        return propose(inventory, self.free(), sessions=sessions).strategy.value

    def get(self, key: object) -> Fetching:
        """Begin to fetch a model, or go on with it.

        Raises:
            SettingsError: there is no such model, or it is here.
            DownloadError: another one is being fetched.
        """
        offer = self.offers.find(key)
        with self._lock:
            if self.fetching is not None and self.fetching.is_running:
                other = self.offers.find(self.fetching.key).title
                raise DownloadError("{name} is being fetched; wait, or cancel it", name=other)
            if self.offers.path_of(offer) is not None:
                raise SettingsError("{name} is on this machine already; use it", name=offer.title)
            fetch = partial(
                download,
                offer.repository,
                offer.file,
                sha256=offer.sha256,
                endpoint=self._endpoint,
                cache=self._cache,
            )
            self.fetching = Fetching(offer.key, fetch)
            return self.fetching

    def cancel(self) -> None:
        """Stop the download; what was fetched stays."""
        if self.fetching is not None:
            self.fetching.cancel()

    def use(self, key: object, strategy: str, *, unload_first: bool = False) -> Changing:
        """Begin to load a model that is on this machine, in place of the one that runs.

        Args:
            key: of the model.
            strategy: where and how it runs; "" for the best one.
            unload_first: give up the one that runs before the new one is loaded.

        Raises:
            SettingsError: no such model, or it is not here.
            StrategyError: the text is none.
            BothDoNotFitError: there is room only if the one that runs is unloaded first.
            SwitchError: there is not enough room, or another change is under way.
        """
        offer = self.offers.find(key)
        source = self._source(offer, strategy, unload_first=unload_first)
        with self._lock:
            if self.changing is not None and self.changing.is_running:
                raise SwitchError("another model is being loaded just now; wait until it runs")
            change = partial(self.switch.change, source, unload_first=unload_first)
            self.changing = Changing(offer.key, lambda tell: change(tell=tell))
            return self.changing

    def _source(self, offer: Offer, strategy: str, *, unload_first: bool) -> Source:
        path = self.offers.path_of(offer)
        if path is None:
            raise SettingsError("{name} is not on this machine; get it first", name=offer.title)
        if strategy:
            parse_strategy(strategy)
        name = offer.title if offer.key == SHIPPED else ""
        inventory, free = self.offers.inventory_of(offer), self.look().available
        if inventory is None or not free["cpu"]:
            # This system does not tell how much memory is free, so nothing can be judged.
            return Source(path, strategy or None, name=name)
        limits, running = self.limits.engine, self.switch.now
        chosen: str | Choice = strategy
        if not strategy:
            chosen = propose(inventory, self.free(), limits=limits).choice
        text = chosen if isinstance(chosen, str) else chosen.value
        plan = plan_memory(inventory, text, limits=limits)
        room = room_for(plan, running.plan, free)
        _check_room(offer.title, running.name, room, unload_first=unload_first)
        return Source(path, chosen, name=name)

    def find(self, owner: str) -> int:
        """Search the Hub for RWKV weights of somebody, with one request; returns how many.

        Raises:
            DownloadError: nothing was found, or no answer came.
        """
        found = search(owner, endpoint=self._endpoint, limit=MAX_FOUND)
        self.offers.add_found(found)
        return len(found)

    def close(self) -> None:
        """End the engine, and a download, whose part is kept."""
        self.cancel()
        if self.fetching is not None:
            self.fetching.wait(2)
        self.switch.close()


def open_desk(
    chosen: Namespace,
    who: WhoMaySwitch,
    limits: Limits,
    look: Callable[[], Machine] = look_at_machine,
) -> Desk:
    """Load the model that the command line names, or the shipped one.

    Args:
        chosen: of the command line: model, models_folder, strategy, tokenizer and state.
        who: may fetch models and change the one that runs.
        limits: of every engine.
        look: finds out what this machine has.

    Raises:
        RwkvError: something of it cannot be used; says why and what can.
    """
    files = [resolve_path(path) for path in chosen.model]
    offers = Offers(files, chosen.models_folder)
    path = files[0] if files else resolve_path(default_model_path())
    name = "" if files else DEFAULT_MODEL_NAME
    strategy = chosen.strategy
    if strategy is None:
        # The shipped one is small enough for any processor.
        strategy = choose_strategy()
        if files:
            strategy = _best_strategy(path, look().available, limits.engine)
    source = Source(path, strategy, chosen.tokenizer, chosen.state, name)
    switch = Switch(start(source, limits.engine), limits.engine, limits.requests.drain_s)
    return Desk(switch, offers, who, limits, look=look)


def _best_strategy(path: Path, free: dict[str, int], limits: EngineLimits) -> Choice | None:
    """Propose for a model of the command line what the page would; None: nobody tells the memory."""
    if not free["cpu"]:
        return None
    # This program has taken its share already.
    free = free | {"cpu": free["cpu"] + PROGRAM_BYTES}
    best = propose(inventory_of_file(open_checkpoint(path)), free, limits=limits)
    if best.verdict.answer == "no":
        raise SwitchError(
            "{name}: {reason}, or name a strategy with --strategy to try it all the same",
            name=path.name,
            reason=best.strategy.reason,
        )
    return best.choice


def _check_room(title: str, running: str, room: Room, *, unload_first: bool) -> None:
    if unload_first and room.alone.answer != "no":
        return
    if room.beside.answer != "no":
        return
    beside, alone = room.beside, room.alone
    if alone.answer == "no":
        raise SwitchError(
            "{name} needs {needed} on {device}, and even without {running} there are only {room}; "
            "choose a smaller model, or a strategy that needs less",
            name=title,
            needed=gigabytes(alone.needed),
            device=alone.device,
            running=running,
            room=gigabytes(alone.available),
        )
    raise BothDoNotFitError(
        "{name} needs {needed} on {device} and {room} are free beside {running}; it fits if "
        "{running} is unloaded first: nobody can write until {name} runs, and if that fails "
        "{running} is loaded again",
        name=title,
        needed=gigabytes(beside.needed),
        device=beside.device,
        running=running,
        room=gigabytes(beside.available),
    )
