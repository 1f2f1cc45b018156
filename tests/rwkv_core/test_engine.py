import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from rwkv_core.engine import Engine, Stream
from rwkv_core.errors import (
    EngineClosedError,
    InputError,
    SettingsError,
)
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.models import Model, load_model
from rwkv_core.sampling import SamplingSettings
from rwkv_core.state import Memory, State
from tests.checkpoints import random_weights, write_safetensors
from tests.generations import random_state
from tests.rwkv_core.clock import Clock
from tests.rwkv_core.fakes import FakeModel, FakeTokenizer
from tests.rwkv_core.watched import (
    LIMITS,
    LONG,
    TOKENIZER,
    WatchedModel,
    at_call,
    end_of,
    held,
    ids_alone,
    open_engine,
    same,
    settings,
)


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    weights = random_weights(vocab_size=TOKENIZER.vocab_size)
    return load_model(write_safetensors(tmp_path / "tiny.safetensors", weights), "cpu fp32")


class TestWriting:
    def test_texts_written_together_are_those_written_alone(self) -> None:
        prompts = [[5], [1, 2, 3], list(range(10, 23)), [5], [7, 7]]
        with open_engine(WatchedModel(), replace(LIMITS, slots=3)) as engine:
            streams = [
                engine.submit("a", ids, settings(8 + n, seed=n)) for n, ids in enumerate(prompts)
            ]
            together = [[token.id for token in stream] for stream in streams]
        model = FakeModel(TOKENIZER.vocab_size)
        for n, ids in enumerate(prompts):
            assert together[n] == ids_alone(model, ids, settings(8 + n, seed=n))

    def test_a_real_model_writes_the_same_in_a_batch(self, tiny: Model) -> None:
        prompts = [[5], [1, 2, 3], list(range(10, 23))]
        wanted = settings(12, greedy=True)
        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            streams = [engine.submit("a", ids, wanted) for ids in prompts]
            together = [[token.id for token in stream] for stream in streams]
        for ids, written in zip(prompts, together, strict=True):
            assert written == [token.id for token in generate(tiny, TOKENIZER, ids, wanted)]

    def test_joining_and_leaving_do_not_touch_the_others(self) -> None:
        model = WatchedModel()
        late: list[Stream] = []
        with open_engine(model) as engine:
            with held(model):
                first = engine.submit("a", [1, 2], settings(30, seed=3))
                leaver = engine.submit("b", [3], settings(30))

            def join_and_leave() -> None:
                late.append(engine.submit("c", [4, 5], settings(30, seed=4)))
                leaver.cancel()

            at_call(model, 9, join_and_leave)
            written = [token.id for token in first]
            joined = [token.id for token in late[0]]
            assert end_of(leaver).reason == "cancelled"
        alone = FakeModel(TOKENIZER.vocab_size)
        assert written == ids_alone(alone, [1, 2], settings(30, seed=3))
        assert joined == ids_alone(alone, [4, 5], settings(30, seed=4))

    def test_memories_are_stacked_only_when_somebody_joins_or_leaves(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stacked: list[int] = []
        stack = State.stack

        def counted(states: list[State]) -> State:
            stacked.append(len(states))
            return stack(states)

        monkeypatch.setattr(State, "stack", counted)
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                streams = [engine.submit("a", [n], settings(10 + 5 * n)) for n in (1, 2, 3)]
            for stream in streams:
                list(stream)
        assert stacked == [2, 3, 2, 1]

    def test_tokens_carry_alternatives_and_the_change_of_each_layer(self, tiny: Model) -> None:
        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            others = engine.submit("a", [7], settings(4, greedy=True))
            stream = engine.submit(
                "a", [1, 2, 3], settings(4, greedy=True), alternatives=3, tells_change=True
            )
            tokens = list(stream)
            assert not any(token.change for token in others)
        logits, before = tiny.forward([1, 2, 3])
        for token in tokens:
            assert token.id == token.alternatives[0].id == int(logits.argmax())
            assert len(token.alternatives) == 3
            logits, after = tiny.forward([token.id], before)
            moved = (after.wkv - before.wkv).flatten(1).norm(dim=1)
            expected = moved / before.wkv.flatten(1).norm(dim=1)
            torch.testing.assert_close(torch.tensor(token.change), expected, rtol=1e-4, atol=1e-5)
            before = after

    def test_the_seed_drawn_is_reported_and_gives_the_text_again(self) -> None:
        drawn = GenerationSettings(SamplingSettings(seed=None), 8, stop_tokens=())
        with open_engine(WatchedModel()) as engine:
            stream = engine.submit("a", [1], drawn)
            written = [token.id for token in stream]
            again = engine.submit("a", [1], settings(8, seed=end_of(stream).seed))
            assert [token.id for token in again] == written

    def test_batches_give_the_whole_text_in_asyncio(self) -> None:
        async def read(engine: Engine) -> str:
            stream = engine.submit("a", [1], settings(20))
            tokens = [token async for batch in stream.batches(0) for token in batch]
            assert stream.result is not None
            assert stream.result.text == "".join(token.text for token in tokens)
            return stream.result.reason

        with open_engine(WatchedModel()) as engine:
            assert asyncio.run(read(engine)) == "length"

    def test_times_and_speed_are_told(self) -> None:
        model, clock = WatchedModel(), Clock()

        def pass_second(number: int) -> None:
            clock.now += 1

        model.before_call = pass_second
        with open_engine(model, clock=clock) as engine:
            stream = engine.submit("a", list(range(1, 9)), settings(5))
            list(stream)
        result = end_of(stream)
        assert (result.tokens_read, result.read_s, result.write_s) == (8, 2.0, 5.0)
        assert result.tokens_per_s == 1.0
        assert result.first_token_s >= 3.0


class TestEnding:
    def test_a_stop_string_never_shows_and_the_state_before_it_is_kept(self) -> None:
        model = WatchedModel([0, *TOKENIZER.encode("Hi.\n\nUser:")])
        with open_engine(model) as engine:
            stream = engine.submit("a", [1], settings(20, stop=("\n\n",), greedy=True))
            assert "".join(token.text for token in stream) == "Hi."
            result = end_of(stream)
            assert (result.reason, result.text) == ("stop", "Hi.")
            assert TOKENIZER.decode(result.generated_ids) == "Hi."
            state = engine.state_at("a", [1, *result.generated_ids])
        # The state before the stop string was at hand: nothing was read again for it.
        assert [kind for kind, _ in model.calls].count("read") == 1
        assert state is not None
        assert same(state, FakeModel.forward(model, [1, *result.generated_ids])[1])

    def test_a_token_cut_by_a_stop_string_is_read_in_part(self) -> None:
        tokenizer = FakeTokenizer(".\n\n")
        model = FakeModel(tokenizer.vocab_size, [0, *tokenizer.encode("Hi.\n\n")])
        with Engine(cast(Model, model), tokenizer, LIMITS, clock=Clock()) as engine:
            stream = engine.submit("a", [1], settings(20, stop=("\n\n",), greedy=True))
            assert "".join(token.text for token in stream) == "Hi."
            generated = end_of(stream).generated_ids
            state = engine.state_at("a", [1, *generated])
        assert generated == tuple(tokenizer.encode("Hi."))
        assert state is not None
        assert same(state, model.forward([1, *generated])[1])

    def test_text_held_back_for_a_stop_string_that_never_comes_is_shown(self) -> None:
        model = WatchedModel([0, *TOKENIZER.encode("Hi\n")])
        wanted = replace(settings(20, stop=("\n\n",), greedy=True), stop_tokens=(0,))
        with open_engine(model) as engine:
            stream = engine.submit("a", [1], wanted)
            assert "".join(token.text for token in stream) == "Hi\n"
            result = end_of(stream)
            assert result.reason == "end_of_text"
            assert result.generated_ids == tuple(TOKENIZER.encode("Hi\n"))
            assert engine.state_at("a", [1, *result.generated_ids]) is not None

    def test_cancelling_while_writing_ends_within_one_step_and_keeps_the_state(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                stream = engine.submit("a", [1], settings(100))
            at_call(model, 6, stream.cancel)
            result = end_of(stream)
            assert len(model.calls) == 6
            assert result.reason == "cancelled"
            assert len(result.generated_ids) == 5
            assert engine.state_at("a", [1, *result.generated_ids]) is not None

    def test_cancelling_while_reading_ends_within_one_step_and_keeps_the_state(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                stream = engine.submit("a", LONG, settings())
            at_call(model, 3, stream.cancel)
            result = end_of(stream)
            assert (result.reason, result.tokens_read) == ("cancelled", 12)
            assert len(model.calls) == 3
            again = engine.submit("a", LONG, settings())
            list(again)
            assert end_of(again).tokens_reused == 12
            assert end_of(again).tokens_read == len(LONG) - 12

    def test_a_stream_that_nobody_reads_ends_by_itself(self) -> None:
        model, clock = WatchedModel(), Clock()

        def pass_second(number: int) -> None:
            clock.now += 1

        model.before_call = pass_second
        with open_engine(model, replace(LIMITS, unread_s=5), clock=clock) as engine:
            result = end_of(engine.submit("a", [1], settings(100)))
            assert result.reason == "unread"
            assert len(model.calls) == 6

    def test_the_deadline_keeps_the_text_so_far(self) -> None:
        model, clock = WatchedModel(), Clock()

        def pass_second(number: int) -> None:
            clock.now += 1

        model.before_call = pass_second
        with open_engine(model, replace(LIMITS, deadline_s=5), clock=clock) as engine:
            stream = engine.submit("a", [1], settings(100))
            written = [token.id for token in stream]
            result = end_of(stream)
            assert result.reason == "deadline"
            assert result.generated_ids == tuple(written)
            assert len(written) == 5
            assert engine.state_at("a", [1, *written]) is not None


class TestStart:
    def test_texts_begin_from_the_memory_given(self, tiny: Model) -> None:
        start, wanted = random_state(tiny, 1), settings(12, greedy=True)
        with Engine(tiny, TOKENIZER, LIMITS, start=start) as engine:
            streams = [engine.submit("a", ids, wanted) for ids in ([5], [1, 2, 3])]
            written = [[token.id for token in stream] for stream in streams]
            # The same prompt again, now from what was kept.
            again = [token.id for token in engine.submit("a", [5], wanted)]
        for ids, text in zip(([5], [1, 2, 3]), written, strict=True):
            assert text == [t.id for t in generate(tiny, TOKENIZER, ids, wanted, start)]
        assert again == written[0]
        assert written[0] != [t.id for t in generate(tiny, TOKENIZER, [5], wanted)]

    def test_traces_begin_from_it_too(self, tiny: Model) -> None:
        start = random_state(tiny, 1)
        with Engine(tiny, TOKENIZER, LIMITS, start=start) as engine:
            recording = engine.trace("a", [1, 2, 3, 4, 5, 6]).result()
        expected = tiny.trace([1, 2, 3, 4, 5, 6], start)
        np.testing.assert_allclose(recording.state_norm, expected.state_norm, rtol=1e-4)


class TestClosing:
    def test_closing_ends_everything_and_then_nothing_is_taken(self) -> None:
        model = WatchedModel()
        engine = open_engine(model, replace(LIMITS, slots=1))

        def wait_for_close(number: int) -> None:
            with engine._lock:
                assert engine._lock.wait_for(lambda: engine._is_closed, timeout=30)

        model.before_call = wait_for_close
        streams = [engine.submit("a", [1], settings(100)) for _ in range(2)]
        job = engine.trace("a", [1, 2])
        engine.close()
        engine.close()
        assert [type(end_of(stream).error) for stream in streams] == [EngineClosedError] * 2
        with pytest.raises(EngineClosedError, match="start it again"):
            job.result()
        with pytest.raises(EngineClosedError):
            engine.submit("a", [1], settings())
        with pytest.raises(EngineClosedError):
            engine.trace("a", [1])
        assert not engine._thread.is_alive()

    def test_an_unloaded_engine_says_why_and_holds_nothing(self, tmp_path: Path) -> None:
        engine = open_engine(WatchedModel())
        end_of(engine.submit("a", [1, 2], settings(2)))
        assert engine.usage().store_bytes > 0
        engine.unload("it was replaced; reload")
        assert (engine.usage().store_bytes, engine.usage().sessions) == (0, 0)
        for ask in (
            lambda: engine.submit("a", [1], settings()),
            lambda: engine.hold("a", Memory(engine.model.initial_state(), 1)),
        ):
            with pytest.raises(EngineClosedError, match="replaced; reload"):
                ask()
        assert engine.memory_at("a", [1, 2]) is None

    def test_a_drained_engine_takes_texts_again(self) -> None:
        with open_engine(WatchedModel()) as engine:
            engine.drain(1, "wait for the other model")
            with pytest.raises(EngineClosedError, match="wait for the other model"):
                engine.submit("a", [1], settings())
            engine.resume()
            assert end_of(engine.submit("a", [1], settings(2))).error is None


class TestValidation:
    @pytest.mark.parametrize(
        ("ids", "message"),
        [([], "0 tokens"), ([1] * 11, "11 tokens.*10"), ([1, 999], "999"), ([-1], "-1")],
    )
    def test_wrong_ids_are_refused_at_once(self, ids: list[int], message: str) -> None:
        with (
            open_engine(WatchedModel(), replace(LIMITS, max_context_tokens=10)) as engine,
            pytest.raises(InputError, match=message),
        ):
            engine.submit("a", ids, settings())

    def test_wrong_settings_are_refused_at_once(self) -> None:
        banned = GenerationSettings(SamplingSettings(banned=(999,)))
        with open_engine(WatchedModel()) as engine:
            with pytest.raises(SettingsError, match="999"):
                engine.submit("a", [1], banned)
            with pytest.raises(SettingsError, match="11"):
                engine.submit("a", [1], settings(), alternatives=11)

    @pytest.mark.parametrize(
        ("text", "message"),
        [("", "empty"), ("ééé", "6 bytes"), ("a" * 9, "9 bytes"), ("a\0b", "character 2.*NUL")],
    )
    def test_text_that_is_none_is_refused(self, text: str, message: str) -> None:
        with open_engine(WatchedModel(), replace(LIMITS, max_text_bytes=5)) as engine:
            assert engine.encode("Hi") == TOKENIZER.encode("Hi")
            with pytest.raises(InputError, match=message):
                engine.encode(text)
