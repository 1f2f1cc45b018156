from types import SimpleNamespace
from typing import cast

import gradio as gr

from presets import chat_template_for
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat_tab import greet
from ui.session import new_visitor


def test_a_visitors_session_is_the_pages_own() -> None:
    request = SimpleNamespace(session_hash="abc")
    assert new_visitor(cast(gr.Request, request)) == "abc"


def test_a_visitor_is_greeted_in_the_browsers_language() -> None:
    request = SimpleNamespace(headers={"accept-language": "zh-CN,en;q=0.5"})
    template, why = chat_template_for("rwkv7-g1-0.1b", "world")
    language, chat, box, _, thinking, start, ready_made, form = greet(
        as_engine(FakeEngine()), template, why, cast(gr.Request, request)
    )
    assert language == "zh"
    assert "想聊点什么" in chat["placeholder"]
    assert box["submit_btn"] == "发送"
    assert [mode for _, mode in thinking["choices"]] == ["", "fast", "think"]
    assert start["choices"] == [("空的记忆", "")]
    assert ready_made["choices"][0] == ("自己写", "")
    assert "G1" in form
