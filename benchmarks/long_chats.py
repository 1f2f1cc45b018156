"""Measure going back in twenty long chats: python -m benchmarks.long_chats --help."""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import presets
from benchmarks.machine import machine
from rwkv_core.branches import Tree
from rwkv_core.engine import Engine, Stream
from rwkv_core.generate import GenerationSettings
from rwkv_core.sampling import SamplingSettings
from rwkv_core.switching import load_engine
from ui.chat import actions
from ui.chat.answering import Wishes, answer
from ui.chat.turns import answered, opened
from ui.chat.values import Ask, Chat, Chats
from ui.controls import choose_preset
from ui.session import RunningStreams

VISITOR = "visitor"
WORDS = "Tell me what happened to number {turn}, please."
ANSWER_TOKENS = 10
TOGETHER = 8


def write_chats(engine: Engine, chats: int, turns: int) -> Chats:
    """Let the model answer every turn of every chat, some chats at a time, the last one last."""
    template = presets.chat_template()
    settings = GenerationSettings(
        SamplingSettings(0.6, 0.9, seed=1), max_tokens=ANSWER_TOKENS, stop=template.stop
    )
    done: list[Tree] = []
    for first in range(0, chats, TOGETHER):
        trees = [Tree() for _ in range(first, min(chats, first + TOGETHER))]
        for turn in range(turns):
            running: list[tuple[Tree, Stream]] = []
            for number, tree in enumerate(trees, start=first):
                text = f"{number}: {WORDS.format(turn=turn)}"
                grown, _ = opened(engine, template, tree, Ask(text), "")
                running.append((grown, engine.submit(VISITOR, grown.conversation.ids, settings)))
            trees = [with_answer(tree, stream) for tree, stream in running]
        done += trees
    return Chats(tuple(Chat(tree) for tree in done))


def with_answer(tree: Tree, stream: Stream) -> Tree:
    """Wait for an answer and write it into the last exchange."""
    for _ in stream:
        pass
    result, tip = stream.result, tree.tip
    assert result is not None
    assert tip is not None
    turn = tree.nodes[tip].turn
    # An exchange without words would be dropped; the id that begins a text stands for them.
    ids = result.generated_ids or tree.conversation.ids[:1]
    return tree.with_turn(tip, answered(turn, turn, result.text or ".", ids))


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds an action takes, and what it gives."""
    start = time.perf_counter()
    outcome = action()
    return 1000 * (time.perf_counter() - start), outcome


def measure(engine: Engine, chats: Chats) -> dict[str, Any]:
    """Undo the last turn of each chat and say something else; milliseconds and tokens re-read."""
    running = RunningStreams()
    undo_ms, first_ms, answer_ms, reread, sent = [], [], [], [], []
    for at in range(len(chats.chats)):
        here = Chats(chats.chats, at)
        undo = partial(actions.undo, engine, running, VISITOR, "en", here)
        took, frame = timed(undo)
        undo_ms.append(took)
        last = asyncio.run(last_frame(engine, running, frame.chats))
        answer_ms.append(last[0])
        made = last[1].conversation.turns[-1].makings[-1]
        first_ms.append(1000 * made.first_token_s)
        reread.append(made.reread)
        sent.append(len(json.dumps(frame.messages)) + len(str(frame.marks)))
    return {
        "undo_ms": spread(undo_ms),
        "first_token_after_undo_ms": spread(first_ms),
        "tokens_reread_after_undo": spread(reread),
        "answer_of_one_word_ms": spread(answer_ms),
        "bytes_drawn": spread(sent),
        "bytes_held_for_the_visitor": len(pickle.dumps(chats)),
    }


async def last_frame(engine: Engine, running: RunningStreams, chats: Chats) -> tuple[float, Any]:
    """Answer one more message with one token; milliseconds and the last frame."""
    controls = choose_preset("Balanced")._replace(max_tokens=1, seed=2)
    start = time.perf_counter()
    frames = answer(
        engine,
        presets.chat_template(),
        running,
        VISITOR,
        "en",
        chats,
        Ask("Why?"),
        *Wishes(),
        *controls,
    )
    shown = [frame async for frame in frames]
    return 1000 * (time.perf_counter() - start), shown[-1]


def spread(values: list[Any]) -> dict[str, float]:
    """Median and worst."""
    return {"median": round(statistics.median(values), 2), "worst": round(max(values), 2)}


def main(arguments: list[str] | None = None) -> None:
    """Write the chats, measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_chats", description=__doc__)
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--chats", type=int, default=20)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    with load_engine(options.model) as engine:
        short = measure(engine, write_chats(engine, options.chats, 5))
        engine.drop_session(VISITOR)
        long_ms, chats = timed(lambda: write_chats(engine, options.chats, options.turns))
        results = {
            "chats": options.chats,
            "turns": options.turns,
            "tokens_of_one_chat": chats.current.conversation.length,
            "write_s": round(long_ms / 1000, 1),
            "after_5_turns": short,
            f"after_{options.turns}_turns": measure(engine, chats),
            "machine": machine(),
        }
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
