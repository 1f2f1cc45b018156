import asyncio
from dataclasses import replace

import gradio as gr

from tests.ui.chat.asking import TEMPLATE, run, talked
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat import beside
from ui.chat.answering import Wishes
from ui.chat.frames import SKIP
from ui.chat.values import MAX_CHATS, Ask, Chats
from ui.controls import choose_preset
from ui.session import RunningStreams


def forked(
    engine: FakeEngine, chats: Chats, turn: object
) -> tuple[beside.BesideFrame, beside.Column]:
    return beside.fork_here(as_engine(engine), "en", chats, gr.EventData(None, {"turn": turn}))


def test_a_fork_is_the_text_up_to_an_exchange_and_reads_nothing_again() -> None:
    engine = FakeEngine()
    chats = talked(engine, "Hi", "Bye")
    shown, column = forked(engine, chats, 0)
    assert [turn.user for turn in shown.chats.current.conversation.turns] == ["Hi"]
    assert column.column["visible"]
    assert str(column.pair_seed) in column.note
    after = run(engine, "Why?", shown.chats, pair_seed=column.pair_seed)[-1]
    assert "re-read 0 tokens" in after.status
    assert engine.streams[-1].settings.sampling.seed == column.pair_seed


def test_a_seed_of_the_visitors_own_comes_before_the_columns() -> None:
    engine = FakeEngine()
    for seed, used in ((5.0, 5), (-1.0, 8)):
        controls = choose_preset("Balanced")._replace(seed=seed)

        async def ask(controls: tuple[float, ...] = controls) -> None:
            async for _ in beside.answer_beside(
                as_engine(engine), TEMPLATE, RunningStreams(), "me", "en", Chats(), Ask("Hi"),
                *Wishes(pair_seed=8), *controls,
            ):  # fmt: skip
                pass

        asyncio.run(ask())
        assert engine.streams[-1].settings.sampling.seed == used


def test_nothing_is_forked_where_there_is_nothing() -> None:
    engine = FakeEngine()
    for turn in (5, -1, "0", None):
        shown, column = forked(engine, talked(engine, "Hi"), turn)
        assert shown == beside.NOTHING
        assert column.pair_seed == -1


def test_the_second_column_is_asked_too_only_where_that_is_wanted() -> None:
    assert beside.ask_both(Ask("Hi"), True, 5) == Ask("Hi")
    assert beside.ask_both(Ask("Hi"), False, 5) is None
    assert beside.ask_both(Ask("Hi"), True, -1) is None

    async def ask_nothing() -> list[beside.BesideFrame]:
        frames = beside.answer_beside(
            as_engine(FakeEngine()), TEMPLATE, RunningStreams(), "me", "en", Chats(), None
        )
        return [frame async for frame in frames]

    assert asyncio.run(ask_nothing()) == [beside.NOTHING]


def test_a_second_column_becomes_a_chat_and_closing_it_stops_its_words() -> None:
    engine, running = FakeEngine(), RunningStreams()
    chats = talked(engine, "Hi", "Bye")
    fork = forked(engine, chats, 0)[0].chats
    kept = beside.keep_fork(as_engine(engine), "en", chats, fork)
    assert [chat.name for chat in kept.chats.chats] == ["Hi", "Hi"]
    assert len(kept.conversation.turns) == 1
    running.start("me", stream := engine.submit("me", [1], engine.streams[0].settings))
    shown, column = beside.close(as_engine(engine), running, "me", "en")
    assert stream.cancelled
    assert shown.messages == []
    assert not column.column["visible"]


def test_a_second_column_that_is_kept_closes_and_one_that_is_one_too_many_stays() -> None:
    engine, running = FakeEngine(), RunningStreams()
    chats = talked(engine, "Hi", "Bye")
    fork = forked(engine, chats, 0)[0].chats
    visitor = (as_engine(engine), running, "me", "en")
    kept, (second, column) = beside.keep_and_close(*visitor, chats, fork)
    assert kept.conversation == fork.current.conversation
    assert second.messages == []
    assert not column.column["visible"]
    full = chats
    while len(full.chats) < MAX_CHATS:
        full = full.added(replace(chats.current, slot=0))
    refused, (second, column) = beside.keep_and_close(*visitor, full, fork)
    assert "is-error" in refused.status
    assert (second, column.column) == (beside.NOTHING, SKIP)
