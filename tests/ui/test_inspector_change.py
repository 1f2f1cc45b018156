from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from rwkv_core.engine import Engine
from rwkv_core.inspection.comparison import Expectations, Likeness, Mover
from rwkv_core.inspection.editing import Gain, KeepSlow, Noise, ZeroHead, ZeroLayer, apply_edit
from rwkv_core.inspection.trial import Trial
from rwkv_core.sessions import Conversation
from rwkv_core.state import Memory
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui.inspector_change import (
    MAX_EDITS,
    Edits,
    add_and_change,
    add_edit,
    add_noise,
    build_change,
    change,
    empty_part,
    keep,
    keep_slow,
    make_recipe,
    shares,
    weigh,
    without_any,
    without_last,
)
from ui.inspector_change_layout import Panel, lay_out
from ui.inspector_change_views import edits_line, findings
from ui.session import RunningStreams
from ui.shelf import Shelf, keep_memory, read_file, write_file
from ui.study_parts import MY_TEXT, SHELF, Choice, Stores

NOTHING, WRITING = Choice(MY_TEXT, ""), (1, 0.0, 8)
A, B, C = Choice(MY_TEXT, "abc"), Choice(MY_TEXT, "xyz"), Choice(MY_TEXT, "123")
STORES = Stores(Conversation(), Shelf())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with tiny_engine(tmp_path) as made:
        yield made


@pytest.fixture
def panel(engine: Engine, tmp_path: Path) -> Panel:
    found: Panel = laid_out(lambda: lay_out(engine.model.config, gr.State(Shelf()))[0], tmp_path)
    return found


def run(engine: Engine, panel: Panel, edits: Edits, *values: Any) -> list[dict[Any, Any]]:
    return collect(
        change(engine, panel, RunningStreams(), "en", "me", Conversation(), Shelf(), edits, *values)
    )


def test_a_blend_says_to_which_it_is_nearer(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, (), *A, *B, *NOTHING, 1.0, 0.0, "q", *WRITING))
    assert "With 100 % of B" in shown[panel.found]
    assert ": nearer to B" in shown[panel.found]
    assert shown[panel.texts].count("study-card") == 3
    assert shown[panel.texts].count("is-strong") == 1
    assert shown[panel.card.plot]["value"].type == "plotly"
    assert "<li>Distance from A, " in shown[panel.card.words]
    rows = Path(shown[panel.card.numbers]["value"]).read_text().splitlines()
    assert len(rows) == 1 + engine.model.config.n_layer


def test_a_change_of_one_memory_says_what_it_does(engine: Engine, panel: Panel) -> None:
    shown = last(run(engine, panel, (Gain(0.0),), *A, *NOTHING, *NOTHING, 0.5, 0, "q", *WRITING))
    assert "The change moves the next word by" in shown[panel.found]
    assert shown[panel.texts].count("study-card") == 2


def test_three_memories_share_as_the_sliders_say() -> None:
    assert shares(0.25, 0.5, [A, B, C]) == (0.375, 0.125, 0.5)
    assert shares(0.25, 0.5, [A, B, NOTHING]) == (0.75, 0.25, None)
    assert shares(0.25, 0.5, [A, NOTHING, NOTHING]) == (1.0, None, None)


def test_boxes_that_were_never_shown_are_empty_ones(engine: Engine, panel: Panel) -> None:
    unseen = Choice(MY_TEXT, None)
    shown = last(run(engine, panel, (Gain(0.5),), *A, *unseen, *unseen, 0.5, 0, None, *WRITING))
    assert "The change moves the next word by" in shown[panel.found]
    nothing = last(run(engine, panel, (), *unseen, *unseen, *unseen, 0.5, 0, None, *WRITING))
    assert "nothing to read yet" in nothing[panel.controls.status]


def test_the_recipe_holds_ids_and_numbers_alone(engine: Engine) -> None:
    recipe = make_recipe("en", engine, STORES, (ZeroLayer(1),), *A, *B, *C, 0.5, 0.5, "q")
    assert [len(text.ids) for text in recipe.sources] == [4, 4, 4]
    assert recipe.weights == (0.25, 0.25, 0.5)
    assert recipe.edits == (ZeroLayer(1),)
    assert recipe.cue == tuple(engine.encode("q"))


def test_the_changed_memory_is_kept_on_the_shelf_and_can_be_gone_on_from(
    engine: Engine, panel: Panel
) -> None:
    values = (*A, *NOTHING, *NOTHING, 0, 0, "")
    edits = (ZeroLayer(0),)
    shown = last(collect(keep(engine, panel, "en", "me", Conversation(), Shelf(), edits, *values)))
    kept = shown[panel.shelf].current
    assert "Kept under Memories" in shown[panel.controls.status]
    assert kept.name.startswith("changed: ")
    memory = engine.memory_at("me", kept.ids, root=kept.root)
    _, before = engine.model.forward([0, *engine.encode("ab")])
    logits, _ = engine.model.forward(engine.encode("c"), apply_edit(before, ZeroLayer(0)))
    assert memory is not None
    assert memory.logits is not None
    np.testing.assert_allclose(memory.logits, logits[0], rtol=1e-3, atol=1e-4)


def test_a_loaded_memory_is_kept_changed_with_its_words_and_tokens(
    engine: Engine, panel: Panel, tmp_path: Path
) -> None:
    _, state = engine.model.forward([0, *engine.encode("One day")])
    shelf = keep_memory(engine, "me", Shelf(), Memory(state, 29), name="loaded", tail="One day")
    source = Choice(SHELF, "", shelf.chosen)
    values = (*source, *NOTHING, *NOTHING, 0, 0, " he")
    shown = last(collect(keep(engine, panel, "en", "me", Conversation(), shelf, (), *values)))
    kept = shown[panel.shelf].current
    assert (kept.name, kept.tail, kept.tokens) == ("changed: One day", "One day", 29)
    memory = engine.memory_at("me", kept.ids, root=kept.root)
    assert memory is not None
    path = write_file(engine, kept, memory, tmp_path / "saved")
    again = read_file(engine, "me", Shelf(), path).current
    assert (again.tokens, again.ids, again.root) == (29, (), kept.root)


def test_a_memory_without_words_lends_its_name(engine: Engine, panel: Panel) -> None:
    _, state = engine.model.forward([0])
    shelf = keep_memory(engine, "me", Shelf(), Memory(state, 0), name="tuned", ids=(0,))
    values = (*Choice(SHELF, "", shelf.chosen), *NOTHING, *NOTHING, 0, 0, "a")
    shown = last(collect(keep(engine, panel, "en", "me", Conversation(), shelf, (), *values)))
    assert shown[panel.shelf].current.name == "changed: tuned"


def test_what_cannot_be_kept_leaves_the_shelf_alone(engine: Engine, panel: Panel) -> None:
    values = (*NOTHING, *NOTHING, *NOTHING, 0, 0, "")
    shown = last(collect(keep(engine, panel, "en", "me", Conversation(), Shelf(), (), *values)))
    assert set(shown) == {panel.controls.status}


def test_changes_are_added_and_taken_back() -> None:
    edits = add_edit(empty_part, "en", (), 2, 0)
    edits = add_edit(empty_part, "en", edits, 2, 3)
    edits = add_edit(keep_slow, "en", edits, 20)
    edits = add_edit(weigh, "en", edits, 0.5)
    edits = add_edit(add_noise, "en", edits, 0.25, 7)
    expected = (ZeroLayer(1), ZeroHead(1, 2), KeepSlow(20), Gain(0.5), Noise(0.25, 7))
    assert edits == expected
    line = edits_line("en", edits)
    for said in ("layer 2 emptied", "head 3 of layer 2", "from 20 tokens", "gain 0.5", "seed 7"):
        assert said in line
    assert without_last("en", edits) == expected[:-1]
    assert without_any("en", edits) == ()
    assert "No further changes" in edits_line("en", ())


def add(engine: Engine, panel: Panel, edits: Edits, value: Any) -> list[dict[Any, Any]]:
    values = (*A, *NOTHING, *NOTHING, 0.5, 0, "q", *WRITING, value)
    stores = (Conversation(), Shelf())
    return collect(
        add_and_change(engine, panel, RunningStreams(), weigh, "en", "me", *stores, edits, *values)
    )


def test_a_change_is_added_and_tried(engine: Engine, panel: Panel) -> None:
    shown = last(add(engine, panel, (Gain(2.0),), 0.5))
    assert shown[panel.edits] == (Gain(2.0), Gain(0.5))
    assert "gain 2, gain 0.5" in shown[panel.edited]
    assert "The change moves the next word by" in shown[panel.found]


@pytest.mark.parametrize(
    ("edits", "value", "words"),
    [
        ((Gain(1.0),) * MAX_EDITS, 1.0, "There are 12 changes already"),
        ((), None, "A number is missing; type one."),
    ],
)
def test_too_many_changes_or_none_at_all_are_refused_where_it_is_seen(
    engine: Engine, panel: Panel, edits: Edits, value: Any, words: str
) -> None:
    (shown,) = add(engine, panel, edits, value)
    assert set(shown) == {panel.edited}
    assert shown[panel.edited].startswith(edits_line("en", edits))
    assert 'role="alert"' in shown[panel.edited]
    assert words in shown[panel.edited]


@pytest.mark.parametrize(
    ("edits", "values", "words"),
    [
        ((), (*NOTHING, *B, *NOTHING, 0.5, 0, "", *WRITING), "nothing to read yet"),
        ((), (*A, *B, *NOTHING, 1.5, 0, "", *WRITING), "A share is 1.5"),
        ((), (*A, *B, *NOTHING, None, 0, "", *WRITING), "A share is None"),
        ((ZeroLayer(8),), (*A, *NOTHING, *NOTHING, 0, 0, "", *WRITING), "no layer 9"),
        ((Gain(99.0),), (*A, *NOTHING, *NOTHING, 0, 0, "", *WRITING), "gain is 99"),
    ],
)
def test_what_cannot_be_changed_gets_one_sentence(
    engine: Engine, panel: Panel, edits: Edits, values: tuple[Any, ...], words: str
) -> None:
    shown = last(run(engine, panel, edits, *values))
    assert words in shown[panel.controls.status]
    assert panel.found not in shown


def test_rwkv_4_says_that_it_has_no_heads(tmp_path: Path) -> None:
    with tiny_engine(tmp_path, "4") as engine:
        panel: Panel = laid_out(
            lambda: lay_out(engine.model.config, gr.State(Shelf()))[0], tmp_path
        )
        assert panel.tools.head.interactive is False
        values = (*A, *NOTHING, *NOTHING, 0, 0, "q", *WRITING)
        shown = last(run(engine, panel, (ZeroHead(0, 0),), *values))
        assert "RWKV-4 has no heads" in shown[panel.controls.status]
        whole = last(run(engine, panel, (KeepSlow(3), Noise(1, 1), ZeroLayer(0)), *values))
        assert "The change moves the next word" in whole[panel.found]


def test_the_sentence_is_true_of_the_numbers(engine: Engine) -> None:
    likeness = Likeness(np.ones(2), np.zeros(2), np.ones(2), np.zeros(2))
    expected = Expectations(0.5, 0.4, (Mover(98, 0.5, 0.125),), (Mover(99, 0.02, 0.64),))
    trial = Trial(likeness, expected, (0.5, 0.2), ("", "", ""))
    said = findings("en", engine, trial, 0.4)
    assert "With 40 % of B the next word is 0.50 bits from A's and 0.20 bits from B's" in said
    assert "nearer to B" in said
    assert "“a” goes from 50 % to 12 %" in said
    assert "0.50 bits: something to notice" in findings("en", engine, trial, None)


def test_every_update_goes_to_a_declared_output(engine: Engine, panel: Panel) -> None:
    for update in run(engine, panel, (), *A, *B, *NOTHING, 0.5, 0, "", *WRITING):
        assert set(update) <= set(panel.outputs)


def test_the_events_are_private_and_bounded_by_the_engine(engine: Engine) -> None:
    with gr.Blocks() as page:
        build_change(engine, gr.State(""), gr.State(Conversation()), gr.State(Shelf()))
    events = list(page.fns.values())
    assert {event.api_visibility for event in events} == {"private"}
    assert {event.concurrency_limit for event in events if event.queue} == {None}
