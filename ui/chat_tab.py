"""Chat: a conversation whose memory never grows.

Every way to ask for an answer (send, example, retry, edit) first becomes a `Pending`, then one
handler answers it. The conversation is token ids; cutting it is all that undo, retry and edit do.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from presets import ChatTemplate, chat_template, examples
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.generate import Token
from rwkv_core.sessions import Conversation, Turn
from rwkv_core.streams import Stream
from ui.components import (
    error_line,
    memory_card,
    progress_line,
    result_line,
    status_line,
    words_in,
)
from ui.controls import build_controls, generation_settings
from ui.session import MODEL_EVENT, QUIET_EVENT, Pending, RunningStreams

Message = dict[str, str]
PROMPT = "Write a message"
READY: dict[str, Any] = {"submit_btn": "Send", "stop_btn": False}
BUSY: dict[str, Any] = {"submit_btn": False, "stop_btn": "Stop"}


class ChatFrame(NamedTuple):
    """What the tab shows next, in the order of its outputs."""

    messages: list[Message]
    conversation: Conversation
    box: dict[str, Any]
    status: str
    memory: str


def messages_of(conversation: Conversation) -> list[Message]:
    """Write a conversation as the chat shows it; an answer without words is left out."""
    messages = []
    for turn in conversation.turns:
        messages.append({"role": "user", "content": turn.user})
        if turn.answer:
            messages.append({"role": "assistant", "content": turn.answer})
    return messages


def settled(conversation: Conversation) -> Conversation:
    """Drop a last turn that was never answered."""
    if conversation.turns and not conversation.turns[-1].answer_ids:
        return conversation.before(len(conversation.turns) - 1)
    return conversation


def open_turn(
    engine: Engine, template: ChatTemplate, conversation: Conversation, text: str, persona: str
) -> Conversation:
    """Add a turn that waits for its answer.

    Args:
        engine: encodes and checks the text.
        template: writes the roles.
        conversation: what was said before.
        text: what the visitor says now.
        persona: read once, before the first turn; ignored later.

    Raises:
        InputError: the message is empty, too long or not text.
    """
    if not template.clean(text):
        raise InputError("the message is empty; write a few words, then press Send")
    first = not conversation.turns
    if first:
        opening = template.opening(persona)
        ids = (engine.tokenizer.end_of_text, *(engine.encode(opening) if opening else ()))
        conversation = Conversation(ids)
    prompt_ids = tuple(engine.encode(template.user_turn(text, first)))
    return conversation.with_turn(Turn(text.strip(), prompt_ids, "", ()))


async def answer(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    conversation: Conversation,
    pending: Pending,
    persona: str,
    *controls: float,
) -> AsyncIterator[ChatFrame]:
    """Answer a message, redrawing at most 20 times a second.

    Args:
        engine: runs the model.
        template: turns roles into text.
        running: knows what each visitor listens to.
        visitor: session id.
        conversation: shown now; kept as it is when the message cannot be answered.
        pending: the message, and the turn it replaces.
        persona: text read before the first turn.
        controls: numbers in the order of `Controls`.
    """
    kept = settled(conversation)
    cut = kept if pending.turn is None else kept.before(pending.turn)
    state_bytes = engine.model.config.state_bytes
    try:
        opened = open_turn(engine, template, cut, pending.text, persona)
        settings = generation_settings(controls, template.stop)
        stream = engine.submit(visitor, opened.ids, settings)
    except RwkvError as error:
        box: dict[str, Any] = {} if pending.is_typed else {"value": pending.text}
        yield frame(engine, kept, gr.update(**READY, **box), error_line(error))
        return
    running.start(visitor, stream)
    try:
        async for shown in follow(engine, stream, opened, pending):
            yield shown
        # A newer message has taken over the page: leave it alone.
        if running.is_current(visitor, stream) and (result := stream.result) is not None:
            done = with_answer(opened, result.text, result.generated_ids)
            new_tokens = len(opened.ids) - len(cut.ids)
            status = result_line(result, new_tokens, state_bytes)
            if result.error is not None:
                status = error_line(result.error)
            yield finished(engine, done, pending.text, status)
    finally:
        running.end(visitor, stream)


async def follow(
    engine: Engine, stream: Stream, opened: Conversation, pending: Pending
) -> AsyncIterator[ChatFrame]:
    """Show the words of a stream as they come."""
    tokens: list[Token] = []
    taken: dict[str, Any] = {"value": ""} if pending.is_typed else {}
    box = gr.update(**BUSY, **taken)
    async for batch in stream.batches():
        tokens += batch
        text = "".join(token.text for token in tokens).strip()
        current = with_answer(opened, text, tuple(token.id for token in tokens))
        change = batch[-1].change if batch else ()
        yield frame(engine, current, box, progress_line(stream.status), change)
        box = gr.skip()


def with_answer(opened: Conversation, text: str, ids: tuple[int, ...]) -> Conversation:
    """Give the open last turn its answer so far."""
    last = opened.turns[-1]
    turn = Turn(last.user, last.prompt_ids, text.strip(), ids)
    return opened.before(len(opened.turns) - 1).with_turn(turn)


def finished(engine: Engine, done: Conversation, asked: str, status: str) -> ChatFrame:
    """Show the end of an answer; without a word the message goes back into its box."""
    kept = settled(done)
    if kept is done:
        return frame(engine, done, gr.update(**READY), status)
    return frame(engine, kept, gr.update(**READY, value=asked), status)


def frame(
    engine: Engine,
    conversation: Conversation,
    box: dict[str, Any],
    status: str,
    change: tuple[float, ...] = (),
) -> ChatFrame:
    """Draw the tab for a conversation."""
    # A message that is still being read is not in the memory yet.
    known = settled(conversation)
    words = sum(words_in(turn.user) + words_in(turn.answer) for turn in known.turns)
    memory = memory_card(engine.model.config, words, len(known.ids), change)
    return ChatFrame(messages_of(conversation), conversation, box, status, memory)


def send(text: str) -> Pending:
    """Ask for an answer to what stands in the box."""
    return Pending(text)


def send_example(event: gr.SelectData) -> Pending:
    """Ask for an answer to an example."""
    return Pending(text_of(event.value), is_typed=False)


def retry(event: gr.RetryData, conversation: Conversation) -> Pending:
    """Ask for another answer to the same message."""
    turn = turn_at(event.index)
    return Pending(conversation.turns[turn].user, turn, is_typed=False)


def edit(event: gr.EditData) -> Pending:
    """Ask for an answer to a message as it reads now."""
    return Pending(text_of(event.value), turn_at(event.index), is_typed=False)


def turn_at(index: int | tuple[int, int]) -> int:
    """Turn that a message belongs to: messages alternate between visitor and model."""
    return (index if isinstance(index, int) else index[0]) // 2


def text_of(value: object) -> str:
    """Text of a message, which Gradio gives as a string, a block or a list of blocks."""
    if isinstance(value, dict):
        return str(value.get("text", ""))
    if isinstance(value, list):
        return "".join(text_of(part) for part in value)
    return str(value)


def undo(
    engine: Engine, running: RunningStreams, visitor: str, conversation: Conversation
) -> ChatFrame:
    """Take back the last message and its answer; the message returns to its box."""
    running.stop(visitor)
    if not conversation.turns:
        return frame(engine, conversation, gr.update(**READY), status_line())
    last = len(conversation.turns) - 1
    box = gr.update(**READY, value=conversation.turns[last].user)
    text = "Taken back. The memory is the one from before that message."
    return frame(engine, conversation.before(last), box, status_line(text))


def clear(engine: Engine, running: RunningStreams, visitor: str) -> ChatFrame:
    """Begin a new conversation with an empty memory."""
    running.stop(visitor)
    engine.drop_session(visitor)
    return frame(engine, Conversation(), gr.update(**READY), status_line())


def build_chat_tab(engine: Engine, visitor: gr.State, conversation: gr.State) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the `Conversation`, which the inspector reads too.
    """
    template, running = chat_template(), RunningStreams()
    pending = gr.State(Pending(""))
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            with gr.Column(elem_classes="talk"):
                chat, box = build_talk(engine)
            with gr.Row(elem_classes="under-talk"):
                status = gr.HTML(status_line(), elem_id="chat-status")
                new = gr.Button("New chat", size="sm", elem_classes="plain", elem_id="chat-new")
        with gr.Column(elem_classes="side-column", min_width=240):
            empty = memory_card(engine.model.config, 0, 0)
            memory = gr.HTML(empty, elem_id="chat-memory")
            controls = build_controls()
            with gr.Accordion("Who is it?", open=False, elem_classes="quiet"):
                persona = gr.Textbox(
                    value="",
                    label="Persona",
                    info="Read once at the start of a chat; from then on it is only memory. "
                    "Clear the chat to begin with a new one.",
                    placeholder="You are Pip, who loves the sea.",
                    lines=3,
                )
    outputs = [chat, conversation, box, status, memory]
    steps = (
        box.submit(send, box, pending, **QUIET_EVENT),
        chat.example_select(send_example, None, pending, **QUIET_EVENT),
        chat.retry(retry, conversation, pending, **QUIET_EVENT),
        chat.edit(edit, None, pending, **QUIET_EVENT),
    )
    for step in steps:
        step.success(
            partial(answer, engine, template, running),
            [visitor, conversation, pending, persona, *controls],
            outputs,
            **MODEL_EVENT,
        )
    box.stop(running.stop, visitor, None, **QUIET_EVENT)
    chat.undo(partial(undo, engine, running), [visitor, conversation], outputs, **QUIET_EVENT)
    begin_anew = partial(clear, engine, running)
    gr.on([chat.clear, new.click], begin_anew, visitor, outputs, **QUIET_EVENT)


def build_talk(engine: Engine) -> tuple[gr.Chatbot, gr.Textbox]:
    """Lay out the conversation and the message box."""
    size = engine.model.config.state_bytes
    chat = gr.Chatbot(
        placeholder=f"""<h2 class="greeting">What shall we talk about?</h2>
<p class="greeting-note">This model never re-reads the chat. It keeps one memory of {size:,} bytes
and rewrites it word by word.</p>""",
        examples=[{"text": text} for text in examples().chat],
        editable="user",
        feedback_options=None,
        show_label=False,
        label="Conversation",
        container=False,
        height="min(58vh, 560px)",
        layout="bubble",
        buttons=["copy"],
        elem_id="chat",
    )
    box = gr.Textbox(
        placeholder=PROMPT,
        label=PROMPT,
        show_label=False,
        lines=1,
        max_lines=8,
        container=False,
        autofocus=True,
        submit_btn="Send",
        elem_id="chat-box",
    )
    return chat, box
