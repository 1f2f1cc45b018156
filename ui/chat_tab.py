"""Chat: a conversation whose memory never grows; layout first, wiring last.

Every way to ask for an answer (send, example, retry, edit, continue) first becomes an `Ask`, then
one handler answers it. What the handlers do is in the package `ui.chat`.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from presets import chat_template, examples
from presets.words import speak
from rwkv_core.engine import Engine
from ui.chat import actions
from ui.chat.answering import answer
from ui.chat.frames import ChatFrame, box_for, line
from ui.chat.values import Ask, Chats
from ui.components import memory_card
from ui.controls import build_controls
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.words import language_of, say

_TOOLS = Path(__file__).parent / "chat" / "tools.js"


class Talk(NamedTuple):
    """The conversation and what stands around it."""

    chat: gr.Chatbot
    box: gr.Textbox
    status: gr.HTML
    marks: gr.HTML
    go_on: gr.Button
    earlier: gr.Button
    new: gr.Button


def build_chat_tab(
    engine: Engine, page: gr.Blocks, visitor: gr.State, conversation: gr.State
) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        page: that the tab stands on.
        visitor: holds the session id.
        conversation: holds the shown `Conversation`, which the inspector reads too.
    """
    template, running = chat_template(), RunningStreams()
    ask, chats, language = gr.State(Ask("")), gr.State(Chats()), gr.State("en")
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            talk = build_talk(engine)
        with gr.Column(elem_classes="side-column", min_width=240):
            empty = memory_card(engine.model.config, 0, 0)
            memory = gr.HTML(empty, elem_id="chat-memory")
            controls = build_controls()
            with gr.Accordion(say("chat.who"), open=False, elem_classes="quiet"):
                persona = build_persona()
    outputs: list[Any] = [
        talk.chat, chats, conversation, talk.box, talk.status, memory, talk.marks, talk.go_on,
        talk.earlier,
    ]  # fmt: skip
    steps = (
        talk.box.submit(actions.send, talk.box, ask, **QUIET_EVENT),
        talk.chat.example_select(actions.send_example, None, ask, **QUIET_EVENT),
        talk.chat.retry(actions.retry, chats, ask, **QUIET_EVENT),
        talk.chat.edit(actions.edit, chats, ask, **QUIET_EVENT),
        talk.go_on.click(actions.go_on, None, ask, **QUIET_EVENT),
    )
    for step in steps:
        step.success(
            partial(answer, engine, template, running),
            [visitor, language, chats, ask, persona, *controls],
            outputs,
            **MODEL_EVENT,
        )
    talk.box.stop(running.stop, visitor, None, **QUIET_EVENT)
    mine = [visitor, language, chats]
    talk.chat.undo(partial(actions.undo, engine, running), mine, outputs, **QUIET_EVENT)

    def switch(visitor: str, language: str, chats: Chats, event: gr.EventData) -> ChatFrame:
        return actions.switch_version(engine, running, visitor, language, chats, event)

    talk.marks.click(switch, mine, outputs, **QUIET_EVENT)
    talk.earlier.click(
        partial(actions.show_earlier, engine), [language, chats], outputs, **QUIET_EVENT
    )
    begin_anew = partial(actions.begin_anew, engine, running)
    gr.on([talk.chat.clear, talk.new.click], begin_anew, mine, outputs, **QUIET_EVENT)

    # Gradio finds the request by the type of a plain function's argument.
    def greet_visitor(request: gr.Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        return greet(engine, request)

    page.load(greet_visitor, None, [language, talk.chat, talk.box], **QUIET_EVENT)


def greet(engine: Engine, request: gr.Request | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Greet a visitor in the browser's language."""
    language = language_of(request)
    return language, gr.update(placeholder=greeting(engine, language)), box_for(language)


def greeting(engine: Engine, language: str) -> str:
    """What an empty chat shows."""
    size = f"{engine.model.config.state_bytes:,}"
    title, note = (
        speak(language, "chat.greeting"),
        speak(language, "chat.greeting_note", size=size),
    )
    return f'<h2 class="greeting">{title}</h2>\n<p class="greeting-note">{note}</p>'


def build_talk(engine: Engine) -> Talk:
    """Lay out the conversation, the message box and the line under them."""
    earlier = gr.Button("", visible=False, size="sm", elem_classes="plain", elem_id="chat-earlier")
    with gr.Column(elem_classes="talk"):
        chat = gr.Chatbot(
            placeholder=greeting(engine, "en"),
            examples=[{"text": text} for text in examples().chat],
            editable="user",
            feedback_options=None,
            show_label=False,
            label=say("chat.conversation"),
            container=False,
            height="min(58vh, 560px)",
            layout="bubble",
            buttons=["copy"],
            elem_id="chat",
        )
        box = gr.Textbox(
            placeholder=say("chat.prompt"),
            label=say("chat.prompt"),
            show_label=False,
            lines=1,
            max_lines=8,
            container=False,
            autofocus=True,
            submit_btn=speak("en", "chat.send"),
            elem_id="chat-box",
        )
    marks = gr.HTML("", html_template="", js_on_load=_TOOLS.read_text(encoding="utf-8"))
    with gr.Row(elem_classes="under-talk"):
        status = gr.HTML(line(""), elem_id="chat-status")
        go_on = gr.Button(
            say("chat.go_on"), size="sm", visible=False, elem_classes="plain", elem_id="chat-go-on"
        )
        new = gr.Button(say("chat.new"), size="sm", elem_classes="plain", elem_id="chat-new")
    return Talk(chat, box, status, marks, go_on, earlier, new)


def build_persona() -> gr.Textbox:
    """Lay out what the model reads before a conversation."""
    return gr.Textbox(
        value="",
        label=say("chat.persona"),
        info=say("chat.persona_hint"),
        placeholder=say("chat.persona_example"),
        lines=3,
        elem_id="chat-persona",
    )
