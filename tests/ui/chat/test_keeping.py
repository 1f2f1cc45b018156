import json
from typing import Any

from tests.ui.chat.asking import TEMPLATE, run, spelled, talked
from tests.ui.fakes import FakeEngine, as_engine, fake_memory
from ui.chat import keeping, records
from ui.chat.frames import ChatFrame
from ui.chat.values import MAX_CHATS, Ask, Chat, Chats, fold
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
    shown = visit.open(visit.chats.chats[1].slot)
    assert [turn.user for turn in shown.conversation.turns] == ["first"]
    assert "re-read" in shown.status
    assert shown.picker["value"] == visit.chats.chats[1].slot
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


class Window:
    """A window of one browser: what it stores is in a dictionary that others may share."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.stored, self.visit = stored, Visit()
        kept = {"texts": dict(stored), "order": [*map(int, stored)], "open": None}
        shown, self.saved = keeping.restore(self.visit.engine, TEMPLATE, "me", "en", kept)
        self.visit.took(shown)

    def save(self) -> dict[str, Any]:
        """Do what `browser.WRITE` does; returns what changed."""
        self.saved, written = keeping.save(self.visit.engine, self.visit.chats, self.saved)
        texts: dict[str, Any] = written["texts"]
        self.stored |= texts
        for slot in [slot for slot, text in self.stored.items() if not text]:
            del self.stored[slot]
        return texts

    def say(self, text: str) -> None:
        self.visit.say(text)
        self.save()


def names_in(stored: dict[str, Any]) -> set[str | None]:
    return {records.peek(text) for text in stored.values()}


def test_two_windows_keep_all_their_chats() -> None:
    stored: dict[str, Any] = {}
    first, second = Window(stored), Window(stored)
    first.say("of the first")
    second.say("of the second")
    assert names_in(stored) == {"of the first", "of the second"}
    first, second = Window(stored), Window(stored)
    for window, text in ((first, "new of the first"), (second, "new of the second")):
        window.visit.new()
        window.say(text)
    assert len(names_in(stored)) == 4
    assert len(Window(stored).visit.names) == 4


def test_a_window_leaves_alone_what_it_only_opens() -> None:
    stored: dict[str, Any] = {}
    Window(stored).say("first")
    slot = int(next(iter(stored)))
    first, second = Window(stored), Window(stored)
    assert second.visit.chats.current.conversation.turns
    assert second.save() == {}
    second.visit.new()
    second.say("second")
    second.visit.open(slot)
    assert second.save() == {}
    first.visit.open(slot)
    first.visit.delete()
    first.save()
    second.visit.open(second.visit.chats.chats[0].slot)
    second.say("more")
    assert names_in(stored) == {"second"}


def test_whatever_the_page_had_before_it_was_opened_gets_a_slot_when_something_is_said() -> None:
    visits = [Visit(), Visit()]
    for visit in visits:
        assert visit.chats.current.slot == 0
        visit.say("Hi")
    assert 0 != visits[0].chats.current.slot != visits[1].chats.current.slot != 0


def kept_by_browser(visit: Visit) -> dict[str, Any]:
    return keeping.save(visit.engine, visit.chats, {})[1]


def test_the_browser_gives_back_what_it_kept_and_chats_are_read_when_opened() -> None:
    visit = two_chats()
    second, first = (chat.slot for chat in visit.chats.chats)
    visit.open(first)
    again = Visit()
    kept = kept_by_browser(visit)
    shown, saved = keeping.restore(again.engine, TEMPLATE, "me", "en", kept)
    again.took(shown)
    assert again.names == ["second", "first"]
    assert shown.conversation == visit.chats.current.conversation
    assert "Back from this browser" in shown.status
    assert f"re-reads {len(shown.conversation.ids)} tokens" in shown.status
    assert again.chats.chats[0].folded
    assert [turn.user for turn in again.open(second).conversation.turns] == ["second"]
    assert saved[second].slot == second


def test_only_what_changed_is_written_and_what_was_deleted_is_wiped() -> None:
    visit = two_chats()
    second, first = (chat.slot for chat in visit.chats.chats)
    saved, stored = keeping.save(visit.engine, visit.chats, {})
    assert stored["texts"].keys() == {str(first), str(second)}
    visit.say("more")
    saved, stored = keeping.save(visit.engine, visit.chats, saved)
    assert stored["texts"].keys() == {str(second)}
    visit.delete()
    _, stored = keeping.save(visit.engine, visit.chats, saved)
    assert stored == {"order": [first], "open": first, "texts": {str(second): ""}}


def test_a_chat_that_is_being_answered_stays_as_it_was_kept() -> None:
    visit = Visit()
    visit.say("Hi")
    saved, stored = keeping.save(visit.engine, visit.chats, {}, is_answering=True)
    assert (saved, stored["order"], stored["texts"]) == ({}, [], {})
    saved, stored = keeping.save(visit.engine, visit.chats, {})
    kept = saved[visit.chats.current.slot]
    visit.say("more")
    saved, stored = keeping.save(visit.engine, visit.chats, saved, is_answering=True)
    assert stored["order"] == [visit.chats.current.slot]
    assert (saved, stored["texts"]) == ({kept.slot: kept}, {})
    saved, stored = keeping.save(visit.engine, visit.chats, saved)
    assert stored["texts"].keys() == {str(kept.slot)}


def test_a_damaged_chat_in_the_browser_is_left_alone() -> None:
    visit = two_chats()
    kept = kept_by_browser(visit)
    slot = str(visit.chats.chats[1].slot)
    kept["texts"][slot] = kept["texts"][slot][:40]
    shown, saved = keeping.restore(visit.engine, TEMPLATE, "me", "en", kept)
    assert "1 of the chats" in shown.status
    _, stored = keeping.save(visit.engine, shown.chats.added(Chat()), saved)
    assert stored["texts"] == {}


def test_a_chat_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    visit = two_chats()
    kept = kept_by_browser(visit)
    text = json.loads(kept["texts"][str(kept["open"])])
    text["turns"][0]["made"] = [5]
    kept["texts"][str(kept["open"])] = json.dumps(text)
    shown, saved = keeping.restore(visit.engine, TEMPLATE, "me", "en", kept)
    assert "Message 1" in shown.status
    assert [chat.name for chat in shown.chats.chats] == ["", "second", "first"]
    assert keeping.save(visit.engine, shown.chats, saved)[1]["texts"] == {}


def under_way(visit: Visit, ask: Ask) -> dict[str, Any]:
    """What the browser keeps when the first frame of an answer is shown."""
    frame = run(visit.fake, ask, visit.chats)[0]
    asked: dict[str, Any] = json.loads(str(frame.marks))["keeps"]["asked"]
    return asked


def test_a_message_that_was_not_answered_is_in_its_box_again_and_its_chat_is_open() -> None:
    visit = two_chats()
    kept = kept_by_browser(visit)
    visit.open(visit.chats.chats[1].slot)
    first = visit.chats.current.slot
    for ask, text in (
        (Ask("and then?"), "and then?"),
        (Ask("an edited one", "replace", 0), "an edited one"),
        (Ask("first", "replace", 0), ""),
        (Ask("", "continue"), ""),
    ):
        asked = under_way(visit, ask)
        assert asked == {"text": text, "slot": first}
        again = {**kept, "asked": asked}
        shown, _ = keeping.restore(visit.engine, TEMPLATE, "me", "en", again)
        assert shown.box.get("value", "") == text
        assert shown.picker["value"] == (first if text else kept["open"])


def test_the_first_message_of_a_chat_comes_back_in_a_chat_of_its_own() -> None:
    visit = two_chats()
    kept = kept_by_browser(visit)
    visit.new()
    asked = under_way(visit, Ask("third"))
    shown, saved = keeping.restore(visit.engine, TEMPLATE, "me", "en", {**kept, "asked": asked})
    assert shown.box["value"] == "third"
    assert [chat.name for chat in shown.chats.chats] == ["", "second", "first"]
    assert shown.messages == []
    visit.took(shown)
    visit.say("third")
    assert len(keeping.save(visit.engine, visit.chats, saved)[1]["texts"]) == 1


def test_a_window_goes_on_in_the_chat_without_a_word_that_it_had_open() -> None:
    visit = two_chats()
    kept = kept_by_browser(visit)
    visit.new()
    kept["open"] = visit.chats.current.slot
    names = []
    for is_own in (True, False):
        again = {**kept, "isOwn": is_own}
        shown, _ = keeping.restore(visit.engine, TEMPLATE, "me", "en", again)
        names.append((shown.messages == [], [chat.name for chat in shown.chats.chats]))
    # Another window begins with what was open last and has words.
    assert names == [(True, ["", "second", "first"]), (False, ["second", "first"])]


def test_words_of_a_recipe_are_not_the_visitors() -> None:
    assert under_way(Visit(), Ask("from a link", is_own=False))["text"] == ""


def test_nonsense_from_the_browser_gives_an_empty_page() -> None:
    visit = Visit()
    for kept in (
        None,
        "x",
        {"order": 5, "texts": [], "asked": {"text": 5, "slot": 1}},
        {"asked": {"text": "x", "slot": "y"}},
        {"order": ["x"], "open": {}, "texts": {"1": 5, "2": None, "3": "", "x": "y", "-1": "y"}},
    ):
        shown, saved = keeping.restore(visit.engine, TEMPLATE, "me", "en", kept)
        assert shown.messages == []
        assert "value" not in shown.box
        assert saved == {}


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
    kept = kept_by_browser(visit)
    shown, _ = keeping.restore(visit.engine, TEMPLATE, "me", "en", kept)
    assert shown.go_on["visible"]
    longer = run(visit.fake, Ask("", "continue"), shown.chats)[-1]
    assert longer.messages[1]["content"]["text"].startswith("Once there Once")


def test_records_of_an_earlier_visit_are_not_decoded_again_to_be_exported() -> None:
    visit = two_chats()
    text = kept_by_browser(visit)["texts"][str(visit.chats.current.slot)]
    folded = Chats((Chat(folded=fold(text)),))
    assert records.write_text(visit.engine, folded.current) == text
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


def test_of_more_entries_than_windows_could_have_kept_the_rest_is_not_looked_at() -> None:
    texts = {str(slot): "{}" for slot in range(1, 3 * keeping.MAX_KEPT)}
    assert len(keeping.kept_texts(texts)) == keeping.MAX_KEPT
