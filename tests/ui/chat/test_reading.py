import asyncio

from rwkv_core.errors import EngineBusyError
from tests.ui.chat.asking import TEMPLATE, run
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat.reading import read_message
from ui.chat.values import Chats


def lines(engine: FakeEngine, text: str, chats: Chats, *, wanted: bool = True) -> list[str]:
    async def collect() -> list[str]:
        found = read_message(
            as_engine(engine), TEMPLATE, "me", "en", text, chats, "Be kind.", wanted
        )
        return [line async for line in found]

    return asyncio.run(collect())


def test_a_message_is_read_as_it_will_be_sent() -> None:
    engine = FakeEngine()
    chats = run(engine, "Hi", persona="Be kind.")[-1].chats
    assert "all read" in lines(engine, "Bye", chats)[-1]
    run(engine, "Bye", chats)
    sent = engine.streams[-1]
    assert engine.quiet == [sent.ids]
    assert sent.tokens_reused == len(sent.ids)


def test_a_first_message_is_read_with_its_persona() -> None:
    engine = FakeEngine()
    lines(engine, "Hi", Chats())
    run(engine, "Hi", persona="Be kind.")
    assert engine.quiet == [engine.streams[-1].ids]


def test_nothing_is_read_that_is_not_wanted_or_cannot_be_sent() -> None:
    engine = FakeEngine()
    for text, wanted in (("Hi", False), ("  ", True), ("x" * 60_000, True), ("a\x00", True)):
        assert lines(engine, text, Chats(), wanted=wanted) == ['<p class="counts"></p>']
    engine.refusal = EngineBusyError("no place")
    assert "still to read" in lines(engine, "Hi", Chats())[-1]
    assert engine.quiet == []
