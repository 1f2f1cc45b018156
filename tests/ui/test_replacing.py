import gc
import time
import weakref
from collections.abc import Callable, Iterator

import gradio as gr
import pytest
from gradio_client import Client

from ui.lean_sessions import LeanSession, make_sessions_lean
from ui.replacing import make_replaceable, replace_page


class Model:
    """What the handlers of a page hold."""


def page_of(model: Model, name: str) -> gr.Blocks:
    page: gr.Blocks
    with gr.Blocks(analytics_enabled=False) as page:
        box, said = gr.Textbox(), gr.Textbox()

        def answer(text: str) -> str:
            assert model
            return f"{name}: {text}"

        box.submit(answer, box, said, api_name="answer")
    return page


@pytest.fixture
def served() -> Iterator[Callable[[Model, str], gr.Blocks]]:
    pages: list[gr.Blocks] = []

    def serve(model: Model, name: str) -> gr.Blocks:
        page = page_of(model, name)
        make_replaceable(page)
        page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
        make_sessions_lean(page)
        pages.append(page)
        return page

    yield serve
    for page in pages:
        page.close(verbose=False)


def client_of(page: gr.Blocks) -> Client:
    return Client(str(page.local_url), verbose=False)


def test_new_visitors_get_the_new_page_and_an_open_one_keeps_its_own_until_it_is_left(
    served: Callable[[Model, str], gr.Blocks],
) -> None:
    old = Model()
    page, is_gone = served(old, "old"), weakref.ref(old)
    number, handler = page.app_id, next(iter(page.default_config.fns.values()))
    del old
    early = client_of(page)
    assert early.predict("Hi", api_name="/answer") == "old: Hi"
    new = page_of(Model(), "new")
    replace_page(page, new)
    # By this number a page finds out that it is no longer the one that is served.
    assert page.app_id == page.config["app_id"] != number
    assert client_of(page).predict("Hi", api_name="/answer") == "new: Hi"
    assert early.predict("Hi", api_name="/answer") == "old: Hi"
    assert not new.default_config.fns
    gc.collect()
    assert is_gone() is not None

    # As Gradio does when a page is closed.
    sessions = page.app.state_holder.session_data
    for session in sessions.values():
        session.is_closed = True
    # The queue remembers who was served last until the next page comes.
    replace_page(page, page_of(Model(), "newest"))
    # It notes a time after the answer has left, here as late as can be.
    page._queue.process_time_per_fn[handler].add(1.0)
    assert handler in page._queue.process_time_per_fn
    del handler
    assert client_of(page).predict("Hi", api_name="/answer") == "newest: Hi"
    # A request that has just ended may still be put away on the server's thread.
    patience = time.monotonic() + 20
    while is_gone() is not None and time.monotonic() < patience:
        gc.collect()
        time.sleep(0.05)
    assert is_gone() is None


def test_a_session_that_was_left_before_gives_the_old_page_up_at_once(
    served: Callable[[Model, str], gr.Blocks],
) -> None:
    page = served(Model(), "old")
    session = page.app.state_holder["visitor"]
    assert isinstance(session, LeanSession)
    before = session.blocks_config.fns
    session.is_closed = True
    assert session.blocks_config.fns is before
    replace_page(page, page_of(Model(), "new"))
    assert session.blocks_config.fns == page.default_config.fns
