"""Thoughts before an answer: written, shown folded, and left out of the memory that is kept."""

from dataclasses import replace

from presets import ChatTemplate
from rwkv_core.branches import Tree
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.sessions import Turn
from ui.chat.values import Ask

OPEN, CLOSE = "<think", "</think"


def split(written: str) -> tuple[str, str]:
    """Split all that follows the prompt into thoughts and answer; no answer before they end."""
    head, _, rest = written.partition(CLOSE)
    if OPEN not in head:
        return "", written
    thoughts = head.partition(OPEN)[2].removeprefix(">").strip()
    return thoughts, rest.removeprefix(">").lstrip()


def begun(
    engine: Engine, template: ChatTemplate, tree: Tree, ask: Ask, mode: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the model reads before it writes the next token of the last exchange.

    Args:
        engine: encodes.
        template: knows how thinking begins.
        tree: its tip is to be answered.
        ask: "continue" goes on with what was written, thoughts included.
        mode: "", "fast" or "think".

    Returns:
        Ids up to the end of the prompt, and those after it: a tag that is left open, or the
        beginning that is gone on with.

    Raises:
        InputError: the template knows no such mode.
    """
    if mode and mode not in template.thinking:
        raise InputError(
            "this model was not taught to think first ({mode!r}); choose not to think",
            mode=mode[:20],
        )
    talk = tree.conversation
    turn = talk.turns[-1]
    prompt = talk.ids[: talk.length - len(turn.answer_ids)]
    if ask.kind == "continue":
        return prompt, turn.live_ids or turn.answer_ids
    return prompt, tuple(engine.encode(template.thinking[mode])) if mode else ()


def answered(
    engine: Engine, template: ChatTemplate, turn: Turn, text: str, live: tuple[int, ...]
) -> Turn:
    """Add what was written after thoughts to a turn.

    Args:
        engine: encodes.
        template: says how later turns remember an answer.
        turn: the exchange.
        text: all that followed the prompt.
        live: its ids.
    """
    thoughts, answer = split(text)
    answer = answer.strip()
    # Not the engine's own check of a visitor's text: the model may write what people may not.
    ids = tuple(engine.tokenizer.encode(template.answer(answer))) if answer else ()
    return replace(turn, answer=answer, answer_ids=ids, thinking=thoughts, live_ids=live)
