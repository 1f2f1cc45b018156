from types import SimpleNamespace
from typing import cast

import gradio as gr

from tests.ui.fakes import FakeEngine, as_engine
from ui.chat_tab import greet
from ui.session import new_visitor


def test_a_visitors_session_is_the_pages_own() -> None:
    request = SimpleNamespace(session_hash="abc")
    assert new_visitor(cast(gr.Request, request)) == "abc"


def test_a_visitor_is_greeted_in_the_browsers_language() -> None:
    request = SimpleNamespace(headers={"accept-language": "zh-CN,en;q=0.5"})
    language, chat, box = greet(as_engine(FakeEngine()), cast(gr.Request, request))
    assert language == "zh"
    assert "想聊点什么" in chat["placeholder"]
    assert box["submit_btn"] == "发送"
