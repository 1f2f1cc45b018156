"""Requests of /v1 become token ids, as the page's own conversations do."""

from collections.abc import Sequence

from presets import ChatTemplate
from rwkv_core.engine import Engine
from server.refusals import Refusal
from server.v1.requests import Message


def chat_ids(
    engine: Engine, template: ChatTemplate, messages: Sequence[Message]
) -> tuple[int, ...]:
    """Ids of a conversation, up to where the model answers.

    Instructions come first and are read as a persona; neighbours of one role are joined.

    Raises:
        Refusal: the order of roles is one that the template cannot write, or a text is empty.
        RwkvError: a text cannot be read.
    """
    persona, turns = _ordered(messages)
    opening = template.opening(persona)
    ids = [engine.tokenizer.end_of_text, *(engine.encode(opening) if opening else ())]
    for index, (role, text) in enumerate(turns):
        if not template.clean(text):
            raise Refusal(
                400, f"a message of the {role} is empty; write a few words", "empty",
                param="messages",
            )  # fmt: skip
        written = template.user_turn(text, index == 0) if role == "user" else " " + text.strip()
        ids += engine.encode(written)
    return tuple(ids)


def text_ids(engine: Engine, prompt: str | list[int]) -> tuple[int, ...]:
    """Ids of a text to go on from; an empty one begins a new text.

    Raises:
        RwkvError: the text cannot be read.
    """
    if isinstance(prompt, list):
        return tuple(prompt)
    return (engine.tokenizer.end_of_text, *(engine.encode(prompt) if prompt else ()))


def _ordered(messages: Sequence[Message]) -> tuple[str, list[tuple[str, str]]]:
    """Split off the instructions and join neighbours of one role."""
    instructions: list[str] = []
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message.role in ("system", "developer"):
            if turns:
                raise Refusal(
                    400, f"a {message.role} message stands after others; put it first",
                    "bad_order", param="messages",
                )  # fmt: skip
            instructions.append(message.text)
        elif turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n{message.text}")
        else:
            turns.append((message.role, message.text))
    if not turns or turns[0][0] != "user" or turns[-1][0] != "user":
        raise Refusal(
            400, "the first and the last message must be the user's, besides instructions; "
            "reorder them", "bad_order", param="messages",
        )  # fmt: skip
    return "\n".join(instructions), turns
