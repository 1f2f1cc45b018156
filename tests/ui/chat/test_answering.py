import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import pytest

from presets import default_model_path
from rwkv_core import load_engine
from rwkv_core.engine import Engine, EngineLimits
from rwkv_core.errors import EngineBusyError, RwkvError
from tests.ui.chat.asking import TEMPLATE, put_back, run, talked
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat.answering import Wishes, answer
from ui.chat.frames import SKIP, ChatFrame
from ui.chat.values import MAX_TURNS, Ask, Chats
from ui.controls import Controls, choose_preset
from ui.session import RunningStreams


def test_an_answer_grows_word_by_word_and_ends_settled() -> None:
    frames = run(FakeEngine(), "Hi")
    answers = [f.messages[1]["content"]["text"] for f in frames if len(f.messages) > 1]
    assert answers[0] == "Once"
    assert answers[-1] == "Once there was a cat."
    assert "value" not in frames[0].box
    assert frames[0].box["stop_btn"] == "Stop"
    assert frames[-1].box["submit_btn"] == "Send"
    assert "value" not in frames[-1].box
    assert "re-read 0 tokens" in frames[-1].status
    assert "Finished, 5 words." in frames[-1].status


def test_the_ids_are_the_text_the_template_writes() -> None:
    engine = FakeEngine()
    first = run(engine, " Hi\n\n\n", persona="You are Pip.")[-1].chats
    second = run(engine, "Bye", first, persona="ignored now")[-1].conversation
    words = "".join(chr(i) for i in engine.streams[0].result.generated_ids)  # type: ignore[union-attr]
    decode = engine.tokenizer.decode
    assert engine.streams[0].ids[0] == engine.tokenizer.end_of_text
    assert decode(engine.streams[0].ids) == "System: You are Pip.\n\nUser: Hi\n\nAssistant:"
    asked = second.turns[1].prompt_ids
    assert decode(asked) == "\n\nUser: Bye\n\nAssistant:"
    assert engine.streams[1].ids == first.current.conversation.ids + asked
    assert words == "Otwac"
    assert engine.streams[0].settings.stop == TEMPLATE.stop


def test_what_made_an_answer_is_kept_with_it() -> None:
    engine = FakeEngine()
    turn = talked(engine, "Hi").current.conversation.turns[0]
    (made,) = turn.makings
    assert made.settings.sampling.seed == 7
    assert (made.reason, made.tokens, made.reread) == ("stop", 5, 0)


def test_a_follow_up_and_another_answer_read_nothing_again() -> None:
    engine = FakeEngine()
    chats = talked(engine, "Hi", "Bye")
    assert engine.streams[1].tokens_reused == len(chats.current.tree.conversation_to(0).ids)
    last = run(engine, Ask("Bye", "replace", 1), chats)[-1]
    assert "re-read 0 tokens" in last.status
    assert last.chats.current.tree.answer_versions(2).nodes == (1, 2)


def test_a_lost_memory_is_said_to_be_read_again() -> None:
    engine = FakeEngine()
    chats = talked(engine, "Hi")
    known = len(chats.current.conversation.ids)
    engine.forget()
    last = run(engine, "Bye", chats)[-1]
    assert f"re-read {known} tokens" in last.status
    assert last.conversation.turns[1].makings[0].reread == known
    engine.forget()
    asked = len(last.chats.current.tree.conversation_to(0).ids) + len(
        last.conversation.turns[1].prompt_ids
    )
    again = run(engine, Ask("Bye", "replace", 1), last.chats)[-1]
    assert f"re-read {asked} tokens" in again.status


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  \n ", "message is empty"),
        ("a\x00b", "Character 2 of the text is NUL"),
        ("x" * 9999, "limit"),
    ],
)
def test_bad_text_gets_a_sentence_and_stays_in_its_box(text: str, says: str) -> None:
    engine = FakeEngine()
    kept = talked(engine, "Hi")
    frames = run(engine, text, kept)
    assert len(frames) == 1
    assert says in frames[0].status
    assert 'role="alert"' in frames[0].status
    assert put_back(frames[0]) == text.strip()
    assert frames[0].chats == kept
    assert len(engine.streams) == 1


def test_a_chat_has_a_longest_length_and_says_so() -> None:
    engine = FakeEngine()
    tree = talked(engine, "Hi").current.tree
    for _ in range(MAX_TURNS - 1):
        tree = tree.added(tree.tip, tree.nodes[0].turn)
    assert "1,000 messages" in run(engine, "More", Chats().with_tree(tree))[0].status
    assert "no such message" in run(engine, Ask("More", "replace", 5), Chats())[0].status


def test_a_refused_edit_comes_back_in_the_message_box() -> None:
    engine = FakeEngine()
    kept = talked(engine, "Hi")
    engine.refusal = EngineBusyError("32 texts are running; wait a moment")
    frames = run(engine, Ask("Edited", "replace", 0), kept)
    assert put_back(frames[0]) == "Edited"
    assert frames[0].chats == kept
    assert "32 texts are running" in frames[0].status


def test_a_stopped_answer_goes_on_from_its_last_word() -> None:
    engine = FakeEngine()
    stopped = run(engine, "Hi", stop_after=3)[-1]
    assert stopped.messages[1]["content"]["text"] == "Once there"
    assert "Stopped." in stopped.status
    assert stopped.box["submit_btn"] == "Send"
    assert stopped.go_on["visible"]
    engine.words = (" was",)
    longer = run(engine, Ask("", "continue"), stopped.chats)[-1]
    assert engine.streams[1].ids == stopped.conversation.ids
    assert longer.messages[1]["content"]["text"] == "Once there was"
    assert len(longer.conversation.turns) == len(longer.chats.current.tree.nodes) == 1
    assert [made.tokens for made in longer.conversation.turns[0].makings] == [2, 1]
    assert not longer.go_on["visible"]
    assert "re-read 0 tokens" in longer.status


def test_a_longer_answer_leaves_what_followed_the_short_one() -> None:
    engine = FakeEngine()
    stopped = run(engine, "Hi", stop_after=3)[-1].chats
    followed = run(engine, "Bye", stopped)[-1].chats
    back = followed.with_tree(followed.current.tree.shown(0))
    tree = run(engine, Ask("", "continue"), back)[-1].chats.current.tree
    assert tree.path == (2,)
    assert tree.nodes[1].parent == 0
    assert tree.nodes[0].turn.answer == "Once there"


def test_there_must_be_an_answer_to_go_on_with() -> None:
    frames = run(FakeEngine(), Ask("", "continue"))
    assert "no answer to go on with" in frames[0].status


def test_stopping_before_a_word_gives_the_message_back() -> None:
    stopped = run(FakeEngine(), "Hi", stop_after=1)[-1]
    assert stopped.conversation.turns == ()
    assert put_back(stopped) == "Hi"


def test_a_failure_while_writing_keeps_the_words_and_says_so() -> None:
    engine = FakeEngine()
    engine.failure = RwkvError("layer 3 gave NaN; try again")
    last = run(engine, "Hi")[-1]
    assert "Layer 3 gave NaN" in last.status
    assert last.messages[1]["content"]["text"] == "Once there was a cat."


def test_leaving_the_page_cancels_the_stream() -> None:
    engine, running = FakeEngine(), RunningStreams()

    async def leave() -> None:
        frames = answer(
            as_engine(engine), TEMPLATE, running, "me", "en", Chats(), Ask("Hi"), *Wishes(),
            *choose_preset("Wild"),
        )  # fmt: skip
        await anext(frames)
        await cast(Any, frames).aclose()

    asyncio.run(leave())
    assert engine.streams[0].cancelled
    assert not running.is_current("me", engine.streams[0])


def test_a_newer_message_silences_the_older_answer() -> None:
    engine, running = FakeEngine(), RunningStreams()

    async def overtake() -> list[ChatFrame]:
        frames = []
        async for shown in answer(
            as_engine(engine), TEMPLATE, running, "me", "en", Chats(), Ask("Hi"), *Wishes(),
            *choose_preset("Wild"),
        ):  # fmt: skip
            frames.append(shown)
            if len(frames) == 2:
                running.start("me", engine.submit("me", [1], engine.streams[0].settings))
        return frames

    assert all("Stop" in str(f.box) or not f.box.get("submit_btn") for f in asyncio.run(overtake()))


def test_a_message_is_drawn_once_while_it_is_read() -> None:
    engine = FakeEngine()
    engine.looks_while_reading = 50
    frames = run(engine, "the dog went to the park. " * 30)
    drawn = [shown.messages for shown in frames if shown.messages is not SKIP]
    # Once for the message, once for each word, and at the end.
    assert len(drawn) == 1 + len(engine.words) + 1
    assert len(frames) == 50 + len(engine.words) + 2


def test_two_hundred_visitors_who_vanish_leave_no_more_than_the_byte_budget() -> None:
    count, kept_bytes = 200, 400_000
    limits = EngineLimits(
        waiting=count, sessions=80, store_bytes=60 * kept_bytes, session_bytes=4 * kept_bytes
    )
    controls = Controls(*choose_preset("Balanced"))._replace(max_tokens=8, seed=1)
    running, seen = RunningStreams(), []

    async def visit(engine: Engine, number: int) -> None:
        frames = answer(
            engine, TEMPLATE, running, f"visitor {number}", "en", Chats(), Ask(f"I am {number}."),
            *Wishes(), *controls,
        )  # fmt: skip
        async with aclosing(cast(AsyncGenerator[ChatFrame], frames)):
            async for shown in frames:
                # Every other one leaves in the middle of an answer, as a closed page does.
                if number % 2 and shown.messages is not SKIP and len(shown.messages) > 1:
                    break
        seen.append(engine.usage())

    async def everyone(engine: Engine) -> None:
        for first in range(0, count, 20):
            await asyncio.gather(*(visit(engine, first + place) for place in range(20)))

    with load_engine(default_model_path(), limits=limits) as engine:
        assert engine.model.config.state_bytes > kept_bytes // 2
        asyncio.run(everyone(engine))
        last = engine.usage()
    assert len(seen) == count
    assert max(usage.store_bytes for usage in seen) <= limits.store_bytes
    assert max(usage.sessions for usage in seen) <= limits.sessions
    assert max(usage.running for usage in seen) <= limits.slots
    # The budget was needed, and whoever vanished is no longer running.
    assert last.store_bytes > limits.store_bytes // 2
    assert (last.running, last.waiting) == (0, 0)
