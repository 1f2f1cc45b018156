import json
from dataclasses import replace
from typing import Any

import pytest

from rwkv_core.state import MAX_NAME
from tests.ui.chat.asking import TEMPLATE, run
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui import shelf_records
from ui.shelf import MAX_SHELVED, Shelf, keep_memory, keep_text
from ui.shelf_records import read_shelf, write_shelf


def kept(engine: FakeEngine, *texts: str) -> Shelf:
    shelf = Shelf()
    for text in texts:
        ids = (0, *engine.tokenizer.encode(text))
        shelf = keep_text(as_engine(engine), "me", shelf, ids, name=f"after {text[:9]}")
    return shelf


def back(engine: FakeEngine, text: object) -> tuple[Shelf, int]:
    return read_shelf(as_engine(engine), TEMPLATE, text)


def unkeyed(shelf: Shelf) -> list[object]:
    return [replace(item, key="") for item in shelf.items]


def test_texts_come_back_under_new_keys_with_the_same_one_chosen() -> None:
    engine = FakeEngine()
    shelf = kept(engine, "one", "two", "three")
    shelf = shelf.choose(shelf.items[1].key)
    again, lost = back(engine, write_shelf(as_engine(engine), shelf))

    assert lost == 0
    assert unkeyed(again) == unkeyed(shelf)
    assert again.current.name == "after two"


def test_a_chat_comes_back_with_its_messages_as_far_as_they_are_what_was_read() -> None:
    engine = FakeEngine()
    tree = run(engine, "Hi")[-1].chats.current.tree.settled()
    chat = tree.only(tree.tip)
    ids = tree.conversation.ids
    shelf = keep_text(as_engine(engine), "me", Shelf(), ids, name="a", chat=chat)
    text = write_shelf(as_engine(engine), shelf)
    again, _ = back(engine, text)
    assert again.current.ids == ids
    assert again.current.chat is not None
    assert again.current.chat.conversation.ids == ids

    record = json.loads(text)
    record["items"][0] |= {"text": "something else", "ids": None}
    other, _ = back(engine, json.dumps(record))
    assert other.current.chat is None
    assert other.current.tail == "something else"


def test_what_is_only_numbers_is_counted_as_lost() -> None:
    engine = FakeEngine()
    shelf = keep_memory(as_engine(engine), "me", kept(engine, "one"), fake_memory(5), name="loaded")
    again, lost = back(engine, write_shelf(as_engine(engine), shelf))
    assert [item.name for item in again.items] == ["after one"]
    assert lost == 1
    # Words that were read from such a memory are another memory without it.
    ids = engine.tokenizer.encode("and then")
    shelf = keep_memory(as_engine(engine), "me", shelf, fake_memory(6), name="more", ids=ids)
    again, lost = back(engine, write_shelf(as_engine(engine), shelf))
    assert ([item.name for item in again.items], lost) == (["after one"], 2)
    alone = keep_memory(as_engine(engine), "me", Shelf(), fake_memory(5), name="loaded")
    assert back(engine, write_shelf(as_engine(engine), alone)) == (Shelf(), 1)
    assert write_shelf(as_engine(engine), Shelf()) == ""


def test_without_room_the_oldest_go_first_and_never_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine()
    shelf = kept(engine, "a" * 400, "b" * 400, "c" * 400)
    shelf = shelf.choose(shelf.items[0].key)
    monkeypatch.setattr(shelf_records, "MAX_CHARACTERS", 1_000)
    again, lost = back(engine, write_shelf(as_engine(engine), shelf))
    assert [item.name[-1] for item in again.items] == ["a", "c"]
    assert again.current.name[-1] == "a"
    assert lost == 1


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "[", "[1]", "{}", '{"items": 3}', "[" * 100_000, '{"items": [], "lost": -1}'],
    ids=str,
)
def test_what_no_shelf_is_brings_back_nothing(text: object) -> None:
    assert back(FakeEngine(), text) == (Shelf(), 0)


@pytest.mark.parametrize(
    "damage",
    [
        {"name": None}, {"name": " "}, {"text": None}, {"text": ""}, {"text": 3}, {"chat": {}},
        {"chat": {"turns": [{"user": 5}]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_item_is_left_out_and_counted(damage: dict[str, Any]) -> None:
    engine = FakeEngine()
    record = json.loads(write_shelf(as_engine(engine), kept(engine, "one", "two")))
    record["items"][0] |= damage | {"begun": False}
    again, lost = back(engine, json.dumps(record))
    assert [item.name for item in again.items] == ["after two"]
    assert lost == 1


def test_foreign_ids_long_names_and_too_many_items_do_no_harm() -> None:
    engine = FakeEngine()
    record = json.loads(write_shelf(as_engine(engine), kept(engine, "one")))
    (item,) = record["items"]
    item["ids"] = [0, 10**9, -1]
    again, _ = back(engine, json.dumps(record))
    assert engine.tokenizer.decode(again.current.ids) == item["text"]
    item["name"] = "x" * 10_000
    record["items"] = [item] * (MAX_SHELVED + 5)
    again, _ = back(engine, json.dumps(record))
    assert len(again.items) == MAX_SHELVED
    assert all(len(each.name) <= MAX_NAME for each in again.items)
