from dataclasses import replace

import pytest

from presets import chat_template
from rwkv_core.errors import EngineBusyError
from tests.ui.chat.asking import TEMPLATE, put_back, run
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat import actions
from ui.chat.answering import own_stops
from ui.chat.exact import exact_text
from ui.chat.frames import ChatFrame
from ui.chat.thinking import split
from ui.chat.values import Ask, Chats

THINKER = chat_template("thinking")
WORDS = (">", "A cat", " it is.", "</think", ">\n\n", "Once", " there.")


def think(engine: FakeEngine, text: str = "Hi", mode: str = "think") -> list[ChatFrame]:
    engine.words = WORDS
    return run(engine, text, template=THINKER, thinking=mode)


@pytest.mark.parametrize(
    ("written", "thoughts", "answer"),
    [
        (" plain answer", "", " plain answer"),
        (" <think", "", ""),
        (" <think>so", "so", ""),
        (" <think>so\n\nthen</think>\n\nYes", "so\n\nthen", "Yes"),
        (" <think>\n</think>Yes", "", "Yes"),
        (" <think>\n</think\nYes", "", "Yes"),
        (" <think>so</thin", "so</thin", ""),
    ],
)
def test_thoughts_and_answer_are_told_apart(written: str, thoughts: str, answer: str) -> None:
    assert split(written) == (thoughts, answer)


def test_thoughts_are_folded_once_the_answer_begins() -> None:
    frames = think(FakeEngine())
    assert {"title": "Thinking", "status": "pending"} in [
        frame.messages[1]["metadata"] for frame in frames if len(frame.messages) == 2
    ]
    last = frames[-1].messages
    assert last[1]["content"]["text"] == "A cat it is."
    assert last[1]["metadata"]["status"] == "done"
    assert last[2]["content"]["text"] == "Once there."


def test_the_prompt_ends_in_an_open_tag_and_only_the_next_role_ends_the_answer() -> None:
    engine = FakeEngine()
    think(engine)
    stream = engine.streams[0]
    assert engine.tokenizer.decode(stream.ids).endswith("\n\nAssistant: <think")
    assert stream.settings.stop == ("\n\nUser:",)
    run(engine, "Hi", template=THINKER)
    assert engine.tokenizer.decode(engine.streams[-1].ids).endswith("Assistant:")
    assert engine.streams[-1].settings.stop == ("\n\n",)


def test_thoughts_are_left_out_of_the_memory_that_is_kept() -> None:
    engine = FakeEngine()
    done = think(engine)[-1]
    decode = engine.tokenizer.decode
    kept = "User: Hi\n\nAssistant: Once there."
    assert decode(done.conversation.ids) == kept
    # Read once more without the thoughts, so that the next message finds the memory ready.
    assert decode(engine.streams[1].ids) == kept
    assert f"re-read {len(done.conversation.ids)} tokens" in done.status
    engine.words = ("Yes",)
    after = run(engine, "And?", done.chats, template=THINKER)[-1]
    assert "re-read 0 tokens" in after.status
    assert decode(engine.streams[2].ids) == f"{kept}\n\nUser: And?\n\nAssistant:"


def test_a_memory_that_cannot_be_read_now_costs_only_the_next_message() -> None:
    engine = FakeEngine()

    def busy(*_: object, **__: object) -> None:
        raise EngineBusyError("wait")

    engine.read = busy  # type: ignore[method-assign,assignment]
    assert think(engine)[-1].messages[2]["content"]["text"] == "Once there."


def test_cut_thoughts_go_on_where_they_ended() -> None:
    engine = FakeEngine()
    engine.words = WORDS
    cut = run(engine, "Hi", template=THINKER, thinking="think", stop_after=3)[-1]
    assert cut.messages[1]["content"]["text"] == "A cat"
    assert cut.go_on["visible"]
    engine.words = WORDS[2:]
    # The mode in the box may have changed meanwhile.
    done = run(engine, Ask("", "continue"), cut.chats, template=THINKER)[-1]
    first, *_ = done.conversation.turns
    assert engine.streams[-2].ids[-3:] == cut.conversation.turns[0].live_ids[-3:]
    assert first.answer == "Once there."
    assert [made.mode for made in first.makings] == ["think", ""]


def test_a_mode_the_model_does_not_know_is_refused() -> None:
    refused = run(FakeEngine(), "Hi", template=TEMPLATE, thinking="think")[0]
    assert "not taught to think" in refused.status


def test_an_open_tag_alone_is_no_answer() -> None:
    engine = FakeEngine()
    engine.words = ()
    done = run(engine, "Hi", template=THINKER, thinking="think")[-1]
    assert done.chats.current.tree.nodes == ()
    assert put_back(done) == "Hi"


def test_a_message_below_thoughts_is_still_found_by_its_place() -> None:
    engine = FakeEngine()
    done = think(engine)[-1].chats
    chats = run(engine, "Next", done, template=THINKER)[-1].chats
    assert [actions.node_of(chats, i) for i in (0, 1, 2, 3)] == [0, 0, 0, 1]


def test_own_stop_texts_are_lines_with_a_limit() -> None:
    assert own_stops("END\n\\n\\n\n\n") == ("END", "\n\n")
    engine = FakeEngine()
    run(engine, "Hi", stop="END")
    assert engine.streams[0].settings.stop == ("\n\n", "END")
    assert "5 stop texts" in run(engine, "Hi", stop="a\nb\nc\nd\ne")[0].status
    assert "64" in run(engine, "Hi", stop="x" * 65)[0].status


def test_the_exact_text_is_what_the_memory_was_made_from() -> None:
    engine = FakeEngine()
    chats = think(engine, "<b>Hi")[-1].chats
    shown = exact_text(as_engine(engine), "en", chats, True)
    assert "User: &lt;b&gt;Hi\n\nAssistant: &lt;think" in shown
    assert "start of text" in shown
    assert exact_text(as_engine(engine), "en", chats, False) == ""
    assert "Nothing yet" in exact_text(as_engine(engine), "en", Chats(), True)
    turn = replace(chats.current.tree.nodes[0].turn, prompt_ids=(50,) * 30_000)
    long = chats.with_tree(chats.current.tree.with_turn(0, turn))
    assert "characters are not shown" in exact_text(as_engine(engine), "en", long, True)
