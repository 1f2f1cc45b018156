"""The top of the page: its name, the model, the tour, and the sentences on controls."""

import json
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from ui.components import banner
from ui.hints import hints
from ui.words import language_of, say

_BANNER = Path(__file__).with_name("banner.js")
_TOUR = Path(__file__).with_name("tour.js")
_CHANGED = Path(__file__).with_name("changed.js")
# They show nothing.
_QUIET_SCRIPTS = tuple(
    Path(__file__).with_name(f"{name}.js") for name in ("focus", "kept_drafts", "figures")
)
# Where each step of the tour points.
_STEPS = {
    "chat": "#chat-box",
    "memory": "#chat-memory",
    "keep": ".keep",
    "completion": "#tab-completion-button",
    "inspector": "#tab-inspector-button",
}


def title(language: str) -> str:
    """The page's name and its promise."""
    name, promise = speak(language, "page.title"), speak(language, "page.promise")
    return f"<h1>{escape(name)}</h1><p>{escape(promise)}</p>"


def tour(language: str) -> str:
    """What tour.js needs, as JSON: the steps, its buttons' words, sentences on controls."""
    steps = [
        {"target": target, "text": speak(language, f"tour.step_{name}")}
        for name, target in _STEPS.items()
    ]
    words = {
        name: speak(language, f"tour.{name}")
        for name in ("title", "invitation", "start", "next", "skip", "leave", "done")
    }
    told = {"steps": steps, "say": words, "hints": hints(language)}
    return json.dumps(told, ensure_ascii=False)


def changed(language: str, *, is_watchful: bool) -> str:
    """What changed.js says, as JSON; without `text` it does not ask the server for its model."""
    words = {
        "elsewhere": speak(language, "chat.elsewhere"),
        "reload": speak(language, "models.changed_reload"),
        "close": speak(language, "chat.fork_close"),
    }
    if is_watchful:
        words["text"] = speak(language, "models.changed_text")
    return json.dumps(words, ensure_ascii=False)


def build_masthead(
    engine: Engine, name: str, page: gr.Blocks, *, is_watchful: bool = False
) -> gr.Button:
    """Lay out the top of the page; returns the button that opens the shelf.

    Args:
        engine: runs the model.
        name: what to call the model.
        page: whose loading puts the texts into the visitor's language.
        is_watchful: whether the page asks now and then if another model runs.
    """
    with gr.Row(elem_classes="masthead"):
        head = gr.HTML(title("en"), elem_classes="title")
        model = gr.HTML(
            banner(engine, name), js_on_load=_BANNER.read_text(encoding="utf-8"), elem_id="banner"
        )
        gr.Button(say("tour.open"), size="sm", elem_classes="plain", elem_id="tour-open")
        opener = gr.Button(say("shelf.open"), size="sm", elem_id="shelf-open")
    guide = gr.HTML(
        "", html_template="", js_on_load=_TOUR.read_text(encoding="utf-8"), elem_id="tour"
    )
    for script in _QUIET_SCRIPTS:
        gr.HTML(
            "",
            html_template="",
            js_on_load=script.read_text(encoding="utf-8"),
            elem_classes="script",
        )
    watch = _CHANGED.read_text(encoding="utf-8")
    news = gr.HTML("", html_template="", js_on_load=watch, elem_id="changed")

    # Gradio finds the request by the type of a plain function's argument.
    def speak_to(request: gr.Request) -> tuple[str, str, str, str]:
        language = language_of(request)
        told = title(language), banner(engine, name, language), tour(language)
        return *told, changed(language, is_watchful=is_watchful)

    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
    page.load(speak_to, None, [head, model, guide, news], api_visibility="private", **quiet)
    return opener
