import json

import pytest

from tests.ui.chat.asking import TEMPLATE, run, spelled, talked
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat import answering, records, so_far
from ui.chat.values import Ask, Chat


def kept_chats(engine: FakeEngine, ask: Ask) -> list[Chat]:
    """What a browser would have of the chat, frame by frame, without repeats."""
    found: list[Chat] = []
    for frame in run(engine, ask, talked(engine, "Hi")):
        keeps = json.loads(frame.marks)["keeps"] if isinstance(frame.marks, str) else {}
        if kept := keeps.get("chat"):
            slot = frame.chats.current.slot
            assert (kept["open"], kept["order"]) == (slot, [slot])
            text = kept["texts"][str(slot)]
            found.append(records.read_text(as_engine(engine), TEMPLATE, text))
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "KEEP_EVERY_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_an_answer_under_way_is_kept_as_one_that_can_go_on() -> None:
    engine = FakeEngine()
    found = kept_chats(engine, Ask("Bye"))
    turns = [chat.conversation.turns[-1] for chat in found]
    # The fake's ids are first letters: what a browser keeps is their text.
    ids = [tuple(map(ord, "Otw"[:count])) for count in (1, 2, 3)]
    assert [turn.answer_ids for turn in turns[:3]] == ids
    assert [turn.answer for turn in turns[:3]] == [engine.tokenizer.decode(of) for of in ids]
    assert all(turn.user == "Bye" and len(turn.makings) == 1 for turn in turns)
    # The last frame keeps the finished one.
    assert [turn.makings[0].reason for turn in turns] == ["unread"] * (len(turns) - 1) + ["stop"]
    assert [turn.makings[0].tokens for turn in turns[:3]] == [1, 2, 3]
    assert all(chat.is_cut for chat in found[:-1])
    assert not found[-1].is_cut
    assert found[0].conversation.turns[0].user == "Hi"


@pytest.mark.usefixtures("at_once")
def test_more_of_a_cut_answer_is_kept_with_what_it_goes_on_from() -> None:
    engine = FakeEngine()
    chats = spelled(engine, run(engine, "Bye", talked(engine, "Hi"), stop_after=3)[-1].chats)
    before = chats.current.conversation.turns[-1]
    frames = run(engine, Ask("", "continue"), chats)
    texts = [
        next(iter(json.loads(frame.marks)["keeps"]["chat"]["texts"].values()))
        for frame in frames[:-1]
        if isinstance(frame.marks, str) and "chat" in json.loads(frame.marks)["keeps"]
    ]
    turn = records.read_text(as_engine(engine), TEMPLATE, texts[-1]).conversation.turns[-1]
    assert turn.answer.startswith(before.answer)
    assert len(turn.answer) > len(before.answer)
    assert [made.reason for made in turn.makings] == ["cancelled", "unread"]


def test_short_answers_are_kept_only_at_their_end() -> None:
    (chat,) = kept_chats(FakeEngine(), Ask("Bye"))
    assert not chat.is_cut


@pytest.mark.usefixtures("at_once")
def test_of_a_long_chat_nothing_is_sent_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(so_far, "MAX_TOKENS", 20)
    assert kept_chats(FakeEngine(), Ask("Bye")) == []


def test_where_nothing_is_asked_nothing_is_kept() -> None:
    frames = run(FakeEngine(), "")
    assert len(frames) == 1
    assert json.loads(str(frames[0].marks))["keeps"] == {}
