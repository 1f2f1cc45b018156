"""What the browser keeps of an answer that is still being written.

A page may be left, or its server end, at any time: then the chat has what was there of the answer,
which can go on, and not just the message.
"""

from dataclasses import replace
from typing import Any

from rwkv_core.engine import Engine
from rwkv_core.generate import GenerationSettings
from rwkv_core.sessions import Making
from ui.chat import records
from ui.chat.values import Ask, Chats

# Tokens, of all versions. The whole chat is sent each time: of a longer one only what was asked is
# kept until its answer is finished.
MAX_TOKENS = 10_000


def unanswered(chats: Chats, ask: Ask) -> dict[str, Any]:
    """What the browser keeps before the first word: words that stand in no chat, and whose.

    Args:
        chats: all the visitor has; the tip of the open one is being answered.
        ask: what was asked.
    """
    chat = chats.current
    said = [node.turn.user for place, node in enumerate(chat.tree.nodes) if place != chat.tree.tip]
    is_new = ask.kind == "send" or (ask.kind == "replace" and ask.text not in said)
    is_new = is_new and ask.is_own
    return {"asked": {"text": ask.text if is_new else "", "slot": chat.slot}}


def so_far(engine: Engine, chats: Chats, settings: GenerationSettings, mode: str) -> dict[str, Any]:
    """What the browser keeps from the first words on: the open chat as if its page were left now.

    Args:
        engine: decodes ids.
        chats: all the visitor has; the tip of the open one is being answered.
        settings: how its words are chosen.
        mode: of thinking.

    Returns:
        As of `written`; nothing before the first word.
    """
    tree = chats.current.tree
    if tree.tip is None or not (turn := tree.nodes[tree.tip].turn).is_answered:
        return {}
    tokens = len(turn.answer_ids) - sum(made.tokens for made in turn.makings)
    made = Making(settings, "unread", max(0, tokens), 0, 0.0, 0.0, mode)
    left = replace(turn, makings=(*turn.makings, made))
    return written(engine, chats.with_tree(tree.with_turn(tree.tip, left)))


def written(engine: Engine, chats: Chats) -> dict[str, Any]:
    """What `browser.WRITE` takes of the open chat; nothing for an empty and for a long one."""
    chat = chats.current
    turns = [node.turn for node in chat.tree.nodes]
    tokens = sum(len(turn.prompt_ids) + len(turn.answer_ids) for turn in turns)
    if chat.is_empty or tokens > MAX_TOKENS:
        return {}
    order = [other.slot for other in chats.chats if not other.is_empty]
    text = records.write_text(engine, chat)
    return {"chat": {"order": order, "open": chat.slot, "texts": {str(chat.slot): text}}}
