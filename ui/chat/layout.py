"""What stands where on the Chat tab; nothing happens here."""

from pathlib import Path
from typing import NamedTuple

import gradio as gr

from presets import examples
from presets.words import speak
from rwkv_core.engine import Engine
from ui.chat.frames import line
from ui.chat.values import MAX_TITLE
from ui.words import say

_TOOLS = Path(__file__).parent / "tools.js"


class Talk(NamedTuple):
    """The conversation and what stands around it."""

    chat: gr.Chatbot
    box: gr.Textbox
    status: gr.HTML
    marks: gr.HTML
    go_on: gr.Button
    earlier: gr.Button
    new: gr.Button
    picker: gr.Dropdown


class Manage(NamedTuple):
    """What is done to whole chats."""

    title: gr.Textbox
    delete: gr.Button
    bring_back: gr.Button
    export: gr.Button
    take_in: gr.UploadButton


def greeting(engine: Engine, language: str) -> str:
    """What an empty chat shows."""
    size = f"{engine.model.config.state_bytes:,}"
    title, note = (
        speak(language, "chat.greeting"),
        speak(language, "chat.greeting_note", size=size),
    )
    return f'<h2 class="greeting">{title}</h2>\n<p class="greeting-note">{note}</p>'


def build_talk(engine: Engine) -> Talk:
    """Lay out the list of chats, the conversation, the message box and the line under them."""
    with gr.Row(elem_classes="chat-bar"):
        picker = gr.Dropdown(
            [(speak("en", "chat.untitled"), 0)],
            value=0,
            label=say("chat.chats"),
            show_label=False,
            container=False,
            filterable=False,
            elem_id="chat-picker",
        )
        new = gr.Button(say("chat.new"), size="sm", elem_classes="plain", elem_id="chat-new")
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
            height="min(56vh, 560px)",
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
    return Talk(chat, box, status, marks, go_on, earlier, new, picker)


def build_manage() -> Manage:
    """Lay out what is done to whole chats."""
    gr.HTML(say("chat.kept_here"), elem_classes="note")
    title = gr.Textbox(
        label=say("chat.title"), info=say("chat.title_hint"), max_length=MAX_TITLE,
        elem_id="chat-title",
    )  # fmt: skip
    with gr.Row(elem_classes="manage"):
        export = gr.Button(say("chat.export"), size="sm", elem_id="chat-export")
        take_in = gr.UploadButton(
            speak("en", "chat.import"), size="sm", file_types=[".json"], type="binary",
            elem_id="chat-import",
        )  # fmt: skip
        delete = gr.Button(
            say("chat.delete"), size="sm", elem_classes="plain", elem_id="chat-delete"
        )
        bring_back = gr.Button(
            say("chat.bring_back"), size="sm", visible=False, elem_classes="plain",
            elem_id="chat-bring-back",
        )  # fmt: skip
    return Manage(title, delete, bring_back, export, take_in)


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
