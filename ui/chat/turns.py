"""From what a visitor asks to the ids the model reads, and from what it wrote to a turn."""

from dataclasses import replace

from presets import ChatTemplate
from rwkv_core.admission import check_text
from rwkv_core.branches import Tree
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.sessions import Conversation, Turn
from ui.chat.values import MAX_TURNS, Ask


def open_turn(
    engine: Engine, template: ChatTemplate, conversation: Conversation, text: str, persona: str
) -> Conversation:
    """Add a turn that waits for its answer.

    Args:
        engine: encodes and checks the text.
        template: writes the roles.
        conversation: what was said before.
        text: what the visitor says now.
        persona: read once, where the model has read nothing yet; ignored later.

    Raises:
        InputError: the message is empty, too long or not text.
    """
    if not template.clean(text):
        raise InputError("the message is empty; write a few words, then press Send")
    # Places and sizes are told of the visitor's own words, before the roles around them count.
    check_text(text, engine.limits.max_text_bytes)
    start = engine.tokenizer.end_of_text
    first = is_unread(conversation, start)
    if first:
        opening = template.opening(persona)
        ids = (start, *(engine.encode(opening) if opening else ()))
        conversation = Conversation(ids, root=conversation.root)
    prompt_ids = tuple(engine.encode(template.user_turn(text, first)))
    return conversation.with_turn(Turn(text.strip(), prompt_ids, "", ()))


def is_unread(talk: Conversation, start: int) -> bool:
    """Whether the model has read nothing yet but perhaps the token that begins a text.

    A memory from the shelf has read something, except a tuned one, which that token follows.
    """
    return talk in (Conversation(), Conversation((start,), root=talk.root))


def with_answer(opened: Conversation, text: str, ids: tuple[int, ...]) -> Conversation:
    """Give the open last turn its answer so far."""
    last = opened.turns[-1]
    turn = Turn(last.user, last.prompt_ids, text.strip(), ids)
    return opened.before(len(opened.turns) - 1).with_turn(turn)


def opened(
    engine: Engine, template: ChatTemplate, tree: Tree, ask: Ask, persona: str
) -> tuple[Tree, int]:
    """Make the tip of the tree the exchange that is to be answered.

    Args:
        engine: encodes and checks the text.
        template: writes the roles.
        tree: the chat, without an unanswered message.
        ask: what to answer.
        persona: read once, before the first turn.

    Returns:
        The tree, and how many of its tokens the model has never read.

    Raises:
        InputError: the message cannot be sent, or there is nothing to replace or to go on with.
    """
    if ask.kind == "continue":
        if tree.tip is None:
            raise InputError("there is no answer to go on with; write a message first")
        tip = tree.nodes[tree.tip]
        if any(node.parent == tree.tip for node in tree.nodes):
            # What was said after the cut answer stays as it is: the longer one stands beside it.
            tree = tree.added(tip.parent, tip.turn, tip.opening_ids, tip.root)
        return tree, 0
    if len(tree.nodes) >= MAX_TURNS:
        raise InputError(
            "this chat has {count:,} messages, the limit is {limit:,}; begin a new one, or "
            "fork this one",
            count=len(tree.nodes),
            limit=MAX_TURNS,
        )
    parent = tree.tip
    if ask.kind == "replace":
        if not 0 <= ask.node < len(tree.nodes):
            raise InputError("there is no such message in this chat; reload the page")
        parent = tree.nodes[ask.node].parent
    before = tree.conversation_to(parent)
    talk = open_turn(engine, template, before, ask.text, persona)
    turn = talk.turns[-1]
    grown = tree.added(parent, turn, talk.opening_ids, talk.root)
    has_been_read = len(grown.answer_versions(len(grown.nodes) - 1).nodes) > 1
    return grown, 0 if has_been_read else talk.length - before.length


def answered(turn: Turn, before: Turn, text: str, ids: tuple[int, ...]) -> Turn:
    """Add what was written to a turn.

    Args:
        turn: the exchange that is being answered.
        before: the same as it was when the writing began; "continue" finds words there.
        text: written since then.
        ids: its tokens.
    """
    return replace(turn, answer=(before.answer + text).lstrip(), answer_ids=before.answer_ids + ids)
