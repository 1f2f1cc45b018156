from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from rwkv_core.engine import Engine
from rwkv_core.inspection.comparison import Comparison, Expectations, Likeness, Mover
from rwkv_core.sessions import Conversation, Turn
from rwkv_core.state import Memory
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui import inspector_compare
from ui.components import status_line
from ui.inspector_compare import Panel, build_compare, compare, findings, likeness_rows
from ui.session import RunningStreams
from ui.shelf import Shelf, keep_memory, keep_text
from ui.study_parts import MY_TEXT, SHELF, THIS_CHAT, _show_items, _show_source

CHAT = Conversation((0,), (Turn("hi", (5, 6), "hello", (7, 8)),))
WRITING = (1, 0.0, 8)
EMPTY = Shelf()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with tiny_engine(tmp_path) as made:
        yield made


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    found: Panel = laid_out(lambda: inspector_compare._lay_out(gr.State(Shelf()))[0], tmp_path)
    return found


def run(
    engine: Engine,
    panel: Panel,
    *values: Any,
    chat: Conversation = CHAT,
    shelf: Shelf = EMPTY,
) -> list[dict[Any, Any]]:
    # Each source is a kind, a text and an item; here the first two, or all where one is given.
    sources = [(*values[at : at + 2], shelf.chosen or None) for at in (0, 2)]
    given = (*sources[0], *sources[1], *values[4:])
    return collect(compare(engine, panel, RunningStreams(), "en", "me", chat, shelf, *given))


def test_two_texts_are_read_compared_and_gone_on_with(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, MY_TEXT, "abc", MY_TEXT, "abd", "x<y", *WRITING))
    assert "most alike in layer" in shown[panel.found]
    assert shown[panel.texts].count("x&lt;y") == 2
    assert "A expects, B less so" in shown[panel.movers]
    assert shown[panel.card.plot]["value"].type == "plotly"
    assert "<li>Cosine of the memories: " in shown[panel.card.words]
    rows = Path(shown[panel.card.numbers]["value"]).read_text().splitlines()
    assert len(rows) == 1 + engine.model.config.n_layer
    assert shown[panel.controls.status] == status_line()
    assert shown[panel.controls.go]["visible"] is True
    assert shown[panel.empty]["visible"] is False


def test_the_chat_can_be_one_of_the_two(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, THIS_CHAT, "ignored", MY_TEXT, "abd", "", *WRITING))
    assert "most alike" in shown[panel.found]


def test_a_memory_from_the_shelf_can_be_one_of_the_two(engine: Engine, panel: Panel) -> None:
    ids = (engine.tokenizer.end_of_text, *engine.encode("abc"))
    shelf = keep_text(engine, "me", EMPTY, ids, name="kept")
    same = last(run(engine, panel, SHELF, "", MY_TEXT, "abc", "", *WRITING, shelf=shelf))
    assert "the same in every layer" in same[panel.found]
    _, state = engine.model.forward(list(ids))
    held = keep_memory(engine, "me", EMPTY, Memory(state, len(ids)), name="held")
    close = last(run(engine, panel, SHELF, "", MY_TEXT, "abc", "q", *WRITING, shelf=held))
    assert "0.001 bits apart" in close[panel.found]
    silent = last(run(engine, panel, SHELF, "", MY_TEXT, "abc", "", *WRITING, shelf=held))
    assert "type something to read next" in silent[panel.controls.status]


def test_the_list_follows_the_shelf_and_is_shown_where_it_is_read(engine: Engine) -> None:
    shelf = keep_text(engine, "me", EMPTY, (1, 2), name="one")
    first = shelf.chosen
    shelf = keep_text(engine, "me", shelf, (1, 2, 3), name="two")
    shown = _show_items(shelf, None)
    assert [name for name, _ in shown["choices"]] == ["one", "two"]
    assert shown["value"] == shelf.chosen
    assert _show_items(shelf, first)["value"] == first
    assert _show_items(EMPTY, first)["value"] is None
    assert [update["visible"] for update in _show_source(SHELF)] == [False, True]
    assert [update["visible"] for update in _show_source(MY_TEXT)] == [True, False]


def test_a_text_beside_itself_is_the_same(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, MY_TEXT, "abc", MY_TEXT, "abc", "", *WRITING))
    assert "the same in every layer" in shown[panel.found]
    assert "no word differs" in shown[panel.found]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((MY_TEXT, "  ", MY_TEXT, "b", "", *WRITING), "nothing to read yet"),
        (
            (MY_TEXT, "a" * 4096, MY_TEXT, "b", "", *WRITING),
            "4,097 tokens, the limit here is 4,096",
        ),
        ((MY_TEXT, "a", MY_TEXT, "b", "c" * 257, *WRITING), "257 tokens, the limit here is 256"),
        ((MY_TEXT, "a", MY_TEXT, "b", "", None, 0.0, 8), "fine control is empty"),
        ((MY_TEXT, "a", MY_TEXT, "b", "", 1, 99.0, 8), "Temperature is 99"),
        ((MY_TEXT, "a", MY_TEXT, "b", "", 1, 0.0, 4000), "4000 tokens to write"),
    ],
)
def test_what_cannot_be_compared_gets_one_sentence_and_nothing_else(
    engine: Engine, panel: Panel, values: tuple[Any, ...], words: str
) -> None:
    seen = run(engine, panel, *values)
    assert [set(update) for update in seen] == [{panel.controls.status}]
    assert words in seen[0][panel.controls.status]


def test_an_empty_shelf_says_so(engine: Engine, panel: Panel) -> None:
    seen = run(engine, panel, SHELF, "", MY_TEXT, "b", "", *WRITING)
    assert "No kept memory" in seen[0][panel.controls.status]


def test_an_empty_chat_says_so(engine: Engine, panel: Panel) -> None:
    values = (THIS_CHAT, "", MY_TEXT, "b", "", *WRITING)
    seen = run(engine, panel, *values, chat=Conversation((0,)))
    assert "chat is still empty" in seen[0][panel.controls.status]


def test_every_update_goes_to_a_declared_output(engine: Engine, panel: Panel) -> None:
    for update in run(engine, panel, MY_TEXT, "abc", MY_TEXT, "abd", "", *WRITING):
        assert set(update) <= set(panel.outputs)


def test_the_sentence_is_true_of_the_numbers(engine: Engine) -> None:
    likeness = Likeness(
        np.array([0.9, 0.2, 0.95]), np.array([0.4, 1.2, 0.3]), np.ones(3), np.zeros(3)
    )
    movers = (Mover(98, 0.5, 0.125),), (Mover(99, 0.02, 0.64),)
    found = Comparison(likeness, Expectations(2.5, 1.0, *movers), ("", ""))
    said = findings("en", engine, found)
    assert "most alike in layer 3 (cosine 0.95) and least in layer 2 (0.20)" in said
    assert "something very different (2.50 bits apart)" in said
    assert "“a” has 50 % in A and 12 % in B" in said
    assert "“b” has 2.0 % in A and 64 % in B" in said
    header, rows = likeness_rows(likeness)
    assert len(header) == len(rows[1]) == 5
    assert rows[1][:3] == (2, "0.2", "1.2")


def test_the_events_are_private_and_bounded_by_the_engine(engine: Engine) -> None:
    with gr.Blocks() as page:
        build_compare(engine, gr.State(""), gr.State(Conversation()), gr.State(Shelf()))
    events = list(page.fns.values())
    assert {event.api_visibility for event in events} == {"private"}
    assert {event.concurrency_limit for event in events if event.queue} == {None}
