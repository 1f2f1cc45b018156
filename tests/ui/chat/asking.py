"""Answers of the fake engine, collected as the page would show them."""

import asyncio
import json
from dataclasses import replace
from typing import Any

from presets import ChatTemplate, chat_template
from tests.ui.fakes import FakeEngine, as_engine
from ui.chat.answering import Wishes, answer
from ui.chat.frames import ChatFrame
from ui.chat.values import Ask, Chats
from ui.controls import choose_preset
from ui.session import RunningStreams

TEMPLATE = chat_template()


def run(
    engine: FakeEngine,
    ask: str | Ask,
    chats: Chats | None = None,
    *,
    template: ChatTemplate = TEMPLATE,
    running: RunningStreams | None = None,
    stop_after: int | None = None,
    **wishes: Any,
) -> list[ChatFrame]:
    """Answer a message and collect what the page shows; stop after that many frames."""
    running = running or RunningStreams()

    async def collect() -> list[ChatFrame]:
        frames = []
        async for shown in answer(
            as_engine(engine), template, running, "me", "en", chats or Chats(),
            ask if isinstance(ask, Ask) else Ask(ask), *Wishes(**wishes), *choose_preset("Balanced"),
        ):  # fmt: skip
            frames.append(shown)
            if len(frames) == stop_after:
                running.stop("me")
        return frames

    return asyncio.run(collect())


def put_back(frame: ChatFrame) -> str:
    """The words that a frame puts back into the message box; "" for none."""
    back: list[str] = json.loads(str(frame.marks))["keeps"].get("back", [""])
    assert "value" not in frame.box, "it would be written over what was typed since"
    return back[0]


def spelled(engine: FakeEngine, chats: Chats) -> Chats:
    """The same chats, with answers whose ids are those of their text.

    The ids of the fake's answers are first letters, so that they are easy to follow.
    """
    tree = chats.current.tree
    nodes = []
    for node in tree.nodes:
        ids = tuple(engine.tokenizer.encode(" " + node.turn.answer))
        nodes.append(replace(node, turn=replace(node.turn, answer_ids=ids)))
    return chats.with_tree(replace(tree, nodes=tuple(nodes)))


def talked(engine: FakeEngine, *messages: str) -> Chats:
    """A chat in which these messages were answered."""
    chats = Chats()
    for message in messages:
        chats = run(engine, message, chats)[-1].chats
    return chats
