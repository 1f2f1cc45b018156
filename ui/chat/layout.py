"""What stands where on the Chat tab; nothing happens here."""

from html import escape
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from presets import ChatTemplate, examples, personas
from presets.words import speak, translated
from rwkv_core.config import Choice
from rwkv_core.engine import Engine
from ui.chat import browser
from ui.chat.frames import line
from ui.chat.values import MAX_TITLE
from ui.words import say

_TOOLS = Path(__file__).parent / "tools.js"


class Talk(NamedTuple):
    """A conversation and what stands around it."""

    chat: gr.Chatbot
    box: gr.Textbox
    status: gr.HTML
    marks: gr.HTML
    go_on: gr.Button
    earlier: gr.Button


class Bar(NamedTuple):
    """The list of chats."""

    picker: gr.Dropdown
    new: gr.Button


class Fork(NamedTuple):
    """The second column."""

    column: gr.Column
    note: gr.HTML
    talk: Talk
    both: gr.Checkbox
    keep: gr.Button
    close: gr.Button


class Who(NamedTuple):
    """Who answers, and how."""

    thinking: gr.Radio
    start: gr.Dropdown
    ready_made: gr.Dropdown
    persona: gr.Textbox
    stops: gr.Textbox
    exact: gr.Checkbox
    form: gr.HTML


class Manage(NamedTuple):
    """What is done to whole chats."""

    title: gr.Textbox
    delete: gr.Button
    bring_back: gr.Button
    export: gr.Button
    take_in: gr.UploadButton
    make_link: gr.Button
    link: gr.Textbox


def greeting(engine: Engine, language: str) -> str:
    """What an empty chat shows."""
    size = f"{engine.model.config.state_bytes:,}"
    title, note = (
        speak(language, "chat.greeting"),
        speak(language, "chat.greeting_note", size=size),
    )
    return f'<h2 class="greeting">{title}</h2>\n<p class="greeting-note">{note}</p>'


def build_bar() -> Bar:
    """Lay out the list of chats."""
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
    return Bar(picker, new)


def build_talk(engine: Engine, name: str, *, is_first: bool) -> Talk:
    """Lay out a conversation, its message box and the line under them.

    Args:
        engine: runs the model.
        name: beginning of the ids.
        is_first: whether it greets, gives examples and can be forked.
    """
    earlier = gr.Button(
        "", visible=False, size="sm", elem_classes="plain", elem_id=f"{name}-earlier"
    )
    with gr.Column(elem_classes="talk"):
        chat = gr.Chatbot(
            placeholder=greeting(engine, "en") if is_first else None,
            examples=[{"text": text} for text in examples().chat] if is_first else None,
            editable="user",
            feedback_options=None,
            show_label=False,
            label=say("chat.conversation"),
            container=False,
            height="min(56vh, 560px)",
            layout="bubble",
            buttons=["copy"],
            elem_id=name,
        )
        box = gr.Textbox(
            placeholder=say("chat.prompt"),
            label=say("chat.prompt") if is_first else say("chat.prompt_beside"),
            show_label=False,
            lines=1,
            max_lines=8,
            container=False,
            submit_btn=speak("en", "chat.send"),
            elem_id=f"{name}-box",
        )
    writers = f"const keepAsked = {browser.WRITE_ASKED};\nconst keepChat = {browser.WRITE};\n"
    tools = writers + _TOOLS.read_text(encoding="utf-8")
    marks = gr.HTML("", html_template="", js_on_load=tools)
    with gr.Row(elem_classes="under-talk"):
        status = gr.HTML(line(""), elem_id=f"{name}-status")
        go_on = gr.Button(
            say("chat.go_on"), size="sm", visible=False, elem_classes="plain",
            elem_id=f"{name}-go-on",
        )  # fmt: skip
    return Talk(chat, box, status, marks, go_on, earlier)


def build_fork(engine: Engine) -> Fork:
    """Lay out the second column, which is not there until something is forked."""
    with gr.Column(visible=False, elem_classes="fork", min_width=240) as column:
        note = gr.HTML("", elem_classes="fork-note")
        talk = build_talk(engine, "fork", is_first=False)
        both = gr.Checkbox(
            False, label=say("chat.both"), info=say("chat.both_hint"), elem_id="fork-both"
        )
        with gr.Row(elem_classes="manage"):
            keep = gr.Button(say("chat.fork_keep"), size="sm", elem_id="fork-keep")
            close = gr.Button(
                say("chat.fork_close"), size="sm", elem_classes="plain", elem_id="fork-close"
            )
    return Fork(column, note, talk, both, keep, close)


def build_who(template: ChatTemplate, why: Choice) -> Who:
    """Lay out who answers: thinking, persona, stop texts, and the exact text."""
    thinking = gr.Radio(
        thinking_choices(template, "en"),
        value="",
        label=say("chat.think_first"),
        info=say("chat.think_first_hint"),
        visible=bool(template.thinking),
        elem_classes="segmented",
        elem_id="chat-thinking",
    )
    with gr.Accordion(say("chat.who"), open=False, elem_classes="quiet"):
        start = gr.Dropdown(
            [(speak("en", "chat.empty_memory"), "")], value="", label=say("chat.start"),
            info=say("chat.start_hint"), filterable=False, elem_id="chat-start",
        )  # fmt: skip
        ready_made = gr.Dropdown(
            persona_choices("en"), value="", label=say("chat.ready_made"),
            info=say("chat.ready_made_hint"), filterable=False, elem_id="chat-ready-made",
        )  # fmt: skip
        persona = gr.Textbox(
            value="",
            label=say("chat.persona"),
            info=say("chat.persona_hint"),
            placeholder=say("chat.persona_example"),
            lines=3,
            elem_id="chat-persona",
        )
    with gr.Accordion(say("chat.details"), open=False, elem_classes="quiet"):
        exact = gr.Checkbox(
            False, label=say("chat.exact"), info=say("chat.exact_hint"), elem_id="chat-exact-on"
        )
        form = gr.HTML(form_note(why, "en"))
        stops = gr.Textbox(
            value="", label=say("chat.stops"), info=say("chat.stops_hint"), lines=2,
            elem_id="chat-stops",
        )  # fmt: skip
    return Who(thinking, start, ready_made, persona, stops, exact, form)


def form_note(why: Choice, language: str) -> str:
    """Say which form roles are written in, and why."""
    reason = translated(language, why.reason)
    said = speak(language, "chat.form", name=why.value, reason=reason)
    return f'<p class="note">{escape(said)}</p>'


def thinking_choices(template: ChatTemplate, language: str) -> list[tuple[str, str]]:
    """The ways of thinking a model knows, by name."""
    modes = [(speak(language, f"chat.think_{mode}"), mode) for mode in template.thinking]
    return [(speak(language, "chat.think_no"), ""), *modes]


def persona_choices(language: str) -> list[tuple[str, str]]:
    """The ready-made personas by name; the empty one is the visitor's own."""
    ready = [(persona.name[language], persona.text) for persona in personas()]
    return [(speak(language, "chat.own_persona"), ""), *ready]


def build_manage() -> Manage:
    """Lay out what is done to whole chats."""
    with gr.Accordion(say("chat.manage"), open=False, elem_classes="quiet", elem_id="chat-manage"):
        gr.HTML(say("chat.kept_here"), elem_classes="note")
        title = gr.Textbox(
            label=say("chat.title"), info=say("chat.title_hint"), max_length=MAX_TITLE,
            elem_id="chat-title",
        )  # fmt: skip
        with gr.Row(elem_classes="manage"):
            export = gr.Button(say("chat.export"), size="sm", elem_id="chat-export")
            take_in = gr.UploadButton(
                say("chat.import"),  # type: ignore[arg-type]  # its hint is narrower than what it takes
                size="sm", file_types=[".json"], type="binary",
                elem_id="chat-import",
            )  # fmt: skip
            delete = gr.Button(
                say("chat.delete"), size="sm", elem_classes="plain", elem_id="chat-delete"
            )
            bring_back = gr.Button(
                say("chat.bring_back"), size="sm", visible=False, elem_classes="plain",
                elem_id="chat-bring-back",
            )  # fmt: skip
        link = gr.Textbox(
            label=say("chat.recipe"), info=say("chat.recipe_hint"), interactive=False, max_lines=2,
            buttons=["copy"], elem_id="chat-link",
        )  # fmt: skip
        with gr.Row(elem_classes="manage"):
            make_link = gr.Button(say("chat.recipe_make"), size="sm", elem_id="chat-make-link")
    return Manage(title, delete, bring_back, export, take_in, make_link, link)
