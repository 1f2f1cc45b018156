"""The Models tab: what this machine has, which model fits, and for the owner, getting and using it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from presets.catalogue import catalogue
from rwkv_core.memory import PRESETS_GB
from ui import models_actions as actions
from ui.models_actions import COMPUTER, HERE, Chosen, View, Visit
from ui.models_desk import Desk
from ui.models_views import known_html, machine_html
from ui.session import MODEL_EVENT, QUIET_EVENT
from ui.words import language_of, say

_STYLE = Path(__file__).with_name("models.css")
# A row chooses its model, and what is said of it comes into view.
_CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-model]");
  if (!button) return;
  trigger("click", { model: button.dataset.model });
  document.querySelector("#models-panel").scrollIntoView({ block: "start" });
});"""
# The page is made for one model; chats lie in the browser, so loading it again loses nothing.
_RELOAD = "(name) => { if (name) setTimeout(() => location.reload(), 600); }"


@dataclass(frozen=True, eq=False)
class Panel:
    """The tab's components that handlers read and change."""

    place: gr.Radio
    size: gr.Radio
    sessions: gr.Slider
    model: gr.Dropdown
    strategy: gr.Textbox
    verdict: gr.HTML
    plan: gr.HTML
    get: gr.Button
    use: gr.Button
    first: gr.Button
    cancel: gr.Button
    back: gr.Button
    status: gr.HTML
    changed: gr.Textbox
    table: gr.HTML
    note: gr.HTML
    search: gr.Accordion
    owner: gr.Textbox
    find: gr.Button
    found: gr.HTML

    @property
    def inputs(self) -> list[Any]:
        """What gives `Chosen`."""
        return [self.place, self.size, self.sessions, self.model, self.strategy]

    @property
    def outputs(self) -> list[Any]:
        """What shows a `View`."""
        return [
            self.size, self.table, self.verdict, self.plan, self.status, self.get, self.use, self.first,
            self.cancel, self.back, self.changed,
        ]  # fmt: skip


def build_models_tab(desk: Desk, page: gr.Blocks) -> None:
    """Lay out the Models tab and wire it.

    Args:
        desk: what can be chosen, fetched and used.
        page: whose load event puts the tables into the visitor's language.
    """
    gr.HTML(f"<style>{_STYLE.read_text(encoding='utf-8')}</style>", elem_classes="inspector-style")
    gr.HTML(say("models.intro"), elem_classes="inspector-intro")
    machine = gr.HTML(_machine(desk, "en"))
    panel = _lay_out(desk)
    with gr.Accordion(say("models.known_title"), open=False, elem_classes="quiet"):
        known = gr.HTML(known_html("en"))
    _wire(desk, panel)

    # Gradio finds the request by the type of a plain function's argument.
    def put_into_words(request: gr.Request) -> list[Any]:
        language, allowed = language_of(request), desk.lets(request)
        shown = gr.update(visible=allowed)
        known = known_html(language)
        models = gr.update(choices=actions.choices(desk, language, is_public=not allowed))
        return [_machine(desk, language), known, gr.update(visible=not allowed), shown, models]

    told = [machine, known, panel.note, panel.search, panel.model]
    page.load(put_into_words, None, told, **QUIET_EVENT)
    resumed = page.load(_asked(desk, actions.resume), panel.inputs, panel.outputs, **MODEL_EVENT)
    # Whoever opens the page while a file is fetched may have chosen another model since.
    resumed.then(_again(desk), panel.inputs, panel.outputs, **QUIET_EVENT)


def _machine(desk: Desk, language: str) -> str:
    return machine_html(desk.look(), desk.engine.choices["kernel"], language)


def _lay_out(desk: Desk) -> Panel:
    start = HERE if desk.look().free_bytes else COMPUTER
    with gr.Row(elem_classes="models-choices"):
        place = gr.Radio(
            [(say("models.machine"), HERE), (say("models.ram"), COMPUTER),
             (say("models.card"), actions.CARD)],
            value=start, label=say("models.place"), info=say("models.place_hint"),
            elem_classes="segmented", elem_id="models-place",
        )  # fmt: skip
        size = gr.Radio(
            [str(n) for n in PRESETS_GB], value="8", label=say("models.size"),
            info=say("models.size_hint"), visible=start != HERE, elem_classes="segmented",
            elem_id="models-size",
        )  # fmt: skip
        sessions = gr.Slider(
            1, actions.MAX_SESSIONS, value=1, step=1, label=say("models.sessions"),
            info=say("models.sessions_hint"), elem_id="models-sessions",
        )  # fmt: skip
    with gr.Column(elem_id="models-panel"):
        with gr.Row(elem_classes="models-choices"):
            model = gr.Dropdown(
                actions.choices(desk, "en", is_public=True), value=catalogue()[0].file, label=say("models.look"),
                info=say("models.look_hint"), elem_id="models-model",
            )  # fmt: skip
            strategy = gr.Textbox(
                value="", label=say("models.strategy"), info=say("models.strategy_hint"),
                max_lines=1, placeholder=say("models.strategy_best"), elem_id="models-strategy",
            )  # fmt: skip
        verdict = gr.HTML("", elem_id="models-verdict")
        with gr.Row(elem_classes="models-buttons"):
            names = ("get", "use", "first", "cancel", "back")
            buttons = {
                name: gr.Button(
                    "", visible=False, elem_id=f"models-{name}",
                    variant="primary" if name in ("get", "use") else "secondary",
                )
                for name in names
            }  # fmt: skip
        status = gr.HTML("", elem_id="models-status")
        plan = gr.HTML("", elem_id="models-plan")
    table = gr.HTML("", js_on_load=_CHOOSE, elem_id="models-table")
    with gr.Accordion(
        say("models.search_title"), open=False, visible=False, elem_classes="quiet"
    ) as search:
        with gr.Row(elem_classes="models-choices"):
            owner = gr.Textbox(
                label=say("models.owner"), info=say("models.owner_hint"), max_lines=1,
                placeholder="BlinkDL", elem_id="models-owner",
            )  # fmt: skip
            find = gr.Button(say("models.search"), elem_id="models-find", scale=0)
        found = gr.HTML("", elem_id="models-found")
    note = gr.HTML(say("models.readonly"), elem_classes="models-note", visible=False)
    changed = gr.Textbox("", visible=False)
    return Panel(
        place, size, sessions, model, strategy, verdict, plan, **buttons, status=status, changed=changed,
        table=table, note=note, search=search, owner=owner, find=find, found=found,
    )  # fmt: skip


def _wire(desk: Desk, panel: Panel) -> None:
    inputs, outputs = panel.inputs, panel.outputs

    def look(request: gr.Request, *chosen: Any) -> View:
        return actions.look(desk, _visit(request), Chosen(*chosen), "")

    def choose(request: gr.Request, event: gr.EventData, *chosen: Any) -> list[Any]:
        key = event._data.get("model") if isinstance(event._data, dict) else None
        wanted = Chosen(*chosen)._replace(key=str(key), strategy="")
        return [str(key), "", *actions.look(desk, _visit(request), wanted, "")]

    def cancel(request: gr.Request) -> str:
        return actions.cancel(desk, _visit(request))

    async def search(request: gr.Request, owner: str, *chosen: Any) -> list[Any]:
        return await actions.search(desk, _visit(request), owner, Chosen(*chosen))

    changes = [
        panel.place.input, panel.size.input, panel.sessions.release, panel.model.input,
        panel.strategy.change,
    ]  # fmt: skip

    again = _again(desk)
    gr.on(changes, look, inputs, outputs, **QUIET_EVENT)
    chosen_outputs = [panel.model, panel.strategy, *outputs]
    panel.table.click(choose, inputs, chosen_outputs, **QUIET_EVENT)
    got = panel.get.click(_asked(desk, actions.get), inputs, outputs, **MODEL_EVENT)
    # Meanwhile another model may have been chosen.
    got.then(again, inputs, outputs, **QUIET_EVENT)
    panel.cancel.click(cancel, None, panel.status, **QUIET_EVENT)
    unload_first = partial(actions.use, unload_first=True)
    for button, action in (
        (panel.use, actions.use), (panel.first, unload_first), (panel.back, actions.back),
    ):  # fmt: skip
        changed = button.click(_asked(desk, action), inputs, outputs, **MODEL_EVENT)
        # Only then: whoever leaves a page that was replaced is refused what it still asks.
        drawn = changed.then(again, inputs, outputs, **QUIET_EVENT)
        drawn.then(None, panel.changed, None, js=_RELOAD, **QUIET_EVENT)
    gr.on(
        [panel.find.click, panel.owner.submit], search, [panel.owner, *inputs],
        [panel.model, panel.found, *outputs], **MODEL_EVENT,
    )  # fmt: skip


def _visit(request: gr.Request) -> Visit:
    return Visit(language_of(request), request)


def _again(desk: Desk) -> Callable[..., View]:
    """Draw the tab for what is chosen by now."""

    def again(request: gr.Request, *chosen: Any) -> View:
        return actions.look(desk, _visit(request), Chosen(*chosen))

    return again


def _asked(
    desk: Desk, action: Callable[[Desk, Visit, Chosen], AsyncIterator[View]]
) -> Callable[..., AsyncIterator[View]]:
    """Give an action who asks, and what is chosen."""

    async def asked(request: gr.Request, *chosen: Any) -> AsyncIterator[View]:
        async for view in action(desk, _visit(request), Chosen(*chosen)):
            yield view

    return asked
