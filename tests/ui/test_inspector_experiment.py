from pathlib import Path

import gradio as gr

from rwkv_core.sessions import Conversation
from tests.ui.study_engine import tiny_engine
from ui.inspector_experiment import EQUALITY, build_experiment, show_one
from ui.shelf import Shelf


def test_one_experiment_is_shown_at_a_time() -> None:
    assert [update["visible"] for update in show_one(EQUALITY)] == [False, True, False]


def test_the_events_are_private_and_bounded_by_the_engine(tmp_path: Path) -> None:
    with tiny_engine(tmp_path) as engine, gr.Blocks() as page:
        build_experiment(engine, gr.State(""), gr.State(Conversation()), gr.State(Shelf()))
    events = list(page.fns.values())
    assert {event.api_visibility for event in events} == {"private"}
    assert {event.concurrency_limit for event in events if event.queue} == {None}
