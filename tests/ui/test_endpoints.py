import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import presets
from presets.catalogue import catalogue
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.switching import load_engine
from tests.ui.fakes import FakeEngine, as_engine
from ui.endpoints import (
    complete_endpoint,
    score_endpoint,
    snapshot_endpoint,
    stream_text,
    style_settings,
    tokenise_endpoint,
)
from ui.kept_texts import KeptTexts


def collected(texts: AsyncIterator[str]) -> list[str]:
    async def collect() -> list[str]:
        return [text async for text in texts]

    return asyncio.run(collect())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with load_engine(presets.default_model_path(), "cpu fp32") as made:
        yield made


def test_text_comes_out_growing() -> None:
    stream = stream_text(as_engine(FakeEngine()), None, (0, 1), style_settings("Pip", "Wild", 3))
    texts = collected(stream)
    assert texts[0] == " Once"
    assert texts[-1] == " Once there was a cat."


def test_a_caller_without_a_session_leaves_nothing_behind() -> None:
    engine = FakeEngine()
    collected(stream_text(as_engine(engine), None, (0,), style_settings("Pip", "Wild", 3)))
    assert len(engine.dropped) == 1


def test_a_failure_is_raised_after_the_text() -> None:
    engine = FakeEngine()
    engine.failure = RwkvError("broken; try again")
    with pytest.raises(RwkvError, match="broken"):
        collected(stream_text(as_engine(engine), None, (0,), style_settings("Pip", "Wild", -1)))


def test_styles_and_seeds_are_checked() -> None:
    assert style_settings("Pip", "Precise", 4).sampling.seed == 4
    with pytest.raises(SettingsError, match="choose one of"):
        style_settings("Pip", "Loud", -1)
    with pytest.raises(SettingsError, match="choose one of Precise, Balanced, Wild"):
        style_settings("Pip", "Advised", -1)


def test_without_a_style_a_program_gets_what_the_page_begins_with() -> None:
    assert style_settings("Pip", "", 4) == style_settings("Pip", "Balanced", 4)
    known = next(model for model in catalogue() if model.template == "thinking")
    name = Path(known.file).stem
    advised = style_settings(name, "", 4)
    assert advised == style_settings(name, "Advised", 4)
    assert advised.sampling == replace(known.sampling, seed=4)
    assert style_settings(name, "Balanced", 4) == style_settings("Pip", "Balanced", 4)


def test_tokens_join_to_the_text(engine: Engine) -> None:
    told = tokenise_endpoint(engine)("abc é")
    assert told["count"] == len(told["ids"]) == len(told["texts"])
    assert engine.tokenizer.decode(told["ids"]) == "abc é"


def test_scores_are_the_log_probabilities_that_writing_reports(engine: Engine) -> None:
    told = asyncio.run(score_endpoint(engine)("The cat sat on the"))
    assert len(told["logprobs"]) == len(told["ids"])
    assert math.isclose(told["total"], sum(told["logprobs"]))
    settings = style_settings("Pip", "Wild", 1)
    ids = (engine.tokenizer.end_of_text, *told["ids"][:-1])
    (token, *_) = engine.submit("s", ids, settings, alternatives=10)
    known = {other.id: other.logprob for other in token.alternatives}
    known[token.id] = token.logprob
    assert math.isclose(known[told["ids"][-1]], told["logprobs"][-1], abs_tol=1e-4)


def test_a_snapshot_is_gone_on_from_without_reading_again(engine: Engine) -> None:
    kept = KeptTexts(10, 1000)
    told = asyncio.run(snapshot_endpoint(engine, kept)("The cat sat on"))
    assert told["tokens"] == 1 + tokenise_endpoint(engine)("The cat sat on")["count"]
    assert len(told["layer_norms"]) == engine.model.config.n_layer
    go_on = complete_endpoint(engine, kept)
    from_memory = collected(go_on(" the mat", "Wild", 5, 3, told["id"]))
    assert from_memory == collected(go_on("The cat sat on the mat", "Wild", 5, 3))
    assert engine.state_at(told["id"], kept.ids(told["id"])) is not None


@pytest.mark.parametrize("values", [(5,), ("a", 7), ("a", "Wild", 1.5), ("a", "Wild", 5, 1, "no")])
def test_wrong_values_get_one_sentence(engine: Engine, values: tuple[Any, ...]) -> None:
    with pytest.raises(gr.Error):
        collected(complete_endpoint(engine, KeptTexts(10, 1000))(*values))
