from dataclasses import replace

import pytest

from rwkv_core.errors import EngineBusyError, EngineClosedError, SettingsError
from rwkv_core.streams import StreamStatus
from tests.rwkv_core.watched import LIMITS, WatchedModel, end_of, held, open_engine, settings


def test_a_session_has_its_share_and_others_still_enter() -> None:
    model = WatchedModel()
    with open_engine(model, replace(LIMITS, session_jobs=2, slots=1)) as engine:
        with held(model):
            mine = [engine.submit("a", [1], settings(2)) for _ in range(2)]
            with pytest.raises(EngineBusyError, match="2 texts running"):
                engine.submit("a", [1], settings(2))
            with pytest.raises(EngineBusyError, match="2 texts running"):
                engine.trace("a", [1])
            other = engine.submit("b", [1], settings(2))
            assert engine.usage().ended == {"busy": 2}
        assert [end_of(stream).reason for stream in (*mine, other)] == ["length"] * 3
        assert engine.usage().ended == {"busy": 2, "length": 3}


def test_a_longer_answer_than_the_limit_is_refused() -> None:
    with (
        open_engine(WatchedModel(), replace(LIMITS, max_answer_tokens=5)) as engine,
        pytest.raises(SettingsError, match="6 tokens asked for, the limit here is 5"),
    ):
        engine.submit("a", [1], settings(6))


def test_usage_counts_what_was_read_and_written() -> None:
    with open_engine(WatchedModel()) as engine:
        end_of(engine.submit("a", [1, 2, 3], settings(4)))
        engine.trace("a", [1, 2]).result()
        used = engine.usage()
    assert (used.tokens_read, used.tokens_written) == (5, 4)
    assert (used.running, used.waiting, used.tracing, used.sessions) == (0, 0, 0, 1)
    assert sum(used.first_token.counts) <= 1


def test_draining_lets_texts_end_takes_no_new_ones_and_stops_the_rest() -> None:
    model = WatchedModel()
    with open_engine(model) as engine:
        endless = engine.submit("a", [1], settings(4000))
        engine.drain(0.05)
        assert end_of(endless).reason == "cancelled"
        assert end_of(endless).generated_ids
        with pytest.raises(EngineClosedError, match="restarted"):
            engine.submit("a", [1], settings())
    with open_engine(WatchedModel()) as engine:
        short = engine.submit("a", [1], settings(3))
        engine.drain(30)
        assert end_of(short).reason == "length"


def test_who_waits_learns_how_long_it_may_take() -> None:
    model = WatchedModel()
    with open_engine(model, replace(LIMITS, slots=1)) as engine:
        engine._scheduler.tally.end("stop", first_token_s=0.0, held_s=4.0)
        with held(model):
            streams = [engine.submit("a", [1], settings(1)) for _ in range(3)]
            status = streams[-1].status
        for stream in streams:
            end_of(stream)
    assert status.phase == "waiting"
    assert status.wait_s == 4.0 * status.queue_position
    assert StreamStatus("waiting", 1, 0, 1).wait_s == 0
