import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from presets.words import speak
from rwkv_core.inspection.lab import Lab, Text, finish
from rwkv_core.inspection.walk import walk_token
from rwkv_core.sessions import Conversation
from tests.rwkv_core.watched import TOKENIZER
from tests.ui.study_engine import collect, laid_out, last, tiny_engine
from ui.how_it_works import Panel, build_how, explain, lay_out
from ui.how_it_works_steps import FORMULAS, PAPERS, VIEWS, WORDS, formula, steps_html, tokens_text
from ui.session import RunningStreams
from ui.shelf import Shelf
from ui.study_parts import MY_TEXT


def run(folder: Path, generation: str, *values: Any) -> tuple[Panel, dict[Any, Any]]:
    with tiny_engine(folder, generation) as engine:
        panel: Panel = laid_out(lambda: lay_out(engine, gr.State(Shelf())), folder)
        updates = explain(
            engine, panel, RunningStreams(), "en", "me", Conversation(), Shelf(), *values
        )
        return panel, last(collect(updates))


@pytest.mark.parametrize("generation", ["4", "5.0", "5.2", "6", "7", "7a"])
def test_every_generation_is_explained_with_its_own_paper(generation: str, tmp_path: Path) -> None:
    panel, shown = run(tmp_path, generation, MY_TEXT, "abcdef<", None, 2)
    steps = shown[panel.steps]
    assert f"arXiv {PAPERS[generation[0]].number}" in steps
    assert steps.count("<li>") == steps.count('class="formula"') >= 8
    assert ("Make room" in steps) == generation.startswith("7")
    assert "in layer 2 of 2" in shown[panel.found]
    assert "“&lt;”" in shown[panel.found]
    assert shown[panel.total.plot]["value"].type == "plotly"
    assert shown[panel.decay.plot]["value"].type == "plotly"
    assert "<li>The plain sum " in shown[panel.total.words]
    assert "<li>At this token the fastest channel loses " in shown[panel.decay.words]
    assert set(shown) <= set(panel.outputs)


def test_positions_are_counted_from_the_beginning_of_a_long_text(tmp_path: Path) -> None:
    panel, shown = run(tmp_path, "4", MY_TEXT, "ab" * 100, None, 1)
    assert " of 201." in shown[panel.total.words]
    figure = json.loads(shown[panel.total.plot]["value"].plot)
    rows = Path(shown[panel.total.numbers]["value"]).read_text().splitlines()[1:]
    first = 201 - len(rows) + 1
    assert first > 1
    assert [int(row.partition(",")[0]) for row in rows] == list(range(first, 202))
    assert figure["layout"]["annotations"][-1]["x"] >= first
    assert int(re.findall(r"at token (\d+) of 201", shown[panel.total.words])[0]) >= first


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((MY_TEXT, " ", None, 1), "nothing to read yet"),
        ((MY_TEXT, "abc", None, 9), "no layer 9; choose 1 to 2"),
        ((MY_TEXT, "abc", None, None), "The layer is empty"),
    ],
)
def test_what_cannot_be_walked_gets_one_sentence(
    values: tuple[Any, ...], words: str, tmp_path: Path
) -> None:
    panel, shown = run(tmp_path, "7", *values)
    assert words in shown[panel.controls.status]
    assert panel.steps not in shown


def test_each_formula_is_that_of_the_newest_generation_up_to_this_one() -> None:
    assert "e<sup>k</sup>" in formula("write", "4")
    assert formula("write", "5.2") == formula("write", "6") == "S ← S diag(w) + v kᵀ"
    assert "κ" in formula("write", "7a")
    assert formula("decay", "5.0") == formula("decay", "4") != formula("decay", "6")


def test_every_step_has_a_view_and_the_numbers_of_its_cells(tmp_path: Path) -> None:
    assert set(FORMULAS) == set(VIEWS)
    with tiny_engine(tmp_path) as engine:
        walk = finish(walk_token(Lab(engine.model, TOKENIZER), Text((1, 2, 3)), 0))
        html = steps_html("en", engine, walk)
    assert "k: 8 numbers from" in html
    assert "undefined" not in html


def test_strips_that_are_named_by_a_word_are_named_in_the_visitors_language(
    tmp_path: Path,
) -> None:
    with tiny_engine(tmp_path) as engine:
        walk = finish(walk_token(Lab(engine.model, TOKENIZER), Text((1, 2, 3)), 0))
        pages = [steps_html(language, engine, walk) for language in ("en", "zh", "ja")]
    names = [re.findall("<b>(.*?)</b><span>", page) for page in pages]
    assert names[0][:2] == ["now", "before"]
    assert names[1][:2] == [speak("zh", "how.cells_now"), speak("zh", "how.cells_before")]
    assert names[1][2:] == names[2][2:] == names[0][2:]
    assert set(WORDS) == {name for name in names[0] if len(name) > 2}


def test_every_link_says_how_to_get_a_figure_that_is_not_there(tmp_path: Path) -> None:
    with tiny_engine(tmp_path) as engine:
        walk = finish(walk_token(Lab(engine.model, TOKENIZER), Text((1, 2, 3)), 0))
        html = steps_html("en", engine, walk)
    asks = dict(re.findall(r'data-view="(\w+)" data-ask="([^"]+)"', html))
    assert len(asks) == len({VIEWS[stage.name] for stage in walk.stages} | {VIEWS["next"]})
    assert asks["forgetting"].endswith("choose an example.")
    assert "“Researcher” is chosen" in asks["sparsity"]
    assert "compared here" in asks["likeness"]
    assert "the experiment “Which layer matters?”" in asks["lesions"]


def test_half_lives_are_written_for_people() -> None:
    assert tokens_text("en", 2.34) == "2.3 tokens"
    assert tokens_text("en", 1234.5) == "1,234 tokens"
    assert tokens_text("en", float("inf")) == "for ever"


def test_the_events_are_private_and_bounded_by_the_engine(tmp_path: Path) -> None:
    with tiny_engine(tmp_path) as engine, gr.Blocks() as page:
        build_how(engine, gr.State(""), gr.State(Conversation()), gr.State(Shelf()))
    events = list(page.fns.values())
    assert {event.api_visibility for event in events} == {"private"}
    assert {event.concurrency_limit for event in events if event.queue} == {None}
