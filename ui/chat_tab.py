"""Chat: a conversation whose memory never grows; layout first, wiring last.

Every way to ask for an answer (send, example, retry, edit, continue) first becomes an `Ask`, then
one handler answers it. What the handlers do is in the package `ui.chat`.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from presets import ChatTemplate, chat_template
from rwkv_core.engine import Engine
from ui.chat import actions, keeping
from ui.chat.answering import answer
from ui.chat.frames import ChatFrame, box_for
from ui.chat.layout import Manage, Talk, build_manage, build_persona, build_talk, greeting
from ui.chat.values import MAX_CHATS, Ask, Chats
from ui.components import memory_card
from ui.controls import build_controls
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams, new_visitor
from ui.shelf_card import ShelfPorts, build_keep_button, keep_chat, wire_keep_button
from ui.words import language_of, say

# The browser writes the file, so that no copy of what was said lies on the server.
_SAVE_FILE = """(chats) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(chats, null, 1)], { type: "application/json" }));
  link.download = "chats.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


class Held(NamedTuple):
    """What a visitor holds, on the server and in the browser."""

    visitor: gr.State
    language: gr.State
    chats: gr.State
    ask: gr.State
    saved: gr.State
    listing: gr.BrowserState
    slots: list[gr.BrowserState]


def build_chat_tab(
    engine: Engine,
    page: gr.Blocks,
    visitor: gr.State,
    conversation: gr.State,
    ports: ShelfPorts,
) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        page: that the tab stands on.
        visitor: holds the session id.
        conversation: holds the shown `Conversation`, which the inspector reads too.
        ports: what it shares with the shelf.
    """
    template, running = chat_template(), RunningStreams()
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            talk = build_talk(engine)
        with gr.Column(elem_classes="side-column", min_width=240):
            empty = memory_card(engine.model.config, 0, 0)
            memory = gr.HTML(empty, elem_id="chat-memory")
            keeper = build_keep_button()
            controls = build_controls()
            with gr.Accordion(say("chat.who"), open=False, elem_classes="quiet"):
                persona = build_persona()
            with gr.Accordion(say("chat.manage"), open=False, elem_classes="quiet"):
                manage = build_manage()
    held = build_held(visitor)
    outputs: list[Any] = [
        talk.chat, held.chats, conversation, talk.box, talk.status, memory, talk.marks, talk.go_on,
        talk.earlier, talk.picker, manage.title, manage.bring_back,
    ]  # fmt: skip
    wire_answers(engine, template, running, talk, held, [persona, *controls], outputs)
    wire_chats(engine, template, running, talk, manage, held, outputs)
    wire_load(engine, template, page, talk, held, outputs)
    wire_keep_button(
        keeper,
        partial(keep_chat, engine),
        [visitor, ports.shelf, held.chats, held.language],
        [ports.shelf, talk.status],
    )
    taken = ports.handed.change(
        partial(keeping.go_on_from, engine, running),
        [visitor, held.language, held.chats, ports.handed],
        outputs,
        **QUIET_EVENT,
    )
    keep(engine, held, taken)


def wire_answers(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    talk: Talk,
    held: Held,
    settings: list[Component],
    outputs: list[Any],
) -> None:
    """Wire every way to ask for an answer."""
    ask, chats = held.ask, held.chats
    steps = (
        talk.box.submit(actions.send, talk.box, ask, **QUIET_EVENT),
        talk.chat.example_select(actions.send_example, None, ask, **QUIET_EVENT),
        talk.chat.retry(actions.retry, chats, ask, **QUIET_EVENT),
        talk.chat.edit(actions.edit, chats, ask, **QUIET_EVENT),
        talk.go_on.click(actions.go_on, None, ask, **QUIET_EVENT),
    )
    for step in steps:
        answered = step.success(
            partial(answer, engine, template, running),
            [held.visitor, held.language, chats, ask, *settings],
            outputs,
            **MODEL_EVENT,
        )
        keep(engine, held, answered)
    talk.box.stop(running.stop, held.visitor, None, **QUIET_EVENT)


def wire_chats(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    talk: Talk,
    manage: Manage,
    held: Held,
    outputs: list[Any],
) -> None:
    """Wire what changes the shown text at once."""
    mine = [held.visitor, held.language, held.chats]

    def switch(visitor: str, language: str, chats: Chats, event: gr.EventData) -> ChatFrame:
        return actions.switch_version(engine, running, visitor, language, chats, event)

    named = [held.language, held.chats]
    changed = (
        talk.chat.undo(partial(actions.undo, engine, running), mine, outputs, **QUIET_EVENT),
        talk.marks.click(switch, mine, outputs, **QUIET_EVENT),
        gr.on(
            [talk.chat.clear, talk.new.click],
            partial(keeping.begin_anew, engine, running), mine, outputs, **QUIET_EVENT,
        ),
        talk.picker.input(
            partial(keeping.open_chat, engine, template, running),
            [*mine, talk.picker], outputs, **QUIET_EVENT,
        ),
        manage.title.submit(
            partial(keeping.rename, engine), [*named, manage.title], outputs, **QUIET_EVENT
        ),
        manage.delete.click(
            partial(keeping.delete, engine, template, running), mine, outputs, **QUIET_EVENT
        ),
        manage.bring_back.click(
            partial(keeping.bring_back, engine), named, outputs, **QUIET_EVENT
        ),
        manage.take_in.upload(
            partial(keeping.take_in, engine, template, running),
            [*mine, manage.take_in], outputs, **QUIET_EVENT,
        ),
    )  # fmt: skip
    for step in changed:
        keep(engine, held, step)
    talk.earlier.click(partial(actions.show_earlier, engine), named, outputs, **QUIET_EVENT)
    written = gr.JSON(visible=False)
    manage.export.click(
        partial(keeping.export, engine), held.chats, written, **QUIET_EVENT
    ).success(None, written, None, js=_SAVE_FILE, **QUIET_EVENT)


def keep(engine: Engine, held: Held, step: Dependency) -> None:
    """Let the browser keep what a step has changed."""

    def save(chats: Chats, saved: keeping.Saved) -> list[Any]:
        now, stored = keeping.save(engine, chats, saved)
        return [now, *stored]

    step.then(
        save, [held.chats, held.saved], [held.saved, held.listing, *held.slots], **QUIET_EVENT
    )


def wire_load(
    engine: Engine,
    template: ChatTemplate,
    page: gr.Blocks,
    talk: Talk,
    held: Held,
    outputs: list[Any],
) -> None:
    """Wire what happens when the page is opened."""

    # Gradio finds the request by the type of a plain function's argument.
    def greet_visitor(request: gr.Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        return greet(engine, request)

    def restore(request: gr.Request, index: object, *slots: object) -> list[Any]:
        visitor, language = new_visitor(request), language_of(request)
        shown, saved = keeping.restore(engine, template, visitor, language, index, slots)
        return [*shown, saved]

    page.load(greet_visitor, None, [held.language, talk.chat, talk.box], **QUIET_EVENT).then(
        restore, [held.listing, *held.slots], [*outputs, held.saved], **QUIET_EVENT
    )


def build_held(visitor: gr.State) -> Held:
    """Make room for what a visitor holds; the browser's part has a fixed key and secret."""

    def stored(name: str) -> gr.BrowserState:
        return gr.BrowserState(
            None, storage_key=f"rwkv-playground-{name}", secret="rwkv-playground"
        )

    return Held(
        visitor,
        gr.State("en"),
        gr.State(Chats()),
        gr.State(Ask("")),
        gr.State({}),
        stored("chats"),
        [stored(f"chat-{slot}") for slot in range(MAX_CHATS)],
    )


def greet(engine: Engine, request: gr.Request | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Greet a visitor in the browser's language."""
    language = language_of(request)
    return language, gr.update(placeholder=greeting(engine, language)), box_for(language)
