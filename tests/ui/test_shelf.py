import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rwkv_core.errors import HeldMemoryError, InputError, StateError
from rwkv_core.sessions import Conversation
from rwkv_core.state import State
from rwkv_core.state_files import file_limit
from tests.ui.fakes import CONFIG, FakeEngine, as_engine, fake_memory
from ui.shelf import (
    MAX_SHELVED,
    Shelf,
    dropped,
    keep_memory,
    keep_text,
    read_file,
    recall,
    write_file,
)


def kept(engine: FakeEngine, shelf: Shelf, text: str, name: str = "a name") -> Shelf:
    ids = (0, *engine.tokenizer.encode(text))
    return keep_text(as_engine(engine), "me", shelf, ids, name=name)


def saved(engine: FakeEngine, shelf: Shelf, folder: Path) -> Path:
    memory = asyncio.run(recall(as_engine(engine), "me", shelf.current))
    return write_file(as_engine(engine), shelf.current, memory, folder / "secret")


def test_a_kept_text_shows_how_much_it_has_read_and_its_last_words() -> None:
    shelf = kept(FakeEngine(), Shelf(), "one  two\nthree " * 20, "  a   name ")
    item = shelf.current
    assert (item.name, item.tokens, len(item.ids)) == ("a name", 301, 301)
    assert item.tail.endswith("one two three one two three")
    assert len(item.tail) <= 120


def test_what_is_kept_last_is_chosen_and_names_differ() -> None:
    engine = FakeEngine()
    shelf = kept(engine, kept(engine, kept(engine, Shelf(), "a"), "b"), "c")
    assert [item.name for item in shelf.items] == ["a name", "a name 2", "a name 3"]
    assert shelf.current is shelf.items[2]
    assert shelf.choose(shelf.items[0].key).current is shelf.items[0]
    assert shelf.choose("unknown") == shelf.choose(None) == shelf


def test_renaming_keeps_the_memory_and_refuses_no_name() -> None:
    engine = FakeEngine()
    shelf = kept(engine, kept(engine, Shelf(), "a", "one"), "b", "two")
    assert shelf.renamed("two").current.name == "two"
    named = shelf.renamed("one").current
    assert named == replace(shelf.current, name="one 2")
    assert len(shelf.renamed("x" * 999).current.name) <= 80
    with pytest.raises(InputError, match="name is empty"):
        shelf.renamed("  ")


def test_an_empty_text_and_a_full_shelf_are_refused() -> None:
    engine, shelf = FakeEngine(), Shelf()
    with pytest.raises(InputError, match="no memory to keep"):
        keep_text(as_engine(engine), "me", shelf, (), name="a")
    with pytest.raises(InputError, match="no memory is kept"):
        dropped(as_engine(engine), "me", shelf)
    for _ in range(MAX_SHELVED):
        shelf = kept(engine, shelf, "a")
    with pytest.raises(InputError, match="32 memories"):
        kept(engine, shelf, "a")
    with pytest.raises(InputError, match="32 memories"):
        keep_memory(as_engine(engine), "me", shelf, fake_memory(3), name="a")
    assert engine.held == {}


def test_a_memory_that_was_given_up_is_read_again() -> None:
    engine = FakeEngine()
    shelf = kept(engine, Shelf(), "abc")
    memory = asyncio.run(recall(as_engine(engine), "me", shelf.current))
    assert memory.tokens == 4
    assert [stream.ids for stream in engine.streams] == [shelf.current.ids]
    asyncio.run(recall(as_engine(engine), "me", shelf.current))
    assert len(engine.streams) == 1


def test_an_edited_memory_is_held_until_the_last_item_that_needs_it_goes() -> None:
    engine = FakeEngine()
    shelf = keep_memory(as_engine(engine), "me", Shelf(), fake_memory(7), name="edited")
    root = shelf.current.root
    assert (shelf.current.tokens, shelf.current.ids) == (7, ())
    talk = Conversation((1, 2), root=root)
    shelf = keep_text(as_engine(engine), "me", shelf, talk.ids, name="later", root=root)
    assert shelf.current.tokens == 9
    shelf = dropped(as_engine(engine), "me", shelf)
    assert ("me", root) in engine.held
    shelf = dropped(as_engine(engine), "me", shelf)
    assert (engine.held, shelf) == ({}, Shelf())
    with pytest.raises(HeldMemoryError):
        keep_text(as_engine(engine), "me", shelf, talk.ids, name="gone", root=root)


def test_a_file_brings_back_the_same_memory_under_its_name(tmp_path: Path) -> None:
    engine = FakeEngine()
    shelf = kept(engine, Shelf(), "hello there", "a <b>/../c")
    path = saved(engine, shelf, tmp_path)
    assert path.name == "a-b-c.safetensors"
    assert path.stat().st_size <= file_limit(CONFIG)
    other = read_file(as_engine(engine), "you", Shelf(), path).current
    assert (other.name, other.tokens, other.tail) == ("a <b>/../c", 12, "hello there")
    assert engine.held["you", other.root].logits is not None
    assert read_file(as_engine(engine), "you", Shelf(), path).current.root == other.root


def test_a_file_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    engine = FakeEngine()
    path = saved(engine, kept(engine, Shelf(), "a"), tmp_path)
    engine.model.fingerprint = "cd" * 32
    with pytest.raises(StateError, match=r"another model.*abababababab.*cdcdcdcdcdcd"):
        read_file(as_engine(engine), "me", Shelf(), path)


def test_a_tuned_state_begins_a_text_as_the_empty_memory_does(tmp_path: Path) -> None:
    path = tmp_path / "pirate.safetensors"
    shape = (CONFIG.n_head, CONFIG.head_size, CONFIG.head_size)
    save_file({f"blocks.{i}.att.time_state": torch.ones(shape) for i in range(6)}, path)
    engine = FakeEngine()
    item = read_file(as_engine(engine), "me", Shelf(), path).current
    assert (item.name, item.tokens, item.ids) == ("pirate", 0, (0,))
    state = engine.held["me", item.root].state
    assert isinstance(state, State)
    assert bool((state.wkv == 1).all())
