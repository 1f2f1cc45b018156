"""Texts that begin from a memory which no ids explain."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from rwkv_core.engine import Engine
from rwkv_core.errors import HeldMemoryError, InputError
from rwkv_core.models import Model, load_model
from rwkv_core.state import Memory, SavedMemory, State
from tests.checkpoints import random_weights, write_safetensors
from tests.rwkv_core.fakes import FakeModel
from tests.rwkv_core.watched import LIMITS, TOKENIZER, WatchedModel, end_of, open_engine, settings

PROMPT = [5, 6, 7, 8, 9, 10]


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    weights = random_weights(vocab_size=TOKENIZER.vocab_size)
    return load_model(write_safetensors(tmp_path / "tiny.safetensors", weights), "cpu fp32")


def written(engine: Engine, ids: list[int], *, root: str = "", seed: int = 1) -> list[int]:
    return [token.id for token in engine.submit("a", ids, settings(12, seed=seed), root=root)]


def memory_after(engine: Engine, ids: list[int]) -> Memory:
    end_of(engine.read("a", ids))
    memory = engine.memory_at("a", ids)
    assert memory is not None
    return memory


@pytest.mark.parametrize("more", [[], [3, 4]], ids=["at once", "after more words"])
def test_a_saved_memory_goes_on_after_a_restart_with_the_same_words(
    tiny: Model, tmp_path: Path, more: list[int]
) -> None:
    path = tmp_path / "saved.safetensors"
    with Engine(tiny, TOKENIZER, LIMITS) as engine:
        memory = memory_after(engine, PROMPT)
        expected = written(engine, PROMPT + more)
    memory.state.save(
        path, tiny.config, tiny.fingerprint,
        tokens=memory.tokens, text_tail="end", name="mine", logits=memory.logits,
    )  # fmt: skip
    saved = SavedMemory.load(path, tiny.config, tiny.fingerprint)
    assert (saved.name, saved.text_tail, saved.memory.tokens) == ("mine", "end", len(PROMPT))
    with Engine(tiny, TOKENIZER, LIMITS) as engine:
        root = engine.hold("a", saved.memory)
        assert written(engine, more, root=root) == expected


def test_what_was_read_from_a_root_is_kept_and_not_taken_for_another_text() -> None:
    model = WatchedModel()
    with open_engine(model) as engine:
        root = engine.hold("a", memory_after(engine, [9]))
        first = engine.submit("a", [1, 2], settings(4), root=root)
        list(first)
        again = engine.submit("a", [1, 2], settings(4), root=root)
        list(again)
        plain = engine.submit("a", [1, 2], settings(4))
        list(plain)
    results = [end_of(stream) for stream in (first, again, plain)]
    assert [(r.tokens_reused, r.tokens_read) for r in results] == [(0, 2), (2, 0), (0, 2)]
    assert results[0].generated_ids == results[1].generated_ids != results[2].generated_ids


def test_reading_writes_nothing_and_leaves_the_memory() -> None:
    with open_engine(WatchedModel()) as engine:
        stream = engine.read("a", [1, 2, 3, 4, 5])
        assert list(stream) == []
        assert end_of(stream).reason == "read"
        assert end_of(engine.read("a", [1, 2, 3, 4, 5])).tokens_read == 0
        after = engine.submit("a", [1, 2, 3, 4, 5, 6], settings(1))
        assert end_of(after).tokens_read == 1


def test_a_memory_of_another_visitor_is_no_root() -> None:
    with open_engine(WatchedModel()) as engine:
        root = engine.hold("a", memory_after(engine, [9]))
        for ask in (
            lambda: engine.submit("b", [1], settings(), root=root),
            lambda: engine.read("b", [1], root=root),
            lambda: engine.trace("b", [1], root=root),
            lambda: engine.memory_at("b", [1], root=root),
        ):
            with pytest.raises(HeldMemoryError, match="load its file again"):
                ask()


def test_a_visitor_who_goes_leaves_nothing_held() -> None:
    with open_engine(WatchedModel()) as engine:
        root = engine.hold("a", memory_after(engine, [9]))
        assert engine.memory_at("a", [], root=root) is not None
        engine.drop_session("a")
        with pytest.raises(HeldMemoryError):
            engine.memory_at("a", [], root=root)


def test_without_scores_a_memory_must_read_a_word_first() -> None:
    with open_engine(WatchedModel()) as engine:
        memory = replace(memory_after(engine, [9]), logits=None)
        root = engine.hold("a", memory)
        with pytest.raises(InputError, match="must have 1 to"):
            engine.submit("a", [], settings(), root=root)
        assert len(written(engine, [1], root=root)) == 12


def test_a_text_whose_root_goes_while_it_waits_ends_with_a_sentence() -> None:
    model = WatchedModel()
    with open_engine(model, replace(LIMITS, slots=1)) as engine:
        root = engine.hold("a", memory_after(engine, [9]))
        first = engine.submit("b", [1], settings(3))
        model.before_call = lambda number: engine.release("a", root)
        second = engine.submit("a", [1], settings(3), root=root)
        list(first)
        assert isinstance(end_of(second).error, HeldMemoryError)


def test_an_edited_memory_is_traced_and_continued_exactly(tiny: Model) -> None:
    half = State(*(0.5 * part for part in vars(tiny.prefill(PROMPT)[1]).values()))
    logits, after = tiny.forward([3], half)
    with Engine(tiny, TOKENIZER, LIMITS) as engine:
        scores = np.zeros(TOKENIZER.vocab_size, np.float32)
        root = engine.hold("a", Memory(half, len(PROMPT), scores))
        stream = engine.submit("a", [3], settings(1, greedy=True), root=root)
        assert [token.id for token in stream] == [int(logits.argmax())]
        traced = engine.trace("a", [3], root=root).result()
        state = engine.state_at("a", [3], root=root)
    assert state is not None
    assert np.array_equal(state.wkv.numpy(), after.wkv.numpy())
    assert traced.surprise_bits[0] == pytest.approx(np.log2(TOKENIZER.vocab_size))
    np.testing.assert_allclose(traced.state.wkv.numpy(), after.wkv.numpy(), atol=1e-6)


def test_the_same_memory_has_the_same_name_and_another_does_not() -> None:
    model = cast(Model, FakeModel(TOKENIZER.vocab_size))
    one = Memory(model.forward([1])[1], 1)
    same, later = Memory(model.forward([1])[1], 1), replace(one, tokens=2)
    other = Memory(model.forward([2])[1], 1)
    assert one.key() == same.key()
    assert len({one.key(), later.key(), other.key()}) == 3


def test_one_token_alone_is_traced_and_surprises_nobody(tiny: Model) -> None:
    with Engine(tiny, TOKENIZER, LIMITS) as engine:
        assert np.isnan(engine.trace("a", [3]).result().surprise_bits).all()
