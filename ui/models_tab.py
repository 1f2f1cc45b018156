"""The Models tab: what this machine has, which model fits, and how much it needs."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from presets.catalogue import catalogue, find_model
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.machine import Machine, look_at_machine
from rwkv_core.memory import GB, PRESETS_GB, judge, plan_memory, propose
from ui.components import error_line
from ui.models_views import about_html, known_html, machine_html, plan_html, table_html
from ui.session import QUIET_EVENT
from ui.words import language_of, say

T = TypeVar("T")
HERE, COMPUTER, CARD = "here", "computer", "card"
# Beside a card, the computer's memory is taken to be enough for what stays there.
HOST_GB = 64
MAX_STRATEGY, MAX_SESSIONS = 300, 64
_STYLE = Path(__file__).with_name("models.css")


def build_models_tab(engine: Engine, page: gr.Blocks) -> None:
    """Lay out the Models tab and wire it.

    Args:
        engine: whose choices are shown among what was found.
        page: whose load event puts the tables into the visitor's language.
    """
    machine = look_at_machine()
    start = HERE if machine.free_bytes else COMPUTER
    first = catalogue()[0].file
    room = available(machine, start, 8)
    gr.HTML(f"<style>{_STYLE.read_text(encoding='utf-8')}</style>", elem_classes="inspector-style")
    gr.HTML(say("models.intro"), elem_classes="inspector-intro")
    found = gr.HTML(machine_html(machine, engine.choices["kernel"], "en"))
    with gr.Row(elem_classes="models-choices"):
        place = gr.Radio(
            [(say("models.machine"), HERE), (say("models.ram"), COMPUTER),
             (say("models.card"), CARD)],
            value=start, label=say("models.place"), info=say("models.place_hint"),
            elem_classes="segmented", elem_id="models-place",
        )  # fmt: skip
        size = gr.Radio(
            [str(n) for n in PRESETS_GB], value="8", label=say("models.size"),
            info=say("models.size_hint"), visible=start != HERE, elem_classes="segmented",
            elem_id="models-size",
        )  # fmt: skip
        sessions = gr.Slider(
            1, MAX_SESSIONS, value=1, step=1, label=say("models.sessions"),
            info=say("models.sessions_hint"), elem_id="models-sessions",
        )  # fmt: skip
    table = gr.HTML(table_html(room, 1, "en"), elem_id="models-table")
    with gr.Row(elem_classes="models-choices"):
        model = gr.Dropdown(
            [(entry.title, entry.file) for entry in catalogue()], value=first,
            label=say("models.look"), info=say("models.look_hint"), elem_id="models-model",
        )  # fmt: skip
        strategy = gr.Textbox(
            value="", label=say("models.strategy"), info=say("models.strategy_hint"), max_lines=1,
            placeholder=propose(catalogue()[0].inventory, room).strategy.value,
            elem_id="models-strategy",
        )  # fmt: skip
    plan = gr.HTML(look_text(room, 1, first, "", "en"), elem_id="models-plan")
    gr.HTML(say("models.readonly"), elem_classes="models-note")
    with gr.Accordion(say("models.known_title"), open=False, elem_classes="quiet"):
        known = gr.HTML(known_html("en"))

    chosen = [place, size, sessions]
    handlers = (
        _speaking(partial(show_all, machine)),
        [*chosen, model, strategy],
        [size, table, plan],
    )
    gr.on([place.change, size.change, sessions.release], *handlers, **QUIET_EVENT)
    look = _speaking(partial(show_one, machine)), [*chosen, model, strategy], plan
    gr.on([model.change, strategy.change], *look, **QUIET_EVENT)
    words = _speaking(partial(put_into_words, machine, engine))
    page.load(words, [*chosen, model, strategy], [found, table, plan, known], **QUIET_EVENT)


def _speaking(handler: Callable[..., T]) -> Callable[..., T]:
    """Give a handler the language of the visitor's browser before the values of its inputs."""

    def speaking(request: gr.Request, *values: Any) -> T:
        return handler(language_of(request), *values)

    return speaking


def available(machine: Machine, place: str, size_gb: int) -> dict[str, int]:
    """Bytes by device of the memory to plan for.

    Raises:
        SettingsError: no such place or size.
    """
    if size_gb not in PRESETS_GB or place not in (HERE, COMPUTER, CARD):
        raise SettingsError(
            "{place} with {size} GB is no memory to plan for; choose one of the sizes shown",
            place=place,
            size=size_gb,
        )
    if place == HERE:
        return machine.available
    if place == COMPUTER:
        return {"cpu": size_gb * GB}
    return {"cpu": HOST_GB * GB, "cuda": size_gb * GB}


def show_all(
    machine: Machine,
    language: str,
    place: str,
    size: str,
    sessions: float,
    file: str,
    strategy: str | None,
) -> tuple[gr.Radio, str, str]:
    """Plan the whole table for other memory."""
    shown = gr.Radio(visible=place != HERE)
    try:
        room, count = available(machine, place, int(size)), _sessions(sessions)
    except (RwkvError, ValueError, TypeError) as error:
        problem = error if isinstance(error, RwkvError) else SettingsError("choose a size again")
        return shown, error_line(problem, language), ""
    text = look_text(room, count, file, strategy or "", language)
    return shown, table_html(room, count, language), text


def show_one(
    machine: Machine,
    language: str,
    place: str,
    size: str,
    sessions: float,
    file: str,
    strategy: str | None,
) -> str:
    """Plan one model, with the strategy typed or the best one."""
    return show_all(machine, language, place, size, sessions, file, strategy)[2]


def put_into_words(
    machine: Machine,
    engine: Engine,
    language: str,
    place: str,
    size: str,
    sessions: float,
    file: str,
    strategy: str | None,
) -> tuple[str, str, str, str]:
    """Say everything in the visitor's language, when the page is opened."""
    _, table, plan = show_all(machine, language, place, size, sessions, file, strategy)
    return (
        machine_html(machine, engine.choices["kernel"], language),
        table,
        plan,
        known_html(language),
    )


def look_text(
    room: Mapping[str, int], sessions: int, file: str, strategy: str, language: str
) -> str:
    """One model's card: bytes part by part, its layers, and where it comes from."""
    try:
        model = find_model(file)
        if model is None:
            raise SettingsError(
                "there is no model {name!r}; choose one of the list", name=file[:80]
            )
        if len(strategy) > MAX_STRATEGY:
            raise SettingsError(
                "the strategy has {count} characters, the limit is {limit}; shorten it",
                count=len(strategy),
                limit=MAX_STRATEGY,
            )
        best = propose(model.inventory, room, sessions=sessions)
        text = strategy.strip() or best.strategy.value
        plan, verdict, reason = best.plan, best.verdict, best.strategy.reason
        if strategy.strip():
            plan = plan_memory(model.inventory, text, sessions=sessions)
            verdict, reason = judge(plan, room), ""
    except RwkvError as error:
        return error_line(error, language)
    return plan_html(plan, verdict, reason, language) + about_html(model, text, language)


def _sessions(count: float) -> int:
    if not 1 <= count <= MAX_SESSIONS:
        raise SettingsError(
            "{count:g} conversations are not between 1 and {limit}; move the slider",
            count=count,
            limit=MAX_SESSIONS,
        )
    return int(count)
