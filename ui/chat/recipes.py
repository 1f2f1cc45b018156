"""A link that rebuilds a conversation: what was said, how words were chosen, and a check.

Under the same model, settings and seeds the same text comes out, so a link of 2 kB stands for a
memory of any size. The check says whether it did.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from presets import ChatTemplate
from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.sessions import Conversation, Making
from ui.chat.answering import Wishes, answer
from ui.chat.frames import ChatFrame, box_for, frame, line
from ui.chat.values import CUT, Ask, Chat, Chats
from ui.components import error_line
from ui.controls import Controls
from ui.session import RunningStreams

MAX_BYTES = 2048
MAX_TURNS = 40
VERSION = 1
# Of sha256, in hex digits: a link made by chance is told apart, and 2 kB hold more words.
_CHECK_DIGITS, _MODEL_DIGITS = 12, 16


@dataclass(frozen=True)
class Part:
    """An answer, or the part of it that was written in one go.

    Attributes:
        wishes: persona, thinking and stop texts.
        controls: how words are chosen.
    """

    wishes: Wishes
    controls: Controls


@dataclass(frozen=True)
class Recipe:
    """What a link says.

    Attributes:
        model: beginning of the fingerprint of the model's weights.
        name: of the model.
        turns: each message with the parts of its answer.
        check: digest of all answers.
    """

    model: str
    name: str
    turns: tuple[tuple[str, tuple[Part, ...]], ...]
    check: str


def digest(talk: Conversation) -> str:
    """A short check of all answers of a conversation."""
    text = "\0".join(turn.answer.strip() for turn in talk.turns)
    return hashlib.sha256(text.encode()).hexdigest()[:_CHECK_DIGITS]


def write_recipe(engine: Engine, template: ChatTemplate, talk: Conversation) -> str:
    """Write the recipe of a conversation as base64url.

    Raises:
        InputError: it is empty, too long, or holds what a link cannot carry.
    """
    if not talk.turns:
        raise InputError("there is no conversation yet; say something first")
    if talk.root:
        raise InputError(
            "this chat begins from a kept memory, which no link can carry; save the memory to a "
            "file instead"
        )
    opening = engine.tokenizer.decode(talk.opening_ids[1:])
    turns: list[list[Any]] = []
    for number, turn in enumerate(talk.turns, start=1):
        if not turn.makings:
            raise InputError(
                "nothing is known about how answer {number} was made, so no link can make it "
                "again; export the chat instead",
                number=number,
            )
        turns.append([turn.user, *(_part(making, template) for making in turn.makings)])
    # What all parts share is written once.
    shared: dict[str, Any] = turns[0][1]
    for turn_parts in turns:
        turn_parts[1:] = [
            {key: value for key, value in part.items() if shared[key] != value}
            for part in turn_parts[1:]
        ]
    record = {
        "v": VERSION, "m": engine.model.fingerprint[:_MODEL_DIGITS], "n": engine.model.name[:40],
        "o": opening, "s": shared, "t": turns, "c": digest(talk),
    }  # fmt: skip
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    link = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    if len(link) > MAX_BYTES or len(turns) > MAX_TURNS:
        raise InputError(
            "a link to this chat would have {count:,} characters for {messages} messages, "
            "the limit is {limit:,} for {most}; export the chat instead, or fork it earlier",
            count=len(link),
            messages=len(turns),
            limit=MAX_BYTES,
            most=MAX_TURNS,
        )
    return link


def _part(making: Making, template: ChatTemplate) -> dict[str, Any]:
    sampling, stop = making.settings.sampling, making.settings.stop
    own = stop[len(template.thinking_stop if making.mode else template.stop) :]
    # A part that was cut is cut at the same place again.
    limit = making.tokens if making.reason in CUT else making.settings.max_tokens
    controls = Controls(
        sampling.temperature, sampling.top_p, sampling.top_k, sampling.presence_penalty,
        sampling.frequency_penalty, sampling.penalty_decay, limit, sampling.seed or 0,
    )  # fmt: skip
    lines = "\n".join(text.replace("\n", "\\n") for text in own)
    return {**_short(controls._asdict()), "k": making.mode, "w": lines}


def _short(names: Mapping[str, float]) -> dict[str, float]:
    return dict(zip("apbdefls", names.values(), strict=True))


def read_recipe(link: str, template: ChatTemplate) -> Recipe:
    """Read a recipe; whoever made the link could write anything.

    Raises:
        InputError: it is damaged or too long.
    """
    if len(link) > MAX_BYTES:
        raise InputError(
            "the recipe in this link has {count:,} characters, the limit is {limit:,}; ask "
            "for the exported chat instead",
            count=len(link),
            limit=MAX_BYTES,
        )
    try:
        data = json.loads(base64.b64decode(link + "=" * (-len(link) % 4), b"-_", validate=True))
        if data["v"] != VERSION or not 1 <= len(data["t"]) <= MAX_TURNS:
            raise ValueError
        persona = _persona(_text(data["o"]), template)
        turns = tuple(
            (_text(user), tuple(_read_part(data["s"] | part, persona) for part in parts))
            for user, *parts in data["t"]
        )
        if not all(parts for _, parts in turns):
            raise ValueError
        return Recipe(_text(data["m"]), _text(data["n"]), turns, _text(data["c"]))
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error,
    ) as error:  # fmt: skip
        raise InputError(
            "the recipe in this link is damaged; copy the whole link, or ask for it again"
        ) from error


def _read_part(part: Mapping[str, Any], persona: str) -> Part:
    numbers = [part[key] for key in "apbdefls"]
    if not all(type(number) in (int, float) for number in numbers):
        raise TypeError
    return Part(Wishes(persona, _text(part["k"]), _text(part["w"])), Controls(*numbers))


def _persona(opening: str, template: ChatTemplate) -> str:
    """Find the persona in the text before the first message."""
    before, after = template.opening_form.split("{persona}")
    persona = opening.removeprefix(before).removesuffix(after) if opening else ""
    if template.opening(persona) != opening:
        raise ValueError
    return persona


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


async def rebuild(
    engine: Engine,
    template: ChatTemplate,
    running: RunningStreams,
    visitor: str,
    language: str,
    chats: Chats,
    link: str,
) -> AsyncIterator[ChatFrame]:
    """Say everything again that a recipe says, in a chat of its own, and check what came out.

    Args:
        engine: runs the model.
        template: turns roles into text.
        running: knows what each visitor listens to.
        visitor: session id.
        language: of the page.
        chats: all the visitor has.
        link: the recipe, as `write_recipe` gave it.
    """
    try:
        recipe = read_recipe(link, template)
        if not engine.model.fingerprint.startswith(recipe.model) or not recipe.model:
            raise InputError(
                "this recipe was made with the model {name!r}, here runs {here!r}; start the "
                "playground with that model to rebuild it",
                name=recipe.name[:40],
                here=engine.model.name,
            )
        chats = chats.added(Chat())
    except RwkvError as error:
        yield frame(engine, chats, box_for(language), error_line(error, language), language)
        return
    for user, parts in recipe.turns:
        for number, part in enumerate(parts):
            ask = Ask("", "continue") if number else Ask(user, is_own=False)
            shown = None
            async for shown in answer(
                engine, template, running, visitor, language, chats, ask,
                *part.wishes, *part.controls,
            ):  # fmt: skip
                yield shown
            if shown is None or not _went_on(chats, shown.chats):
                return
            chats = shown.chats
    yield verdict(engine, chats, recipe, language)


def _went_on(before: Chats, after: Chats) -> bool:
    """Whether an answer was written, and not because the visitor stopped it."""
    told = [chats.current.conversation.turns for chats in (before, after)]
    parts = [sum(len(turn.makings) for turn in turns) for turns in told]
    return parts[1] > parts[0] and told[1][-1].makings[-1].reason not in ("cancelled", "unread")


def verdict(engine: Engine, chats: Chats, recipe: Recipe, language: str) -> ChatFrame:
    """Say whether the same text came out."""
    check = digest(chats.current.conversation)
    key = "chat.rebuilt" if check == recipe.check else "chat.rebuilt_otherwise"
    text = speak(language, key, check=check, wanted=recipe.check[:_CHECK_DIGITS])
    return frame(engine, chats, box_for(language), line(text), language)
