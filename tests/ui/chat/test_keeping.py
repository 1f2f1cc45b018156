from typing import Any

import gradio as gr

from tests.ui.chat.asking import TEMPLATE, run, spelled, talked
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui.chat import keeping, records
from ui.chat.frames import ChatFrame
from ui.chat.values import MAX_CHATS, Ask, Chat, Chats
from ui.session import RunningStreams
from ui.shelf import Shelf, keep_memory


class Visit:
    """A visitor who does one thing after another."""

    def __init__(self, chats: Chats | None = None) -> None:
        self.fake = FakeEngine()
        self.engine = as_engine(self.fake)
        self.chats = chats or Chats()
        self.running = RunningStreams()

    def say(self, text: str) -> None:
        self.chats = spelled(self.fake, run(self.fake, text, self.chats)[-1].chats)

    def new(self, shelf: Shelf | None = None, start: str = "") -> ChatFrame:
        visitor = (self.engine, self.running, "me", "en", self.chats)
        return self.took(keeping.begin_anew(*visitor, shelf or Shelf(), start))

    def open(self, slot: Any) -> ChatFrame:
        return self.took(
            keeping.open_chat(self.engine, TEMPLATE, self.running, "me", "en", self.chats, slot)
        )

    def delete(self) -> ChatFrame:
        return self.took(
            keeping.delete(self.engine, TEMPLATE, self.running, "me", "en", self.chats)
        )

    def take_in(self, content: bytes) -> ChatFrame:
        return self.took(
            keeping.take_in(self.engine, TEMPLATE, self.running, "me", "en", self.chats, content)
        )

    def took(self, frame: ChatFrame) -> ChatFrame:
        self.chats = frame.chats
        return frame

    @property
    def names(self) -> list[str]:
        return [chat.name for chat in self.chats.chats]


def two_chats() -> Visit:
    visit = Visit()
    visit.say("first")
    visit.new()
    visit.say("second")
    return visit


def test_a_new_chat_leaves_the_others_and_opening_one_shows_it_again() -> None:
    visit = two_chats()
    assert visit.names == ["second", "first"]
    shown = visit.open(0)
    assert [turn.user for turn in shown.conversation.turns] == ["first"]
    assert "re-read" in shown.status
    assert shown.picker["value"] == 0
    for nonsense in (99, "0", None):
        assert visit.open(nonsense).conversation == shown.conversation


def test_an_empty_chat_makes_place_for_the_next_new_one() -> None:
    visit = two_chats()
    for _ in range(3):
        visit.new()
    assert visit.names == ["", "second", "first"]


def test_there_is_a_limit_of_chats_and_it_is_said() -> None:
    visit = Visit()
    for number in range(MAX_CHATS):
        visit.new()
        visit.say(f"{number}")
    assert len({chat.slot for chat in visit.chats.chats}) == MAX_CHATS
    before = visit.chats
    assert "20 chats" in visit.new().status
    assert visit.chats == before


def test_a_deleted_chat_can_be_had_back() -> None:
    visit = two_chats()
    assert "Deleted “second”" in visit.delete().status
    assert visit.names == ["first"]
    visit.took(keeping.bring_back(visit.engine, "en", visit.chats))
    assert visit.names == ["second", "first"]
    assert visit.chats.deleted is None
    visit.delete()
    visit.delete()
    assert visit.names == [""]


def test_a_chat_is_named_by_its_first_words_unless_given_a_name() -> None:
    visit = two_chats()
    visit.took(keeping.rename(visit.engine, "en", visit.chats, "  My   chat " + "x" * 99))
    assert visit.names[0].startswith("My chat xx")
    assert len(visit.names[0]) == 60
    visit.took(keeping.rename(visit.engine, "en", visit.chats, ""))
    assert visit.names[0] == "second"


def kept_by_browser(visit: Visit) -> tuple[Any, list[Any]]:
    _, stored = keeping.save(visit.engine, visit.chats, {})
    return stored[0], [value if isinstance(value, str) else None for value in stored[1:]]


def test_the_browser_gives_back_what_it_kept_and_chats_are_read_when_opened() -> None:
    visit = two_chats()
    visit.open(0)
    listing, slots = kept_by_browser(visit)
    again = Visit()
    shown, saved = keeping.restore(again.engine, TEMPLATE, "me", "en", listing, slots)
    again.took(shown)
    assert again.names == ["second", "first"]
    assert shown.conversation == visit.chats.current.conversation
    assert "Back from this browser" in shown.status
    assert f"re-reads {len(shown.conversation.ids)} tokens" in shown.status
    assert again.chats.chats[0].folded
    assert [turn.user for turn in again.open(1).conversation.turns] == ["second"]
    assert saved[1].slot == 1


def test_only_what_changed_is_written_and_what_was_deleted_is_wiped() -> None:
    visit = two_chats()
    saved, stored = keeping.save(visit.engine, visit.chats, {})
    assert [isinstance(value, str) for value in stored[1:4]] == [True, True, False]
    visit.say("more")
    saved, stored = keeping.save(visit.engine, visit.chats, saved)
    assert [isinstance(value, str) for value in stored[1:4]] == [False, True, False]
    visit.delete()
    _, stored = keeping.save(visit.engine, visit.chats, saved)
    assert stored[2] == ""
    assert stored[0] == {"order": [0], "open": 0}


def test_a_damaged_chat_in_the_browser_is_left_alone() -> None:
    visit = two_chats()
    listing, slots = kept_by_browser(visit)
    slots[0] = slots[0][:40]
    shown, saved = keeping.restore(visit.engine, TEMPLATE, "me", "en", listing, slots)
    assert "1 of the chats" in shown.status
    fresh = shown.chats.added(Chat())
    assert fresh.current.slot not in {0, 1}
    _, stored = keeping.save(visit.engine, fresh, saved)
    assert stored[1] == gr.skip()


def test_nonsense_from_the_browser_gives_an_empty_page() -> None:
    visit = Visit()
    for listing, slots in ((None, []), ({"order": ["x"], "open": {}}, [5, None]), ("x", [""])):
        shown, _ = keeping.restore(visit.engine, TEMPLATE, "me", "en", listing, slots)
        assert shown.messages == []


def test_imported_chats_stand_before_the_others_and_a_wrong_file_changes_nothing() -> None:
    visit = two_chats()
    content = keeping.export(visit.engine, visit.chats).encode()
    assert "Imported 2" in visit.take_in(content).status
    assert visit.names == ["second", "first", "second", "first"]
    before = visit.chats
    assert "no whole JSON" in visit.take_in(content[:99]).status
    assert visit.chats == before


def test_a_stopped_answer_is_kept_and_can_go_on_after_a_reload() -> None:
    fake = FakeEngine()
    visit = Visit(spelled(fake, run(fake, "Hi", stop_after=3)[-1].chats))
    listing, slots = kept_by_browser(visit)
    shown, _ = keeping.restore(visit.engine, TEMPLATE, "me", "en", listing, slots)
    assert shown.go_on["visible"]
    longer = run(visit.fake, Ask("", "continue", is_typed=False), shown.chats)[-1]
    assert longer.messages[1]["content"].startswith("Once there Once")


def test_records_of_an_earlier_visit_are_not_decoded_again_to_be_exported() -> None:
    visit = two_chats()
    _, slots = kept_by_browser(visit)
    folded = Chats((Chat(folded=slots[0]),))
    assert records.write_text(visit.engine, folded.current) == slots[0]
    assert talked(visit.fake, "a").current.name == "a"


def test_a_chat_begins_from_the_memory_that_was_chosen_and_nothing_is_read_twice() -> None:
    visit = two_chats()
    shelf = keep_memory(visit.engine, "me", Shelf(), fake_memory(40), name="the sea", tail="wave")
    item = shelf.current
    assert "40 tokens are in the memory" in visit.new(shelf, item.key).status
    visit.say("hello")
    assert visit.chats.current.conversation.root == item.root
    assert visit.fake.streams[-1].ids == tuple(visit.engine.encode("\n\nUser: hello\n\nAssistant:"))
    assert visit.names == ["hello", "second", "first"]
    assert visit.new(shelf, "").chats.current.conversation.root == ""


def test_a_tuned_state_begins_a_chat_with_its_persona() -> None:
    visit = Visit()
    start = (visit.engine.tokenizer.end_of_text,)
    shelf = keep_memory(visit.engine, "me", Shelf(), fake_memory(0), name="poet", ids=start)
    assert "has read nothing yet" in visit.new(shelf, shelf.chosen).status
    chats = run(visit.fake, "hello", visit.chats, persona="You are Pip.")[-1].chats
    assert chats.current.conversation.root == shelf.current.root
    assert "You are Pip." in visit.engine.tokenizer.decode(chats.current.conversation.ids)


def test_a_memory_that_was_dropped_is_no_longer_chosen() -> None:
    engine = as_engine(FakeEngine())
    shelf = keep_memory(engine, "me", Shelf(), fake_memory(4), name="the sea")
    offered = keeping.starts(shelf, shelf.chosen, "en")
    assert [name for name, _ in offered["choices"]] == ["An empty memory", "the sea"]
    assert offered["value"] == shelf.chosen
    assert keeping.starts(Shelf(), shelf.chosen, "en")["value"] == ""
