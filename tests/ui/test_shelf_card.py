import asyncio
from pathlib import Path
from typing import Any

import pytest

from presets import chat_template
from rwkv_core.branches import Tree
from rwkv_core.sessions import Turn
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from tests.ui.test_shelf import kept, saved
from ui import completion_tab, shelf_card
from ui.chat import keeping
from ui.chat.frames import ChatFrame
from ui.chat.turns import opened
from ui.chat.values import Ask, Chat, Chats
from ui.completion.frames import memory_of
from ui.session import Draft, Drafts, RunningStreams
from ui.shelf import Handed, Shelf, hand_over, keep_memory

TREE = Tree().added(None, Turn("My name is Nora.", (1, 2), "Hello", (3, 4)), (0,))
TALK, CHATS = TREE.conversation, Chats((Chat(TREE),))


def test_a_chat_is_kept_under_its_last_message() -> None:
    engine = FakeEngine()
    shelf, said = shelf_card.keep_chat(as_engine(engine), "me", Shelf(), CHATS, "en")
    assert shelf.current.name == "“My name is Nora.”"
    assert (shelf.current.ids, shelf.current.chat) == (TALK.ids, TREE)
    assert "Kept" in said
    assert shelf.current.name in said


def test_an_empty_chat_is_refused_in_words() -> None:
    shelf, said = shelf_card.keep_chat(as_engine(FakeEngine()), "me", Shelf(), Chats(), "en")
    assert shelf == Shelf()
    assert 'role="alert"' in said


@pytest.mark.parametrize(("text", "name"), [("a b", "a b"), ("a b c d e f", "a b c d e…")])
def test_a_long_text_is_called_by_its_first_words(text: str, name: str) -> None:
    assert shelf_card.first_words(text) == name
    assert len(shelf_card.first_words("字" * 99)) == 16


def test_the_shelf_is_drawn_in_the_visitors_language() -> None:
    engine = FakeEngine()
    items, name, actions, empty, opener = shelf_card.show(
        as_engine(engine), kept(engine, Shelf(), "one two", "here"), "zh"
    )
    assert items["choices"][0][0] == "here\n8 个词元 · 304 kB\n…one two"
    assert (name["value"], actions["visible"], empty["visible"]) == ("here", True, False)
    assert opener["value"] == "记忆 · 1"
    nothing = shelf_card.show(as_engine(engine), Shelf(), "en")
    assert [part.get("visible") for part in nothing] == [False, None, False, True, None]


def test_a_saved_file_lies_where_nobody_can_guess(tmp_path: Path) -> None:
    engine = FakeEngine()
    shelf = kept(engine, Shelf(), "abc", "mine")

    async def collect() -> list[tuple[Any, str]]:
        saving = shelf_card.save(as_engine(engine), str(tmp_path), "me", shelf, "en")
        return [shown async for shown in saving]

    first, last = asyncio.run(collect())
    assert "Reading it again" in first[1]
    path = Path(last[0]["value"])
    assert path.exists()
    assert len(path.parent.name) == 32
    assert "Saved mine" in last[1]


def test_a_loaded_file_is_shelved_and_the_uploaded_copy_deleted(tmp_path: Path) -> None:
    engine = FakeEngine()
    path = saved(engine, kept(engine, Shelf(), "abc", "mine"), tmp_path)
    shelf, said = shelf_card.load(as_engine(engine), "me", Shelf(), str(path), "en")
    assert shelf.current.name == "mine"
    assert "Loaded mine" in said
    assert not path.exists()
    path.write_bytes(b"nonsense that is no memory")
    after, said = shelf_card.load(as_engine(engine), "me", shelf, str(path), "en")
    assert after is shelf
    assert 'role="alert"' in said
    assert not path.exists()


def test_renaming_and_dropping_say_what_they_did() -> None:
    engine = FakeEngine()
    shelf = kept(engine, Shelf(), "abc", "mine")
    shelf, said = shelf_card.rename(shelf, "yours", "en")
    assert (shelf.current.name, "yours" in said) == ("yours", True)
    assert 'role="alert"' in shelf_card.rename(shelf, "", "en")[1]
    shelf, said = shelf_card.drop(as_engine(engine), "me", shelf, "en")
    assert (shelf, "Dropped yours" in said) == (Shelf(), True)
    assert 'role="alert"' in shelf_card.send_to("chat", shelf, "en")[2]


def go_on_in_chat(engine: FakeEngine, handed: Handed | None) -> ChatFrame:
    running = RunningStreams()
    return keeping.go_on_from(as_engine(engine), running, "me", "en", Chats(), handed)


def test_a_kept_chat_comes_back_with_its_messages() -> None:
    engine = FakeEngine()
    shelf, _ = shelf_card.keep_chat(as_engine(engine), "me", Shelf(), CHATS, "en")
    frame = go_on_in_chat(engine, hand_over("chat", shelf.current))
    assert frame.conversation == TALK
    assert len(frame.messages) == 2
    assert "its 5 tokens are in the memory already" in frame.status


def test_a_loaded_memory_goes_on_in_chat_from_its_root() -> None:
    engine, template = FakeEngine(), chat_template()
    shelf = keep_memory(as_engine(engine), "me", Shelf(), fake_memory(7), name="loaded")
    frame = go_on_in_chat(engine, hand_over("chat", shelf.current))
    assert "after 7 tokens" in frame.memory
    tree = frame.chats.current.tree
    for _ in range(2):
        tree, _ = opened(as_engine(engine), template, tree, Ask("Hi"), "no persona any more")
        talk = tree.conversation
        assert engine.tokenizer.decode(talk.turns[-1].prompt_ids) == "\n\nUser: Hi\n\nAssistant:"
        assert (talk.opening_ids, talk.root) == ((), shelf.current.root)
        tree = tree.shown(None)


def test_a_tuned_memory_begins_a_chat_with_a_persona() -> None:
    engine, template = FakeEngine(), chat_template()
    shelf = keep_memory(as_engine(engine), "me", Shelf(), fake_memory(0), name="tuned", ids=(0,))
    tree = go_on_in_chat(engine, hand_over("chat", shelf.current)).chats.current.tree
    talk = opened(as_engine(engine), template, tree, Ask("Hi"), "Be kind.")[0].conversation
    assert engine.tokenizer.decode(talk.ids) == "System: Be kind.\n\nUser: Hi\n\nAssistant:"
    assert (talk.ids[0], talk.root) == (0, shelf.current.root)


def test_a_memory_for_another_tab_changes_nothing() -> None:
    engine = FakeEngine()
    handed = hand_over("completion", kept(engine, Shelf(), "abc").current)
    for frame in (go_on_in_chat(engine, handed), go_on_in_chat(engine, None)):
        assert all(part == {"__type__": "update"} for part in frame)


def test_a_kept_text_comes_back_in_the_box_with_its_tokens() -> None:
    engine = FakeEngine()
    shelf, _ = completion_tab.keep_text_in_box(
        as_engine(engine), "me", "en", "Once more", Drafts(), Shelf()
    )
    frame = completion_tab.go_on_from(
        as_engine(engine), RunningStreams(), "me", "en", "old", Drafts(),
        hand_over("completion", shelf.current),
    )  # fmt: skip
    assert frame.box["value"] == "Once more"
    assert isinstance(frame.drafts, Drafts)
    assert frame.drafts.now == Draft("Once more", shelf.current.ids)
    assert frame.drafts.undo("Once more").now.text == "old"


def test_words_after_a_loaded_memory_are_counted_as_tokens_with_those_before() -> None:
    engine = FakeEngine()
    shelf = keep_memory(as_engine(engine), "me", Shelf(), fake_memory(7), name="loaded")
    loaded, mine = (Draft("two words", (1, 2), root=r) for r in (shelf.current.root, ""))
    assert "after 9 tokens" in memory_of(as_engine(engine), loaded, "en")
    assert "after 2 words" in memory_of(as_engine(engine), mine, "en")


def test_text_after_a_loaded_memory_stays_with_it_when_it_is_edited() -> None:
    engine = FakeEngine()
    drafts = Drafts(Draft("", (), root="r"))
    encode = engine.tokenizer.encode
    assert drafts.ids_for("", encode, 0) == ()
    assert drafts.ids_for("ab", encode, 0) == tuple(encode("ab"))
    later = drafts.continued(Draft("ab", (98, 99), root="r"), Draft("abc", (1, 2, 3), root="r"))
    assert later.ids_for("xy", encode, 0) == tuple(encode("xy"))
    assert later.undo("xy").redo("ab").now.root == "r"
