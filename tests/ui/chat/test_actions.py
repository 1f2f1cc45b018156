import gradio as gr
import pytest

from rwkv_core.branches import Tree
from rwkv_core.sessions import Conversation
from tests.ui.chat.asking import put_back, run, talked
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui.chat import actions
from ui.chat.frames import ChatFrame
from ui.chat.values import SHOWN_TURNS, Ask, Chat, Chats
from ui.session import RunningStreams


def undo(engine: FakeEngine, chats: Chats) -> ChatFrame:
    return actions.undo(as_engine(engine), RunningStreams(), "me", "en", chats)


def switch(engine: FakeEngine, chats: Chats, **sent: object) -> ChatFrame:
    event = gr.EventData(None, sent)
    return actions.switch_version(as_engine(engine), RunningStreams(), "me", "en", chats, event)


def test_retry_and_edit_name_the_exchange_they_replace() -> None:
    chats = talked(FakeEngine(), "Hi", "Bye")
    again = actions.retry(gr.RetryData(None, {"index": 2, "value": "Bye"}), chats)
    assert again == Ask("Bye", "replace", 1)
    event = gr.EditData(None, {"index": 0, "value": "Hey", "previous_value": ""})
    assert actions.edit(event, chats) == Ask("Hey", "replace", 0)


def test_an_edit_makes_a_branch_and_the_old_one_can_be_shown_again() -> None:
    engine = FakeEngine()
    chats = talked(engine, "Hi", "Bye")
    edited = run(engine, Ask("Hey", "replace", 0), chats)[-1].chats
    assert [turn.user for turn in edited.current.conversation.turns] == ["Hey"]
    back = switch(engine, edited, what="message", turn=0, by=-1)
    assert [turn.user for turn in back.conversation.turns] == ["Hi", "Bye"]
    assert "re-read 0 tokens" in back.status


def test_switching_says_how_much_must_be_read_where_the_memory_is_gone() -> None:
    engine = FakeEngine()
    chats = run(engine, Ask("Hi", "replace", 0), talked(engine, "Hi"))[-1].chats
    engine.forget()
    shown = switch(engine, chats, what="answer", turn=0, by=-1)
    assert f"re-reads {len(shown.conversation.ids)} tokens" in shown.status


@pytest.mark.parametrize(
    "sent",
    [
        {"what": "answer", "turn": 0, "by": 1},
        {"what": "answer", "turn": 0, "by": -1},
        {"what": "answer", "turn": 9, "by": 1},
        {"what": "answer", "turn": -1, "by": 1},
        {"what": "answer", "turn": "x", "by": 1},
        {"what": "answer", "turn": 0, "by": 10**9},
        {},
    ],
)
def test_an_impossible_switch_changes_nothing(sent: dict[str, object]) -> None:
    engine = FakeEngine()
    chats = talked(engine, "Hi")
    assert switch(engine, chats, **sent).chats == chats


def test_an_example_is_sent_as_it_reads() -> None:
    event = gr.SelectData(None, {"index": 1, "value": {"text": "Tell me a joke."}})
    assert actions.send_example(event) == Ask("Tell me a joke.")


def test_messages_come_as_text_blocks_too() -> None:
    assert actions.text_of([{"type": "text", "text": "a"}, {"text": "b"}]) == "ab"
    assert actions.text_of("a") == "a"


def test_undo_takes_back_a_turn_and_returns_the_message() -> None:
    engine = FakeEngine()
    undone = undo(engine, talked(engine, "Hi", "Bye"))
    assert [turn.user for turn in undone.conversation.turns] == ["Hi"]
    assert put_back(undone) == "Bye"
    assert "re-read 0 tokens" in undone.status
    assert undo(engine, Chats()).messages == []


def test_what_was_undone_stands_beside_what_is_said_instead() -> None:
    engine = FakeEngine()
    said = run(engine, "Why?", undo(engine, talked(engine, "Hi", "Bye")).chats)[-1].chats
    tree = said.current.tree
    assert [tree.nodes[node].turn.user for node in tree.message_versions(2).nodes] == [
        "Bye",
        "Why?",
    ]


def test_a_message_index_names_its_exchange_also_in_a_long_chat() -> None:
    tree = talked(FakeEngine(), "Hi").current.tree
    for _ in range(SHOWN_TURNS + 4):
        tree = tree.added(tree.tip, tree.nodes[0].turn)
    chats = Chats((Chat(tree),))
    assert [actions.node_of(chats, i) for i in (0, 1, 2, (4, 0))] == [5, 5, 6, 7]
    assert actions.node_of(chats, 999) == -1


def test_a_long_chat_draws_its_end_and_more_when_asked() -> None:
    engine = FakeEngine()
    tree = talked(engine, "Hi").current.tree
    for _ in range(SHOWN_TURNS + 4):
        tree = tree.added(tree.tip, tree.nodes[0].turn)
    drawn = actions.undo(as_engine(engine), RunningStreams(), "me", "en", Chats((Chat(tree),)))
    assert len(drawn.messages) == 2 * SHOWN_TURNS
    assert drawn.earlier["visible"]
    more = actions.show_earlier(as_engine(engine), "en", drawn.chats)
    assert len(more.messages) == 2 * (SHOWN_TURNS + 4)
    assert not more.earlier["visible"]


def test_a_chat_whose_beginning_is_gone_promises_no_reading() -> None:
    engine = FakeEngine()
    root = "7-" + "ab" * 16
    engine.held["me", root] = fake_memory(7)
    chats = Chats((Chat(Tree(start=Conversation((), root=root))),))
    chats = run(engine, "Hi", chats)[-1].chats
    assert "re-read" in actions.to_reread(as_engine(engine), "me", chats, "en")
    engine.held.clear()
    said = actions.to_reread(as_engine(engine), "me", chats, "en")
    assert said == "The memory that this text begins from is no longer held here."
