"""What the Chat tab shows of a chat: messages, the marks beside them, one quiet line."""

import json
from html import escape
from secrets import token_hex
from typing import Any, NamedTuple

import gradio as gr

from presets.words import speak
from rwkv_core.branches import Versions
from rwkv_core.engine import Engine
from rwkv_core.sessions import Conversation, Turn
from rwkv_core.state import tokens_of
from rwkv_core.streams import Reason, StreamResult
from ui.chat.values import Chat, Chats, short
from ui.components import bytes_text, memory_card, words_in

Message = dict[str, Any]
_ENDINGS: dict[Reason, str] = {
    "length": "chat.reached_length",
    "cancelled": "chat.stopped",
    "deadline": "chat.too_long",
    "unread": "chat.unread",
}
# Any value: the output stays as it is.
SKIP: Any = gr.skip()


class ChatFrame(NamedTuple):
    """What the tab shows next, in the order of its outputs.

    Attributes:
        messages: of the drawn exchanges.
        chats: all the visitor has.
        conversation: the shown text, which other tabs read.
        box: the message box.
        status: one line of HTML.
        memory: the memory card.
        marks: JSON for tools.js: versions of each drawn exchange, and the words of its buttons.
        go_on: the button that goes on with a cut answer.
        earlier: the button that draws more of a long chat.
        picker: the list of chats.
        title: the name of the open one.
        bring_back: the button that undoes a deletion.
    """

    messages: list[Message]
    chats: Chats
    conversation: Conversation
    box: dict[str, Any]
    status: str
    memory: str
    marks: str | dict[str, Any]
    go_on: dict[str, Any]
    earlier: dict[str, Any]
    picker: dict[str, Any] = SKIP
    title: str | dict[str, Any] = SKIP
    bring_back: dict[str, Any] = SKIP


def box_for(language: str, value: str | None = None, *, is_busy: bool = False) -> dict[str, Any]:
    """The message box with its one button, and other words in it unless None."""
    buttons: dict[str, Any] = {
        "submit_btn": False if is_busy else speak(language, "chat.send"),
        "stop_btn": speak(language, "chat.stop") if is_busy else False,
    }
    if value is not None:
        buttons["value"] = value
    update: dict[str, Any] = gr.update(**buttons)
    return update


def messages_of(chat: Chat, language: str, *, is_writing: bool = False) -> list[Message]:
    """Write a chat as it is drawn; an answer without words is left out, thoughts are folded.

    Args:
        chat: to draw.
        language: of the page.
        is_writing: whether the last answer is under way; its thoughts stay open until it comes.
    """
    messages: list[Message] = []
    turns = chat.conversation.turns[chat.first_drawn :]
    for turn in turns:
        messages.append({"role": "user", "content": _as_written(turn.user)})
        if turn.thinking:
            is_open = is_writing and turn is turns[-1] and not turn.answer
            title = speak(language, "chat.thinking" if is_open else "chat.thought")
            metadata = {"title": title, "status": "pending" if is_open else "done"}
            content = _as_written(turn.thinking)
            messages.append({"role": "assistant", "content": content, "metadata": metadata})
        if turn.answer:
            messages.append({"role": "assistant", "content": _as_written(turn.answer)})
    return messages


def _as_written(text: str) -> dict[str, str]:
    """A message's text with every blank: of a plain string Gradio takes what its lines begin with."""
    return {"type": "text", "text": text}


def marks_of(chat: Chat, language: str, keeps: dict[str, Any] | None = None) -> str:
    """Say which versions each drawn exchange has, for the small tools beside the messages.

    Args:
        chat: that is drawn.
        language: of the page.
        keeps: what the browser is to keep of an answer, see `so_far`, or to put back into the box.
    """
    path = chat.tree.path[chat.first_drawn :]
    words = {
        name: speak(language, f"chat.{name}")
        for name in (
            "earlier_version", "later_version", "version", "fork_here", "conversation", "by_user",
            "by_bot",
        )
    }  # fmt: skip
    turns = [
        {
            "answer": _mark(chat.tree.answer_versions(node)),
            "message": _mark(chat.tree.message_versions(node)),
        }
        for node in path
    ]
    marks = {"chat": chat.slot, "words": words, "turns": turns, "keeps": keeps or {}}
    return json.dumps(marks, ensure_ascii=False)


def _mark(versions: Versions) -> list[int]:
    return [versions.place, len(versions.nodes)]


def frame(
    engine: Engine,
    chats: Chats,
    box: dict[str, Any],
    status: str,
    language: str,
    *,
    back: str = "",
) -> ChatFrame:
    """Draw the whole tab for the open chat; words that go `back` into the box stand before others."""
    chat = chats.current
    # The same words may go back twice.
    keeps = {"back": [back, token_hex(4)]} if back else {}
    hidden = chat.first_drawn
    return ChatFrame(
        messages_of(chat, language),
        chats,
        chat.conversation,
        box,
        status,
        memory_of(engine, chat.conversation, language=language),
        marks_of(chat, language, keeps),
        gr.update(visible=chat.is_cut),
        gr.update(visible=hidden > 0, value=speak(language, "chat.show_earlier", count=hidden)),
        picker_of(chats, language),
        chat.title,
        gr.update(visible=chats.deleted is not None),
    )


def picker_of(chats: Chats, language: str) -> dict[str, Any]:
    """The list of chats by name, the open one chosen."""
    untitled = speak(language, "chat.untitled")
    choices = [(short(chat.name) or untitled, chat.slot) for chat in chats.chats]
    update: dict[str, Any] = gr.update(choices=choices, value=chats.current.slot)
    return update


def memory_of(
    engine: Engine, talk: Conversation, change: tuple[float, ...] = (), *, language: str = "en"
) -> str:
    """Draw the memory card; a message that is still being read is not in the memory yet."""
    if talk.turns and not talk.turns[-1].is_answered:
        talk = talk.before(len(talk.turns) - 1)
    # Words that a memory from elsewhere has read are not known, so its tokens are counted.
    begun = tokens_of(talk.root)
    words = 0 if begun else sum(words_of(turn) for turn in talk.turns)
    tokens = begun + talk.length
    return memory_card(engine.model.config, words, tokens, change, language=language)


def words_of(turn: Turn) -> int:
    """Count the words of an exchange."""
    return words_in(turn.user) + words_in(turn.answer)


def line(text: str, *, is_announced: bool = False) -> str:
    """One quiet line under the input; screen readers say an announced one."""
    role = ' role="status"' if is_announced else ""
    return f'<p class="status"{role}>{escape(text)}</p>'


def outcome(result: StreamResult, turn: Turn, reread: int, state_bytes: int, language: str) -> str:
    """Say how an answer went: why it ended, speed, memory, and what had to be read again."""
    facts = []
    if key := _ENDINGS.get(result.reason):
        facts.append(speak(language, key))
    if not result.generated_ids and result.reason in ("stop", "end_of_text"):
        facts.append(speak(language, "chat.nothing_to_add"))
    if result.generated_ids:
        facts += [
            speak(language, "chat.speed", speed=f"{result.tokens_per_s:,.0f}"),
            speak(language, "chat.first_word", seconds=f"{result.first_token_s:.2f}"),
        ]
    facts += [
        speak(language, "chat.memory", size=bytes_text(state_bytes)),
        speak(language, _reread_key(turn, reread), count=f"{reread:,}"),
        speak(language, "chat.seed", seed=result.seed),
    ]
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f'<ul class="status">{items}</ul>{announcement(turn, language)}'


def _reread_key(turn: Turn, reread: int) -> str:
    if not reread:
        return "chat.reread_none"
    return "chat.reread_thoughts" if turn.live_ids else "chat.reread"


def announcement(turn: Turn, language: str) -> str:
    """Say to screen readers that an answer is finished."""
    count = words_in(turn.answer)
    said = speak(language, "chat.finished_one" if count == 1 else "chat.finished", count=count)
    return f'<p class="for-ears" role="status" aria-live="polite">{escape(said)}</p>'
