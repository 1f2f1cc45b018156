import asyncio
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from presets import chat_template
from rwkv_core.errors import EngineBusyError, RwkvError
from rwkv_core.sessions import Conversation
from tests.ui.fakes import FakeEngine, as_engine
from ui import chat_tab
from ui.chat_tab import ChatFrame
from ui.controls import choose_preset
from ui.session import Pending, RunningStreams

TEMPLATE = chat_template()


def run(
    engine: FakeEngine,
    text: str,
    conversation: Conversation | None = None,
    *,
    turn: int | None = None,
    persona: str = "",
    running: RunningStreams | None = None,
    is_typed: bool = True,
    stop_after: int | None = None,
) -> list[ChatFrame]:
    """Answer a message and collect what the page shows; stop after that many frames."""
    running = running or RunningStreams()

    async def collect() -> list[ChatFrame]:
        frames = []
        async for shown in chat_tab.answer(
            as_engine(engine), TEMPLATE, running, "me", conversation or Conversation(),
            Pending(text, turn, is_typed), persona, *choose_preset("Balanced"),
        ):  # fmt: skip
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def test_an_answer_grows_word_by_word_and_ends_settled() -> None:
    frames = run(FakeEngine(), "Hi")
    answers = [f.messages[1]["content"] for f in frames if len(f.messages) > 1]
    assert answers[0] == "Once"
    assert answers[-1] == "Once there was a cat."
    assert frames[0].box["value"] == ""
    assert frames[0].box["stop_btn"] == "Stop"
    assert frames[-1].box["submit_btn"] == "Send"
    assert "value" not in frames[-1].box
    assert "re-read 0 tokens" in frames[-1].status


def test_the_ids_are_the_text_the_template_writes() -> None:
    engine = FakeEngine()
    first = run(engine, " Hi\n\n\n", persona="You are Pip.")[-1].conversation
    second = run(engine, "Bye", first, persona="ignored now")[-1].conversation
    words = "".join(chr(i) for i in engine.streams[0].result.generated_ids)  # type: ignore[union-attr]
    decode = engine.tokenizer.decode
    assert engine.streams[0].ids[0] == engine.tokenizer.end_of_text
    assert decode(engine.streams[0].ids) == "System: You are Pip.\n\nUser: Hi\n\nAssistant:"
    asked = second.turns[1].prompt_ids
    assert decode(asked) == "\n\nUser: Bye\n\nAssistant:"
    assert engine.streams[1].ids == first.ids + asked
    assert words == "Otwac"
    assert engine.streams[0].settings.stop == TEMPLATE.stop


def test_a_follow_up_reads_only_what_is_new() -> None:
    engine = FakeEngine()
    first = run(engine, "Hi")[-1].conversation
    assert "re-read 0 tokens" in run(engine, "Bye", first)[-1].status
    assert engine.streams[1].tokens_reused == len(first.ids)


@pytest.mark.parametrize(
    ("text", "says"), [("  \n ", "message is empty"), ("a\x00b", "binary"), ("x" * 9999, "limit")]
)
def test_bad_text_gets_a_sentence_and_stays_in_its_box(text: str, says: str) -> None:
    engine = FakeEngine()
    kept = run(engine, "Hi")[-1].conversation
    frames = run(engine, text, kept)
    assert len(frames) == 1
    assert says in frames[0].status
    assert 'role="alert"' in frames[0].status
    assert "value" not in frames[0].box
    assert frames[0].conversation == kept
    assert len(engine.streams) == 1


def test_a_refused_edit_comes_back_in_the_message_box() -> None:
    engine = FakeEngine()
    kept = run(engine, "Hi")[-1].conversation
    engine.refusal = EngineBusyError("32 texts are running; wait a moment")
    frames = run(engine, "Edited", kept, turn=0, is_typed=False)
    assert frames[0].box["value"] == "Edited"
    assert frames[0].conversation == kept
    assert "32 texts are running" in frames[0].status


def test_stopping_keeps_the_words_so_far_and_the_chat_goes_on_from_them() -> None:
    engine = FakeEngine()
    stopped = run(engine, "Hi", stop_after=3)[-1]
    assert stopped.messages[1]["content"] == "Once there"
    assert "Stopped." in stopped.status
    assert stopped.box["submit_btn"] == "Send"
    run(engine, "More", stopped.conversation)
    assert engine.streams[1].ids[: len(stopped.conversation.ids)] == stopped.conversation.ids


def test_stopping_before_a_word_gives_the_message_back() -> None:
    stopped = run(FakeEngine(), "Hi", stop_after=1)[-1]
    assert stopped.conversation.turns == ()
    assert stopped.box["value"] == "Hi"


def test_a_failure_while_writing_keeps_the_words_and_says_so() -> None:
    engine = FakeEngine()
    engine.failure = RwkvError("layer 3 gave NaN; try again")
    last = run(engine, "Hi")[-1]
    assert "Layer 3 gave NaN" in last.status
    assert last.messages[1]["content"] == "Once there was a cat."


def test_leaving_the_page_cancels_the_stream() -> None:
    engine, running = FakeEngine(), RunningStreams()

    async def leave() -> None:
        answer = chat_tab.answer(
            as_engine(engine), TEMPLATE, running, "me", Conversation(), Pending("Hi"), "",
            *choose_preset("Wild"),
        )  # fmt: skip
        await anext(answer)
        await cast(Any, answer).aclose()

    asyncio.run(leave())
    assert engine.streams[0].cancelled
    assert not running.is_current("me", engine.streams[0])


def test_a_newer_message_silences_the_older_answer() -> None:
    engine, running = FakeEngine(), RunningStreams()

    async def overtake() -> list[ChatFrame]:
        frames = []
        async for shown in chat_tab.answer(
            as_engine(engine), TEMPLATE, running, "me", Conversation(), Pending("Hi"), "",
            *choose_preset("Wild"),
        ):  # fmt: skip
            frames.append(shown)
            if len(frames) == 2:
                running.start("me", engine.submit("me", [1], engine.streams[0].settings))
        return frames

    assert all("Stop" in str(f.box) or not f.box.get("submit_btn") for f in asyncio.run(overtake()))


def test_retry_replaces_the_answer_and_edit_the_message() -> None:
    engine = FakeEngine()
    two = run(engine, "Bye", run(engine, "Hi")[-1].conversation)[-1].conversation
    again = chat_tab.retry(gr.RetryData(None, {"index": 2, "value": "Bye"}), two)
    assert again == Pending("Bye", 1, is_typed=False)
    changed = chat_tab.edit(gr.EditData(None, {"index": 0, "value": "Hey", "previous_value": ""}))
    assert changed == Pending("Hey", 0, is_typed=False)
    edited = run(engine, changed.text, two, turn=changed.turn)[-1]
    assert [turn.user for turn in edited.conversation.turns] == ["Hey"]


def test_an_example_is_sent_as_it_reads() -> None:
    event = gr.SelectData(None, {"index": 1, "value": {"text": "Tell me a joke."}})
    assert chat_tab.send_example(event) == Pending("Tell me a joke.", is_typed=False)


def test_messages_come_as_text_blocks_too() -> None:
    assert chat_tab.text_of([{"type": "text", "text": "a"}, {"text": "b"}]) == "ab"
    assert chat_tab.text_of("a") == "a"


def test_undo_takes_back_a_turn_and_returns_the_message() -> None:
    engine = FakeEngine()
    two = run(engine, "Bye", run(engine, "Hi")[-1].conversation)[-1].conversation
    undone = chat_tab.undo(as_engine(engine), RunningStreams(), "me", two)
    assert [turn.user for turn in undone.conversation.turns] == ["Hi"]
    assert undone.box["value"] == "Bye"
    nothing = chat_tab.undo(as_engine(engine), RunningStreams(), "me", Conversation())
    assert nothing.messages == []


def test_clear_forgets_the_visitors_states() -> None:
    engine = FakeEngine()
    cleared = chat_tab.clear(as_engine(engine), RunningStreams(), "me")
    assert cleared.messages == []
    assert engine.dropped == ["me"]


def test_the_message_index_names_its_turn() -> None:
    assert [chat_tab.turn_at(i) for i in (0, 1, 2, (4, 0))] == [0, 0, 1, 2]


def test_a_visitors_session_is_the_pages_own() -> None:
    from ui.session import new_visitor

    request = SimpleNamespace(session_hash="abc")
    assert new_visitor(cast(gr.Request, request)) == "abc"
