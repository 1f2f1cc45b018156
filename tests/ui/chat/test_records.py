import json
from dataclasses import replace
from typing import Any

import pytest

from rwkv_core.branches import Tree
from rwkv_core.errors import InputError
from rwkv_core.sessions import Conversation
from tests.ui.chat.asking import TEMPLATE, run, spelled
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui.chat import records
from ui.chat.values import Ask, Chat, Chats, fold, unfold


def branched(engine: FakeEngine) -> Chat:
    """Two exchanges with a persona, an edited message, and a cut answer to it."""
    chats = run(engine, "Hi", persona="You are Pip.")[-1].chats
    chats = run(engine, "Bye", chats)[-1].chats
    chats = run(engine, Ask("Why?", "replace", 1), chats, stop_after=3)[-1].chats
    # Its slot is no part of the record.
    return replace(spelled(engine, chats).current, slot=0)


def read(engine: FakeEngine, chat: dict[str, Any]) -> Chat:
    return records.read_chat(as_engine(engine), TEMPLATE, json.loads(json.dumps(chat)))


def written(engine: FakeEngine) -> dict[str, Any]:
    return records.write_chat(as_engine(engine), branched(engine))


def test_a_chat_comes_back_as_it_was_with_branches_ids_and_timings() -> None:
    engine = FakeEngine()
    chat = branched(engine)
    text = records.write_text(as_engine(engine), chat)
    assert records.read_text(as_engine(engine), TEMPLATE, text) == chat
    assert records.peek(text) == "Hi"


def test_a_file_holds_all_chats_and_how_each_answer_was_made() -> None:
    engine = FakeEngine()
    chat = branched(engine)
    text = records.write_file(as_engine(engine), (chat, Chat(), Chat(folded=fold('{"a": 1}'))))
    chats = json.loads(text)["chats"]
    assert len(chats) == 2
    assert chats[0]["turns"][0]["made"][0]["seed"] == 7
    assert chats[0]["turns"][0]["made"][0]["tokens_per_s"] == 50.0
    own = records.write_file(as_engine(engine), (chat,)).encode()
    assert records.read_file(as_engine(engine), TEMPLATE, own) == (chat,)


def test_ids_that_are_not_those_of_the_text_are_not_believed() -> None:
    engine = FakeEngine()
    chat = written(engine)
    chat["turns"][0]["answer_ids"] = [66, 66]
    turn = read(engine, chat).tree.nodes[0].turn
    assert engine.tokenizer.decode(turn.answer_ids) == chat["turns"][0]["answer"]


def test_another_models_ids_are_not_used() -> None:
    engine = FakeEngine()
    chat = written(engine)
    answer = chat["turns"][0]["answer"]
    # Right for the fake's own decoder, though not what its encoder gives.
    chat["turns"][0]["answer_ids"] = [0, *engine.tokenizer.encode(answer)]
    assert read(engine, chat).tree.nodes[0].turn.answer_ids[0] == 0
    chat["model"] = {"name": "other", "fingerprint": "f"}
    assert read(engine, chat).tree.nodes[0].turn.answer_ids[0] != 0


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("parent", 7), ("parent", -1), ("parent", "0"), ("parent", True), ("child", -1),
        ("user", ""), ("user", 5), ("user", "a\x00b"), ("user", "x" * 9999), ("answer", ""),
        ("answer", None), ("opening", 3), ("live", {}), ("made", [1]), ("made", {"a": 1}),
    ],
)  # fmt: skip
def test_a_damaged_message_is_refused_in_one_sentence(where: str, value: object) -> None:
    engine = FakeEngine()
    chat = written(engine)
    record = chat["turns"][1]
    record[where] = value
    if where == "answer":
        record["live"] = ""
    with pytest.raises(InputError, match="message 2"):
        read(engine, chat)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 99), ("top_k", "x"), ("reason", "bored"), ("max_tokens", 0), ("stop", [""]),
     ("stop", ["a"] * 9), ("seed", -1), ("tokens", 1.5)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    engine = FakeEngine()
    chat = written(engine)
    chat["turns"][0]["made"][0][name] = value
    with pytest.raises(InputError, match="message 1"):
        read(engine, chat)


def test_a_child_that_hangs_elsewhere_is_forgotten() -> None:
    engine = FakeEngine()
    chat = written(engine)
    chat["turns"][1]["child"] = 2
    chat["turns"][0]["child"] = 900
    tree = read(engine, chat).tree
    assert [tree.nodes[0].child, tree.nodes[1].child] == [None, None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no whole JSON"), (b"\xff\xfe", "no whole JSON"), (b"[" * 10**6, "no whole JSON"),
        (b"[]", "not a file of exported chats"), (b'{"format": "rwkv-chats"}', "version"),
        (b'{"format": "rwkv-chats", "version": 1, "chats": []}', "1 to 20 chats"),
        (b'{"format": "rwkv-chats", "version": 1, "chats": [{"turns": []}]}', "1 to 1,000"),
        (b'{"format": "rwkv-chats", "version": 1, "chats": [5]}', "1 to 1,000"),
        (b" " * (records.MAX_FILE_BYTES + 1), "the limit is"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_sentence(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        records.read_file(as_engine(FakeEngine()), TEMPLATE, content)


def test_an_empty_chat_is_not_written() -> None:
    assert records.write_text(as_engine(FakeEngine()), Chat()) == ""
    assert Chats().current.is_empty


@pytest.mark.parametrize(
    "start",
    [
        Conversation((0, 66, 67)),
        Conversation((), root="7-" + "ab" * 16),
        Conversation((0,), root="0-" + "ab" * 16),
    ],
    ids=["kept text", "loaded", "tuned"],
)
def test_a_chat_that_began_from_a_memory_still_does_after_a_reload(start: Conversation) -> None:
    engine = FakeEngine()
    engine.held["me", start.root] = fake_memory(7)
    chats = Chats((Chat(Tree(start=start)),))
    chats = run(engine, "Hi", chats, persona="You are Pip.")[-1].chats
    chat = spelled(engine, run(engine, "Bye", chats)[-1].chats).current
    text = records.write_text(as_engine(engine), chat)
    assert records.read_text(as_engine(engine), TEMPLATE, text) == replace(chat, slot=0)


@pytest.mark.parametrize("start", [1, {}, {"root": "../x", "text": "", "ids": []}])
def test_a_damaged_beginning_is_refused(start: object) -> None:
    engine = FakeEngine()
    with pytest.raises(InputError, match="began from is damaged"):
        read(engine, {**written(engine), "start": start})


def test_a_chat_that_nobody_reads_takes_less_than_its_letters_and_comes_back_as_it_was() -> None:
    text = "Once upon a time there was a cat. " * 100 + "\U0001f431 \ud800"
    assert len(fold(text)) < len(text) / 4
    assert unfold(fold(text)) == text
