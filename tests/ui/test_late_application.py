import gradio as gr
import gradio.blocks
import pytest
from gradio.data_classes import BlocksConfigDict
from gradio.routes import App
from gradio_client import Client

from ui.late_application import LatePage, without_applications


def test_a_page_gets_its_application_when_it_is_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[gr.Blocks] = []
    make = App.create_app

    def count(blocks: gr.Blocks, *rest: object, **named: object) -> App:
        made.append(blocks)
        return make(blocks, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(App, "create_app", count)
    described: list[gr.Blocks] = []
    describe = gr.Blocks.get_config_file

    def count_description(page: gr.Blocks) -> BlocksConfigDict:
        described.append(page)
        return describe(page)

    monkeypatch.setattr(gr.Blocks, "get_config_file", count_description)
    with without_applications(), LatePage(analytics_enabled=False) as page:
        box = gr.Textbox()
        box.submit(str.upper, box, box, api_name="shout")
        page.queue(max_size=3)
    assert (made, described) == ([], [])
    assert vars(gradio.blocks)["App"] is App
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        assert made == [page]
        assert Client(str(page.local_url), verbose=False).predict("hi", api_name="/shout") == "HI"
        assert page._queue.max_size == 3
    finally:
        page.close(verbose=False)


def test_a_page_that_fails_leaves_applications_to_the_next_one() -> None:
    with pytest.raises(ValueError, match="no page"), without_applications():
        raise ValueError("no page")
    assert vars(gradio.blocks)["App"] is App
