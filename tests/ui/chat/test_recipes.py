import asyncio
import base64
import json
from typing import Any

import pytest

from rwkv_core.errors import InputError
from rwkv_core.sessions import Conversation
from tests.ui.chat.asking import TEMPLATE, run, talked
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat import actions, recipes
from ui.chat.frames import ChatFrame
from ui.chat.values import Ask, Chats
from ui.session import RunningStreams


def rebuilt(engine: FakeEngine, link: str, stop_after: int | None = None) -> list[ChatFrame]:
    running, before = RunningStreams(), talked(engine, "Before")

    async def collect() -> list[ChatFrame]:
        frames = []
        async for shown in recipes.rebuild(
            as_engine(engine), TEMPLATE, running, "me", "en", before, link
        ):
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def link_to(engine: FakeEngine, talk: Conversation) -> str:
    return recipes.write_recipe(as_engine(engine), TEMPLATE, talk)


def two_turns(engine: FakeEngine) -> Chats:
    """A conversation with a persona, stop texts, and a cut answer that went on."""
    chats = run(engine, "Hi", persona="You are Pip.", stop="END\n\\n")[-1].chats
    chats = run(engine, "你好", chats, stop_after=3)[-1].chats
    engine.words = (" was", " a")
    chats = run(engine, Ask("", "continue"), chats)[-1].chats
    engine.words = FakeEngine().words
    return chats


def changed(link: str, **values: Any) -> str:
    """The link with other values in its record."""
    record = json.loads(base64.urlsafe_b64decode(link + "=" * (-len(link) % 4)))
    text = json.dumps(record | values)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_link_says_everything_again_and_the_same_text_comes_out() -> None:
    engine = FakeEngine()
    talk = talked(engine, "Hi", "Bye").current.conversation
    last = rebuilt(engine, link_to(engine, talk))[-1]
    assert [(t.user, t.answer_ids) for t in last.conversation.turns] == [
        (t.user, t.answer_ids) for t in talk.turns
    ]
    assert "the same text came out" in last.status
    assert [chat.name for chat in last.chats.chats] == ["Hi", "Before"]
    assert engine.streams[-1].settings == engine.streams[1].settings.__class__(
        **{
            **vars(engine.streams[1].settings),
            "sampling": talk.turns[1].makings[0].settings.sampling,
        }
    )


def test_persona_stop_texts_and_parts_of_a_cut_answer_are_asked_for_again() -> None:
    engine = FakeEngine()
    talk = two_turns(engine).current.conversation
    count = len(engine.streams)
    rebuilt(engine, link_to(engine, talk))
    again = engine.streams[count + 1 :]
    assert engine.tokenizer.decode(again[0].ids).startswith("System: You are Pip.\n\nUser: Hi")
    assert again[0].settings.stop == ("\n\n", "END", "\n")
    assert again[1].settings.max_tokens == 2
    assert len(again) == 3


def test_other_words_are_told() -> None:
    engine = FakeEngine()
    link = link_to(engine, talked(engine, "Hi").current.conversation)
    engine.words = ("No",)
    assert "other text came out" in rebuilt(engine, link)[-1].status


def test_another_models_recipe_is_refused_by_name_and_nothing_is_said() -> None:
    engine = FakeEngine()
    link = link_to(engine, talked(engine, "Hi").current.conversation)
    engine.model.name, engine.model.fingerprint = "Goose", "e7"
    (refused,) = rebuilt(engine, link)
    assert "Pip &lt;tiny&gt;" in refused.status
    assert "Goose" in refused.status
    assert [turn.user for turn in refused.conversation.turns] == ["Before"]
    assert "made with" in rebuilt(engine, changed(link, m=""))[0].status


def test_stopping_a_rebuilding_ends_all_of_it() -> None:
    engine = FakeEngine()
    link = link_to(engine, talked(engine, "Hi", "Bye", "So").current.conversation)
    last = rebuilt(engine, link, stop_after=3)[-1]
    assert "Stopped." in last.status
    assert len(last.conversation.turns) == 1


def test_what_no_link_can_carry_is_said() -> None:
    engine = FakeEngine()
    with pytest.raises(InputError, match="no conversation yet"):
        link_to(engine, Conversation())
    with pytest.raises(InputError, match="the limit is 2,048"):
        link_to(engine, talked(engine, "x" * 900, "y" * 900).current.conversation)
    talk = talked(engine, "Hi").current.conversation
    with pytest.raises(InputError, match="kept memory"):
        link_to(engine, Conversation(talk.opening_ids, talk.turns, "root"))
    imported = talk.turns[0].__class__("Hi", (1,), "Ho", (2,))
    with pytest.raises(InputError, match="answer 1 was made"):
        link_to(engine, Conversation((0,), (imported,)))
    assert "no conversation" in actions.make_link(as_engine(engine), TEMPLATE, "en", Chats())[1]


@pytest.mark.parametrize(
    "values",
    [
        {"v": 2}, {"t": []}, {"t": [[5]]}, {"t": [["Hi"]]}, {"t": [["Hi", 3]]}, {"t": {}},
        {"t": [["Hi", {"a": "x"}]]}, {"t": [["Hi", {"k": 4}]]}, {"o": "Who?"}, {"c": None},
        {"s": {}}, {"t": [["Hi", {}]] * 41},
    ],
)  # fmt: skip
def test_a_damaged_recipe_gets_one_sentence(values: dict[str, Any]) -> None:
    engine = FakeEngine()
    link = changed(link_to(engine, talked(engine, "Hi").current.conversation), **values)
    (refused,) = rebuilt(engine, link)
    assert "is damaged" in refused.status


@pytest.mark.parametrize("link", ["", "!!", "e30", "a" * 2049, "[]", "ÿ"])
def test_a_broken_link_gets_one_sentence(link: str) -> None:
    (refused,) = rebuilt(FakeEngine(), link)
    assert "recipe in this link" in refused.status


def test_values_out_of_range_are_refused_by_the_same_checks_as_everyones() -> None:
    engine = FakeEngine()
    link = link_to(engine, talked(engine, "Hi").current.conversation)
    for part in ({"a": 99}, {"l": 0}, {"k": "loudly"}, {"w": "a\nb\nc\nd\ne"}):
        refused = rebuilt(engine, changed(link, t=[["Hi", part]]))[-1]
        assert 'role="alert"' in refused.status
