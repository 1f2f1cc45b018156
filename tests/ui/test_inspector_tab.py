from typing import cast

import gradio as gr
import pytest

from rwkv_core.engine import Engine
from rwkv_core.sessions import Conversation
from ui import inspector_tab
from ui.inspector_tab import SUB_TABS, SubTab, build_inspector_tab
from ui.shelf import Shelf


def test_every_sub_tab_is_built_in_order_with_the_same_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = []

    def build(*arguments: object) -> None:
        built.append(arguments)

    monkeypatch.setattr(inspector_tab, "SUB_TABS", (SubTab("a", "inspector.see", build),) * 2)
    engine = cast(Engine, object())
    with gr.Blocks():
        states = gr.State(""), gr.State(Conversation()), gr.State(Shelf())
        build_inspector_tab(engine, *states)
    assert built == [(engine, *states)] * 2


def test_no_two_sub_tabs_share_a_name() -> None:
    assert len({tab.id for tab in SUB_TABS}) == len(SUB_TABS)
    assert len({tab.label for tab in SUB_TABS}) == len(SUB_TABS)
