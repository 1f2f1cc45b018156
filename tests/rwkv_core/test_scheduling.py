from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rwkv_core.engine import Engine, StreamResult
from rwkv_core.errors import EngineBusyError, InputError, RwkvError
from rwkv_core.models import Model, load_model
from rwkv_core.recording import Recording
from tests.checkpoints import random_weights, write_safetensors
from tests.rwkv_core.fakes import FakeModel
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
    settings,
)

# After n tokens the model writes WRITES[n], so rows of unequal prompts write unequal tokens.
WRITES = list(range(100, 150))


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    weights = random_weights(vocab_size=TOKENIZER.vocab_size)
    return load_model(write_safetensors(tmp_path / "tiny.safetensors", weights), "cpu fp32")


class TestReading:
    def test_a_long_prompt_delays_the_others_by_one_chunk_a_token(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                writer = engine.submit("a", [1], settings(60))
                reader = engine.submit("b", LONG, settings(1))
            assert len(list(writer)) == 60
            list(reader)
        kinds = [kind for kind, _ in model.calls[: 2 * 60]]
        assert kinds == ["read", "write"] * 60
        assert all(size <= 4 for kind, size in model.calls if kind == "read")

    def test_readers_take_turns(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                streams = [engine.submit("a", LONG, settings(1)) for _ in range(2)]
                streams.append(engine.submit("b", [1, 2], settings(1)))
            assert [len(list(stream)) for stream in streams] == [1, 1, 1]
        # Two turns at most for the others, and then the short one is read.
        assert ("read", 2) in model.calls[:4]

    def test_writing_another_answer_reads_nothing(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            first = engine.submit("a", LONG[:10], settings(seed=1))
            list(first)
            model.calls.clear()
            retry = engine.submit("a", LONG[:10], settings(seed=2))
            written = [token.id for token in retry]
            assert (end_of(retry).tokens_reused, end_of(retry).tokens_read) == (10, 0)
            assert {kind for kind, _ in model.calls} == {"write"}
        alone = FakeModel(TOKENIZER.vocab_size)
        assert written == ids_alone(alone, LONG[:10], settings(seed=2))

    def test_going_on_reads_only_what_is_new(self) -> None:
        with open_engine(WatchedModel()) as engine:
            first = engine.submit("a", [1, 2, 3], settings(8))
            ids = [1, 2, 3, *(token.id for token in first)]
            more = engine.submit("a", [*ids, 4, 5], settings(8, seed=5))
            written = [token.id for token in more]
            assert (end_of(more).tokens_reused, end_of(more).tokens_read) == (11, 2)
        alone = FakeModel(TOKENIZER.vocab_size)
        assert written == ids_alone(alone, [*ids, 4, 5], settings(8, seed=5))

    def test_a_session_never_reuses_the_states_of_another(self) -> None:
        with open_engine(WatchedModel()) as engine:
            list(engine.submit("a", [1, 2, 3], settings()))
            other = engine.submit("b", [1, 2, 3], settings())
            list(other)
            assert end_of(other).tokens_reused == 0
            assert engine.state_at("a", [1, 2, 3]) is not None
            assert engine.state_at("c", [1, 2, 3]) is None
            assert engine.state_at("a", [1, 2, 3, 4]) is None

    def test_a_dropped_session_leaves_nothing_even_while_it_writes(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                stream = engine.submit("a", [1, 2, 3], settings(100))
            at_call(model, 6, lambda: engine.drop_session("a"))
            result = end_of(stream)
            assert result.reason == "cancelled"
            assert engine.state_at("a", [1, 2, 3]) is None
            assert engine.state_at("a", [1, 2, 3, *result.generated_ids]) is None


class TestSlots:
    def test_who_gets_no_slot_waits_in_line_and_knows_the_place(self) -> None:
        model = WatchedModel()
        seen: list[int] = []
        with open_engine(model, replace(LIMITS, slots=1, waiting=2)) as engine:
            with held(model) as entered:
                first = engine.submit("a", [1], settings(5))
                assert entered.wait(30)
                second = engine.submit("b", [2], settings(5))
                third = engine.submit("c", [3], settings(5))
                assert [s.status.queue_position for s in (first, second, third)] == [0, 1, 2]
                assert third.status.phase == "waiting"
                with pytest.raises(EngineBusyError, match="2 visitors wait"):
                    engine.submit("d", [4], settings(5))

            def look(number: int) -> None:
                seen.append(third.status.queue_position)

            model.before_call = look
            assert [len(list(stream)) for stream in (first, second, third)] == [5, 5, 5]
        assert seen == sorted(seen, reverse=True)
        assert set(seen) == {2, 1, 0}
        assert max(size for kind, size in model.calls if kind == "write") == 1

    def test_leaving_the_line_moves_the_others_up(self) -> None:
        model = WatchedModel()
        with open_engine(model, replace(LIMITS, slots=1)) as engine:
            with held(model) as entered:
                first = engine.submit("a", [1], settings(5))
                assert entered.wait(30)
                second = engine.submit("b", [2], settings(5))
                third = engine.submit("c", [3], settings(5))
                second.cancel()
            assert end_of(second).reason == "cancelled"
            assert end_of(second).generated_ids == ()
            assert [len(list(stream)) for stream in (first, third)] == [5, 5]


class TestFailures:
    def spoiled_pair(
        self, model: WatchedModel, spoil: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[StreamResult, StreamResult]:
        """Let two rows write, of which only the first meets token 108."""
        model.spoil = lambda tokens, logits: (
            spoil(tokens, logits) if isinstance(tokens, Tensor) else logits
        )
        with open_engine(model) as engine:
            with held(model):
                bad = engine.submit("a", [1, 2, 3, 4, 5], settings(20, greedy=True))
                good = engine.submit("b", [1], settings(6, greedy=True))
            results = end_of(bad), end_of(good)
            assert engine.state_at("b", [1, *results[1].generated_ids]) is not None
            model.spoil = lambda tokens, logits: logits
            assert len(list(engine.submit("a", [9], settings(3)))) == 3
        assert results[1].reason == "length"
        assert results[1].generated_ids == tuple(range(101, 107))
        return results

    def test_an_exception_ends_only_the_row_that_causes_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def spoil(tokens: Tensor, logits: Tensor) -> Tensor:
            if 108 in tokens:
                raise RuntimeError("secret path")
            return logits

        bad, _ = self.spoiled_pair(WatchedModel(WRITES), spoil)
        assert (bad.reason, bad.generated_ids) == ("error", (105, 106, 107))
        assert type(bad.error) is RwkvError
        assert "secret path" not in str(bad.error)
        assert "RuntimeError: secret path" in caplog.text

    def test_nan_ends_only_its_row(self) -> None:
        def spoil(tokens: Tensor, logits: Tensor) -> Tensor:
            return torch.where(tokens == 108, torch.nan, logits)

        bad, _ = self.spoiled_pair(WatchedModel(WRITES), spoil)
        assert (bad.reason, bad.generated_ids) == ("error", (105, 106, 107))
        assert "overflow" in str(bad.error)

    def test_an_exception_while_reading_ends_that_stream_only(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = WatchedModel()

        def spoil(tokens: Tensor | list[int], logits: Tensor) -> Tensor:
            if isinstance(tokens, list) and 99 in tokens:
                raise RuntimeError("no")
            return logits

        model.spoil = spoil
        with open_engine(model) as engine:
            good = engine.submit("b", [1], settings(20))
            bad = engine.submit("a", [99], settings(20))
            assert len(list(good)) == 20
            assert end_of(bad).reason == "error"
            assert end_of(bad).tokens_read == 0
        assert "RuntimeError: no" in caplog.text


class TestTraces:
    def test_a_trace_in_chunks_is_the_trace_of_the_whole_text(self, tiny: Model) -> None:
        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            recording = engine.trace("a", LONG[:10]).result()
        whole = tiny.trace(LONG[:10])
        for field in fields(Recording):
            if isinstance(getattr(whole, field.name), np.ndarray):
                np.testing.assert_allclose(
                    getattr(recording, field.name),
                    getattr(whole, field.name),
                    rtol=1e-4,
                    atol=1e-5,
                    err_msg=field.name,
                )
        torch.testing.assert_close(recording.state.wkv, whole.state.wkv)

    def test_prompts_are_read_before_traces_and_writing_goes_on(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                writer = engine.submit("a", [1], settings(12))
                job = engine.trace("a", LONG[:12])
                reader = engine.submit("b", LONG[:16], settings(1))
            for stream in (writer, reader):
                list(stream)
            assert len(job.result().tokens) == 12
        kinds = [kind for kind, _ in model.calls if kind != "write"]
        assert kinds == ["read"] * 5 + ["trace"] * 3
        assert [kind for kind, _ in model.calls[1::2]] == ["write"] * len(model.calls[1::2])

    def test_traces_take_turns_and_can_be_cancelled(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model):
                long, short = engine.trace("a", LONG), engine.trace("a", [1, 2])
            at_call(model, 4, long.cancel)
            short.result()
            with pytest.raises(RwkvError, match="cancelled"):
                long.result()
        assert ("trace", 2) in model.calls[:3]
        assert len(model.calls) == 4

    def test_a_text_read_before_is_not_read_again(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            first = engine.trace("a", LONG[:12]).result()
            calls = len(model.calls)
            job = engine.trace("a", LONG[:12])
            assert job.is_done
            assert job.status.tokens_read == 12
            assert job.result() is first
            assert len(model.calls) == calls
            assert engine.trace("b", LONG[:12]).result() is not first
            engine.drop_session("a")
            assert engine.trace("a", LONG[:12]).result() is not first

    def test_a_cancelled_trace_is_not_kept(self) -> None:
        model = WatchedModel()
        with open_engine(model) as engine:
            with held(model) as entered:
                job = engine.trace("a", LONG[:4])
                assert entered.wait(30)
                job.cancel()
            job.result()
            calls = len(model.calls)
            engine.trace("a", LONG[:4]).result()
            assert len(model.calls) > calls

    def test_a_trace_that_fails_says_so_and_the_engine_goes_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = WatchedModel()

        def fail(number: int) -> None:
            raise RuntimeError("no")

        model.before_call = fail
        with open_engine(model) as engine:
            with pytest.raises(RwkvError, match="try again"):
                engine.trace("a", [1]).result()
            model.before_call = lambda number: None
            assert len(engine.trace("a", [1]).result().tokens) == 1

    def test_too_many_tokens_or_traces_are_refused(self) -> None:
        model = WatchedModel()
        with open_engine(model, replace(LIMITS, waiting=1)) as engine:
            with pytest.raises(InputError, match=r"4097 tokens.*4096"):
                engine.trace("a", [1] * 4097)
            with held(model) as entered:
                job = engine.trace("a", LONG)
                assert entered.wait(30)
                with pytest.raises(EngineBusyError, match="1 texts wait"):
                    engine.trace("a", [1])
                job.cancel()
