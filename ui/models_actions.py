"""What the Models tab does when something is pressed: plain functions over the desk."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from presets.words import speak, translated
from rwkv_core.downloads import Fetching
from rwkv_core.errors import DownloadError, RwkvError, SettingsError
from rwkv_core.memory import GB, PRESETS_GB, judge, plan_memory
from rwkv_core.proposals import propose
from rwkv_core.strategy import parse_strategy
from ui.components import bytes_text, error_line
from ui.models_desk import BothDoNotFitError, Changing, Desk
from ui.models_views import Row, about_html, fetching_html, judged_html, plan_html, table_html
from ui.offers import SHIPPED, Offer
from ui.permission import Asker

HERE, COMPUTER, CARD = "here", "computer", "card"
# Beside a card, the computer's memory is taken to be enough for what stays there.
HOST_GB = 64
MAX_STRATEGY, MAX_SESSIONS, MAX_OWNER = 300, 64, 96
# How often a watched download or change is drawn, and how long a search may take.
REDRAW_S, SEARCH_S = 0.4, 20.0


@dataclass(frozen=True)
class Visit:
    """Who asks, and in which language.

    Attributes:
        language: the visitor's.
        request: what came; None from a test.
    """

    language: str
    request: Asker | None

    def say(self, key: str, **values: object) -> str:
        """One text of the tab."""
        return speak(self.language, f"models.{key}", **values)


class Chosen(NamedTuple):
    """What the controls say, as it came: nothing of it is trusted."""

    place: str
    size: str
    sessions: float
    key: str
    strategy: str | None


class View(NamedTuple):
    """Everything of the tab that an event changes, in the order of its outputs."""

    size: Any
    table: Any
    verdict: Any
    plan: Any
    status: Any
    get: Any
    use: Any
    first: Any
    cancel: Any
    back: Any
    changed: Any


def look(desk: Desk, visit: Visit, chosen: Chosen, status: str | None = None) -> View:
    """Draw the tab for what is chosen."""
    shown = gr.update(visible=chosen.place != HERE)
    try:
        allowed = desk.lets(visit.request)
        offer = desk.offers.find(chosen.key, is_public=not allowed)
        room = available(desk, chosen.place, chosen.size)
        count = _sessions(chosen.sessions)
    except RwkvError as error:
        problem = _unchanged()._replace(
            size=shown, table=error_line(error, visit.language), verdict="", plan=""
        )
        return problem._replace(status=status or "")
    rows = rows_of(desk, visit, room, count, allowed=allowed)
    table = table_html(rows, chosen.key, visit.language)
    strategy = chosen.strategy or ""
    parts = look_text(desk, visit, room, count, offer, strategy, must_be_here=chosen.place == HERE)
    told = gr.skip() if status is None else status
    buttons = _buttons(desk, visit, offer, strategy, count, allowed)
    return View(shown, table, *parts, told, *buttons, gr.skip())


def available(desk: Desk, place: str, size: str) -> dict[str, int]:
    """Bytes by device of the memory to plan for.

    Raises:
        SettingsError: no such place or size.
    """
    if size not in map(str, PRESETS_GB) or place not in (HERE, COMPUTER, CARD):
        raise SettingsError(
            "{place} with {size} GB is no memory to plan for; choose one of the sizes shown",
            place=str(place)[:20],
            size=str(size)[:20],
        )
    if place == HERE:
        return desk.free()
    if place == COMPUTER:
        return {"cpu": int(size) * GB}
    return {"cpu": HOST_GB * GB, "cuda": int(size) * GB}


def look_text(
    desk: Desk,
    visit: Visit,
    room: Mapping[str, int],
    sessions: int,
    offer: Offer,
    strategy: str,
    *,
    must_be_here: bool,
) -> tuple[str, str]:
    """One model's verdict, and its card: bytes part by part, its layers, where it comes from.

    Of this machine a device that it lacks is told as such, and not as one without memory.
    """
    try:
        if len(strategy) > MAX_STRATEGY:
            raise _too_long(strategy)
        inventory = desk.offers.inventory_of(offer)
        if inventory is None:
            return _line(visit.say("unknown_needs")), ""
        best = propose(inventory, room, sessions=sessions)
        text = strategy.strip() or best.strategy.value
        plan, verdict, reason = best.plan, best.verdict, best.strategy.reason
        if strategy.strip():
            placement = parse_strategy(text, must_be_here=must_be_here)
            plan = plan_memory(inventory, placement, sessions=sessions)
            verdict, reason = judge(plan, room), ""
    except RwkvError as error:
        return error_line(error, visit.language), ""
    about = ""
    if offer.entry is not None:
        has_commands = not desk.lets(visit.request)
        about = about_html(offer.entry, text, visit.language, has_commands=has_commands)
    card = plan_html(plan, visit.language) + about
    return judged_html(verdict, reason, visit.language), card


def rows_of(
    desk: Desk, visit: Visit, room: Mapping[str, int], sessions: int, *, allowed: bool
) -> list[Row]:
    """Every model that the visitor may see: the best strategy, and what is so on this machine."""
    rows = []
    running = desk.switch.now.source.path
    for offer in desk.offers if allowed else desk.offers.public:
        try:
            inventory = desk.offers.inventory_of(offer)
            best = propose(inventory, room, sessions=sessions) if inventory else None
        except RwkvError:
            # The card says what is wrong with the file.
            best = None
        mark = ""
        if allowed:
            path = desk.offers.path_of(offer)
            part = desk.offers.fetched_bytes(offer)
            if path is not None:
                mark = visit.say("is_running" if path == running else "is_here")
            elif part:
                mark = visit.say("is_partly", bytes=bytes_text(part))
        rows.append(Row(offer, desk.offers.file_bytes(offer), best, mark))
    return rows


def _buttons(
    desk: Desk, visit: Visit, offer: Offer, strategy: str, sessions: int, allowed: bool
) -> tuple[Any, Any, Any, Any, Any]:
    """The buttons that make sense for a model: get, use, unload first, cancel, back."""
    hidden = gr.update(visible=False)
    if not allowed:
        return hidden, hidden, hidden, hidden, hidden
    fetching, changing = desk.fetching, desk.changing
    is_fetching = fetching is not None and fetching.is_running
    is_busy = is_fetching or (changing is not None and changing.is_running)
    is_here, part = desk.offers.path_of(offer) is not None, desk.offers.fetched_bytes(offer)
    size = desk.offers.file_bytes(offer)
    text = visit.say("get", size=bytes_text(size) if size else "").strip()
    if part:
        text = visit.say("get_rest", here=bytes_text(part))
    runs = desk.is_running(offer, strategy[:MAX_STRATEGY], sessions)
    return (
        gr.update(visible=not is_here and not is_busy, value=text),
        gr.update(visible=is_here and not runs and not is_busy, value=visit.say("use")),
        hidden,
        gr.update(visible=is_fetching, value=visit.say("cancel")),
        gr.update(visible=not desk.is_shipped() and not is_busy, value=visit.say("back")),
    )


async def get(desk: Desk, visit: Visit, chosen: Chosen) -> AsyncIterator[View]:
    """Fetch the chosen model, and show how far it is."""
    try:
        desk.require(visit.request)
        fetching = desk.get(chosen.key)
    except RwkvError as error:
        yield look(desk, visit, chosen, error_line(error, visit.language))
        return
    async for view in watch_fetching(desk, visit, chosen, fetching):
        yield view


async def watch_fetching(
    desk: Desk, visit: Visit, chosen: Chosen, fetching: Fetching
) -> AsyncIterator[View]:
    """Show a download until it ends; it goes on when nobody watches."""
    offer = desk.offers.find(fetching.key)
    title = translated(visit.language, offer.title)
    yield look(desk, visit, chosen, fetching_html(title, None, visit.language))
    while fetching.is_running:
        await asyncio.sleep(REDRAW_S)
        yield _only_status(fetching_html(title, fetching.progress, visit.language))
    if fetching.error is not None:
        said = error_line(fetching.error, visit.language)
        if fetching.is_cancelled:
            said = _line(visit.say("cancelled", name=title))
    else:
        key = "got_checked" if offer.sha256 or _was_checked(fetching) else "got"
        said = _line(visit.say(key, name=title))
    yield _only_status(said)


def _was_checked(fetching: Fetching) -> bool:
    return fetching.progress is not None and fetching.progress.phase == "checking"


def cancel(desk: Desk, visit: Visit) -> str:
    """Stop the download; those who watch it say what was kept."""
    try:
        desk.require(visit.request)
        desk.cancel()
    except RwkvError as error:
        return error_line(error, visit.language)
    return _line(visit.say("cancelling"))


async def use(
    desk: Desk, visit: Visit, chosen: Chosen, *, unload_first: bool = False
) -> AsyncIterator[View]:
    """Load the chosen model in place of the one that runs."""
    try:
        desk.require(visit.request)
        strategy = (chosen.strategy or "").strip()
        if len(strategy) > MAX_STRATEGY:
            raise _too_long(strategy)
        work = asyncio.to_thread(desk.use, chosen.key, strategy, unload_first=unload_first)
        changing = await work
    except BothDoNotFitError as error:
        view = look(desk, visit, chosen, error_line(error, visit.language))
        yield view._replace(first=gr.update(visible=True, value=visit.say("unload_first")))
        return
    except RwkvError as error:
        yield look(desk, visit, chosen, error_line(error, visit.language))
        return
    async for view in watch_changing(desk, visit, chosen, changing):
        yield view


async def back(desk: Desk, visit: Visit, chosen: Chosen) -> AsyncIterator[View]:
    """Switch back to the shipped model."""
    async for view in use(desk, visit, chosen._replace(key=SHIPPED, strategy="")):
        yield view


async def watch_changing(
    desk: Desk, visit: Visit, chosen: Chosen, changing: Changing
) -> AsyncIterator[View]:
    """Show a change until the new model runs; then the page has to be loaded again."""
    title = translated(visit.language, desk.offers.find(changing.key).title)
    yield look(desk, visit, chosen, _line(visit.say("step_loading", name=title)))
    while changing.is_running:
        await asyncio.sleep(REDRAW_S)
        yield _only_status(_line(visit.say(f"step_{changing.step}", name=title)))
    if changing.error is not None:
        yield _only_status(error_line(changing.error, visit.language))
        return
    view = _only_status(_line(visit.say("runs", name=title)))
    yield view._replace(changed=desk.switch.now.name)


async def resume(desk: Desk, visit: Visit, chosen: Chosen) -> AsyncIterator[View]:
    """Draw the tab when the page is opened, and watch what is going on already."""
    yield look(desk, visit, chosen, "")
    if not desk.lets(visit.request):
        return
    if desk.fetching is not None and desk.fetching.is_running:
        async for view in watch_fetching(desk, visit, chosen, desk.fetching):
            yield view


async def search(desk: Desk, visit: Visit, owner: str | None, chosen: Chosen) -> list[Any]:
    """Search the Hub, and offer what is there; gives the dropdown, a sentence, and the view."""
    try:
        desk.require(visit.request)
        name = (owner or "").strip()
        async with asyncio.timeout(SEARCH_S):
            count = await asyncio.to_thread(desk.find, name[: MAX_OWNER + 1])
    except TimeoutError:
        error = DownloadError(
            "the Hub did not answer within {seconds:.0f} s; try again later", seconds=SEARCH_S
        )
        return [gr.skip(), error_line(error, visit.language), *look(desk, visit, chosen)]
    except RwkvError as error:
        return [gr.skip(), error_line(error, visit.language), *look(desk, visit, chosen)]
    said = _line(visit.say("found", count=count, owner=name))
    return [gr.update(choices=choices(desk, visit.language)), said, *look(desk, visit, chosen)]


def choices(desk: Desk, language: str, *, is_public: bool = False) -> list[tuple[str, str]]:
    """Models as the dropdown lists them: all, or those that every visitor sees."""
    offers = desk.offers.public if is_public else desk.offers
    return [(translated(language, offer.title), offer.key) for offer in offers]


def _only_status(status: str) -> View:
    return _unchanged()._replace(status=status)


def _unchanged() -> View:
    return View(*(gr.skip() for _ in View._fields))


def _line(text: str) -> str:
    return f'<p class="status" role="status">{escape(text)}</p>'


def _sessions(count: object) -> int:
    number = count if isinstance(count, int | float) else float("nan")
    if not 1 <= number <= MAX_SESSIONS:
        raise SettingsError(
            "{count:g} conversations are not between 1 and {limit}; move the slider",
            count=number,
            limit=MAX_SESSIONS,
        )
    return int(number)


def _too_long(strategy: str) -> SettingsError:
    return SettingsError(
        "the strategy has {count} characters, the limit is {limit}; shorten it",
        count=len(strategy),
        limit=MAX_STRATEGY,
    )
