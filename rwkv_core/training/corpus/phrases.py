"""Turn short patterns into sentences, and sentences into the way people type.

A pattern is text with choices, `(Hi|Hello) there`, and slots, `I lost my {x}.`
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_CHOICE = re.compile(r"\(([^()]*)\)")
_NOT_PLAIN = re.compile(r"[^a-z0-9 ]")


@dataclass(frozen=True)
class Exchange:
    """One thing the user says and the assistant's answer.

    `then` names what the user is likely to say next, when the answer ends with a question.
    """

    user: str
    assistant: str
    then: str = ""


@dataclass(frozen=True)
class Intent:
    """One thing a user may want, the ways to say it and the ways to answer.

    Attributes:
        name: Short name, unique among all intents.
        asks: Patterns of the user's sentence.
        replies: Patterns of the answer; ` >> topic` at the end names the user's next topic.
        held_out: Sentences with the same meaning that training text never contains.
        things: Words for the slot {x}, the same in the sentence and the answer.
    """

    name: str
    asks: tuple[str, ...]
    replies: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    things: tuple[str, ...] = ()


def fill(rng: random.Random, pattern: str, slots: Mapping[str, str]) -> str:
    """Choose one wording of a pattern, put the slots in and begin with a capital."""
    while "(" in pattern:
        pattern = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), pattern)
    text = pattern.format_map(slots) if "{" in pattern else pattern
    # A pattern that begins with {x} keeps the word as it was told: passwords have small letters.
    return text if pattern.startswith("{x}") else text[:1].upper() + text[1:]


def wordings(pattern: str) -> set[str]:
    """Return every wording of a pattern, slots left open."""
    found = _CHOICE.search(pattern)
    if found is None:
        return {pattern}
    before, after = pattern[: found.start()], pattern[found.end() :]
    return {text for choice in found[1].split("|") for text in wordings(before + choice + after)}


def slots_for(thing: str) -> dict[str, str]:
    """Return the forms of a thing that patterns use: {x}, {X} capitalised, {a_x} and {A_x}."""
    phrase = with_article(thing)
    return {
        "x": thing,
        "X": thing[:1].upper() + thing[1:],
        "a_x": phrase,
        "A_x": phrase[:1].upper() + phrase[1:],
    }


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    vowel = noun[:1].lower() in "aeiou" and not noun.lower().startswith(("uni", "use", "one"))
    return f"{'an' if vowel else 'a'} {noun}"


def plain(text: str) -> str:
    """Return a sentence in small letters without punctuation, to compare wordings."""
    return " ".join(_NOT_PLAIN.sub("", text.lower()).split())


def typed(rng: random.Random, text: str, *, keep_case: bool = False) -> str:
    """Write a sentence as a hurried user might: small letters, no full stop, British spelling.

    About two sentences in five change. `keep_case` protects a word that must come back exactly.
    """
    if rng.random() < 0.25 and ("avorite" in text or "olor" in text):
        text = text.replace("avorite", "avourite").replace("olor", "olour")
    luck = rng.random()
    if luck < 0.14:
        text = text.rstrip(".?!") or text
    elif luck < 0.28 and not keep_case:
        text = text.lower().rstrip(".?!") or text
    elif luck < 0.34 and not keep_case:
        text = text.lower()
    elif luck < 0.37:
        text = text.replace("'", "")
    elif luck < 0.39 and text[-1] in "!?":
        text += text[-1]
    return text


def speak(rng: random.Random, intent: Intent, slots: Mapping[str, str]) -> Exchange:
    """Write one exchange about an intent."""
    if intent.things:
        slots = {**slots, **slots_for(rng.choice(intent.things))}
    user = typed(rng, fill(rng, rng.choice(intent.asks), slots))
    return answer(rng, user, intent.replies, slots)


def answer(
    rng: random.Random, user: str, replies: tuple[str, ...], slots: Mapping[str, str]
) -> Exchange:
    """Answer a sentence with one of the replies, keeping the topic it leads to."""
    reply, _, then = rng.choice(replies).partition(" >> ")
    return Exchange(user, fill(rng, reply, slots), then)
