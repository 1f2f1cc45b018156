import gradio as gr
import pytest
from gradio.state_holder import SessionState

from ui.lean_sessions import LeanSession, LeanSessions


@pytest.fixture
def page() -> gr.Blocks:
    made = gr.Blocks()
    with made:
        gr.Textbox("shown", label="box")
        gr.State([1])
    return made


def test_a_lean_session_has_what_gradios_own_has_and_describes_nothing(page: gr.Blocks) -> None:
    own, lean = SessionState(page), LeanSession(page)
    assert all(hasattr(lean, name) for name in vars(own))
    assert len(own.config_values) > 1
    for key, block in page.blocks.items():
        lean[key] = [2] if isinstance(block, gr.State) else block
        lean._update_config(key)
        lean._update_value_in_config(key, "a long text")
    assert lean.config_values == {}


def test_values_stay_with_their_visitor(page: gr.Blocks) -> None:
    (state,) = (key for key, block in page.blocks.items() if isinstance(block, gr.State))
    (box,) = (key for key, block in page.blocks.items() if isinstance(block, gr.Textbox))
    sessions = LeanSessions()  # type: ignore[no-untyped-call]
    page.state_session_capacity = 2
    sessions.set_blocks(page)
    sessions["a"][state] = [2]
    sessions["a"][box] = gr.Textbox(label="changed", render=False)
    assert sessions["a"][state] == [2]
    assert sessions["b"][state] == [1]
    assert (sessions["a"][box].label, sessions["b"][box].label) == ("changed", "box")
    assert [value for _, value, _ in sessions["a"].state_components] == [[2]]
    sessions["c"]
    assert ["a" in sessions, "b" in sessions] == [True, False]
