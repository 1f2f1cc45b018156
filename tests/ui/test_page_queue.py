from dataclasses import replace

import gradio as gr

from tests.ui.desks import make_desk
from tests.ui.fakes import CONFIG, FakeEngine, as_engine
from ui import SECONDS_BETWEEN_LOOKS, build_app


def test_the_queue_looks_for_events_less_often_than_gradios_and_holds_as_many_as_allowed() -> None:
    desk = make_desk()
    page = build_app(as_engine(FakeEngine()), "Pip", desk=desk)
    with gr.Blocks(analytics_enabled=False) as usual:
        pass
    assert usual._queue.sleep_when_free < SECONDS_BETWEEN_LOOKS
    assert page._queue.sleep_when_free == SECONDS_BETWEEN_LOOKS
    assert page._queue.max_size == desk.limits.requests.events


def test_a_model_of_one_layer_has_a_page() -> None:
    engine = FakeEngine()
    engine.model.config = replace(CONFIG, n_layer=1)

    page = build_app(as_engine(engine), "Pip", desk=make_desk())

    sliders = [block for block in page.blocks.values() if isinstance(block, gr.Slider)]
    assert any(not slider.interactive for slider in sliders)
