"""Plant facts in a text and ask for them later: what the model must carry in its state."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from rwkv_core.training.corpus import recall_events as events
from rwkv_core.training.corpus import recall_kinds as kinds
from rwkv_core.training.corpus import recall_user as user_kinds
from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.phrases import (
    Exchange,
    answer,
    fill,
    slots_for,
    typed,
)
from rwkv_core.training.corpus.recall_kinds import FactKind

_TASTES = (user_kinds.HOBBY, user_kinds.FEAR, user_kinds.JOB, user_kinds.LIKES)
KINDS = (
    *(kinds.NAME, kinds.PET_NAME, kinds.RELATIVE, kinds.FAVORITE, kinds.HOME, kinds.AGE),
    *(kinds.SECRET, *events.WHERE_AND_WHO, *_TASTES, *events.EVENTS),
)
# Kinds that say something about the user; these make up "what do you know about me".
ABOUT_THE_USER = (
    *(kinds.NAME, kinds.PET_NAME, kinds.FAVORITE, kinds.HOME, kinds.AGE),
    *(user_kinds.HOBBY, user_kinds.JOB, user_kinds.LIKES),
)
# How often a kind is planted; visitors try their name and a secret word first.
WEIGHTS = (23, 8, 6, 9, 6, 5, 20, 9, 12, 3, 2, 3, 3, *(2,) * len(events.EVENTS))
_PLAIN_KINDS = (kinds.SECRET, events.SPOT, events.HOLDER)


class StoryText(Protocol):
    """What this module needs of a story."""

    @property
    def text(self) -> str:
        """Return the story as plain text."""


StoryWriter = Callable[..., StoryText]


@dataclass(frozen=True)
class Fact:
    """A fact that a user told: its kind, what it is about and the value."""

    kind: FactKind
    key: str
    value: str

    @property
    def address(self) -> tuple[str, str]:
        """Return what two facts share when the later one replaces the earlier."""
        return self.kind.name, self.key

    @property
    def spoken(self) -> str:
        """Return the value as the assistant says it: "my hat" becomes "your hat"."""
        return f" {self.value}".replace(" my ", " your ")[1:]

    def slots(self) -> dict[str, str]:
        """Return the slots {x}, {k}, {y} (value as the assistant says it) and their forms."""
        spoken, key = self.spoken, self.key
        return {
            **slots_for(self.value),
            "y": spoken,
            "Y": spoken[:1].upper() + spoken[1:],
            "k": key,
            "K": key[:1].upper() + key[1:],
        }


@dataclass(frozen=True)
class RecallCase:
    """A question whose answer stands earlier in the text.

    Attributes:
        text_before_question: Rendered chat that ends before the question's "User:".
        question: The question.
        answer: A right answer.
        needle: The words that any right answer must contain.
        distance_words: Words between the fact and the question.
    """

    text_before_question: str
    question: str
    answer: str
    needle: str
    distance_words: int

    @property
    def prompt(self) -> str:
        """Return the text up to and including the last "Assistant:"."""
        return f"{self.text_before_question}User: {self.question}\n\nAssistant:"


def clash(kind: FactKind, told: Iterable[str]) -> bool:
    """Return whether a kind told before, of these names, shares questions with this one.

    "What do I like?" has two answers after a hobby and a favorite dish.
    """
    shared = {user_kinds.HOBBY.name, user_kinds.LIKES.name}
    return kind.name in shared and bool(shared.intersection(told) - {kind.name})


def draw_kind(rng: random.Random) -> FactKind:
    """Draw a kind of fact, common ones more often."""
    return rng.choices(KINDS, WEIGHTS)[0]


def draw_fact(rng: random.Random, kind: FactKind | None = None, *, key: str | None = None) -> Fact:
    """Draw a fact, of a given kind and key if they are given."""
    kind = kind or draw_kind(rng)
    key = rng.choice(kind.keys) if key is None else key
    return Fact(kind, key, kind.value(rng, key))


def tell(
    rng: random.Random,
    fact: Fact,
    talk_slots: Mapping[str, str],
    how: Literal["tells", "short", "changes"] = "tells",
) -> Exchange:
    """Let the user tell a fact and the assistant show that it understood."""
    wordings = {"tells": fact.kind.tells, "short": fact.kind.short, "changes": fact.kind.changes}
    patterns = wordings[how] or fact.kind.tells
    slots = {**talk_slots, **fact.slots()}
    user = typed(rng, fill(rng, rng.choice(patterns), slots), keep_case=fact.kind.exact)
    return answer(rng, user, fact.kind.replies, slots)


def tell_and_ask(rng: random.Random, fact: Fact, talk_slots: Mapping[str, str]) -> Exchange:
    """Let the user tell a fact and ask for it in the same message."""
    slots = {**talk_slots, **fact.slots()}
    told = fill(rng, rng.choice([form for form in fact.kind.tells if "?" not in form]), slots)
    question = fill(rng, rng.choice(fact.kind.questions), slots)
    begin = rng.choice(("", "", "", "So, ", "Now, ", "And "))
    asked = begin + (question[:1].lower() + question[1:] if begin else question)
    user = typed(rng, f"{told.rstrip('.! ')}. {asked}", keep_case=fact.kind.exact)
    return answer(rng, user, fact.kind.answers, slots)


def tell_several(rng: random.Random, facts: list[Fact], talk_slots: Mapping[str, str]) -> Exchange:
    """Let the user tell several facts in one turn."""
    sentences = [
        fill(rng, fact.kind.tells[0], {**talk_slots, **fact.slots()}).rstrip(".! ") + "."
        for fact in facts
    ]
    if rng.random() < 0.65:
        begin = rng.choice(("Okay!", "I see!", "I will remember that.", "Good!", "Got it!"))
        said = [fill(rng, fact.kind.answers[0], fact.slots()) for fact in facts]
        return Exchange(" ".join(sentences), " ".join((begin, *said)))
    replies = (
        "Okay, I will remember (all of that|that|it all).",
        "I see! I will keep that in mind.",
        "Good. Ask me about it (later|any time)!",
        "Thank you for telling me(|{you}). I will remember it.",
    )
    return answer(rng, " ".join(sentences), replies, talk_slots)


def ask(rng: random.Random, fact: Fact, talk_slots: Mapping[str, str]) -> Exchange:
    """Let the user ask for a fact told before."""
    slots = {**talk_slots, **fact.slots()}
    if fact.kind.checks and rng.random() < 0.12:
        other = fact.kind.value(rng, fact.key)
        right = rng.random() < 0.5 or other == fact.value
        slots["z"] = fact.value if right else other
        question, yes, no = rng.choice(fact.kind.checks)
        asked = typed(rng, fill(rng, question, slots), keep_case=True)
        return Exchange(asked, fill(rng, yes if right else no, slots))
    user = typed(rng, fill(rng, rng.choice(fact.kind.questions), slots))
    return answer(rng, user, fact.kind.answers, slots)


def repeat(rng: random.Random) -> Exchange:
    """Let the user ask the assistant to say a word, a name or a short sentence again."""
    luck = rng.random()
    said = parts.any_secret(rng) if luck < 0.6 else parts.any_name(rng)
    if luck > 0.85:
        said = _plain_sentence(rng)
    asks = (
        "(Say|Write|Repeat|Please say|Can you say|Now say|Please repeat)(:|) {x}",
        "(Repeat after me|Say after me|Copy this|Say this|Write this|Read this)(: |, please: ){x}",
        "(Say|Write|Repeat) the (word|following)(:|) {x}",
    )
    return Exchange(fill(rng, rng.choice(asks), {"x": said}), said)


def ask_last(rng: random.Random, fact: Fact, talk_slots: Mapping[str, str]) -> Exchange:
    """Let the user ask what was told last."""
    asks = (
        "What did I just (tell you|say)?",
        "(Do you remember|Do you know|Tell me) what I just (said|told you)(?|, please?)",
        "What was the last thing I told you?",
    )
    user = typed(rng, fill(rng, rng.choice(asks), talk_slots))
    return answer(rng, user, fact.kind.answers[:1], {**talk_slots, **fact.slots()})


def ask_everything(
    rng: random.Random, facts: list[Fact], talk_slots: Mapping[str, str]
) -> Exchange:
    """Let the user ask what the assistant knows about them; at most three facts are answered."""
    asks = (
        "What do you (know|remember|still know|already know) about me(|, {me}| now)?",
        "(What have you learned|What did you learn|What do you recall) about me?",
        "(So, what|And what|Now, what) do you know about me?",
        "(Tell me|Say) (what you know about me|all you know about me|something about me)(.|, please.)",
        "(Do you|Can you) remember (anything|something|what I told you) about me?",
    )
    user = typed(rng, fill(rng, rng.choice(asks), talk_slots))
    about_user = [fact for fact in facts if fact.kind in ABOUT_THE_USER][-3:]
    if not about_user:
        replies = (
            "You have not told me much about you yet. What is your name? >> tell:name",
            "I do not know much about you yet. What do you like? >> tell:hobby",
        )
        return answer(rng, user, replies, talk_slots)
    told = [fill(rng, fact.kind.answers[0], {**talk_slots, **fact.slots()}) for fact in about_user]
    return Exchange(user, " ".join(told))


def ask_all_told(rng: random.Random, facts: list[Fact], talk_slots: Mapping[str, str]) -> Exchange:
    """Let the user ask for all that was told; the last three facts are answered."""
    asks = (
        "What did I tell you(| so far| today| before)?",
        "(What have I told you|What do you remember|What did you learn from me)(| so far| today)?",
        "(Tell me|Say|Repeat) (all|everything) (I told you|you remember|that I said)(.|, please.)",
        "(Do you remember|Do you still know|Can you repeat) what I told you(| before)?",
    )
    told = [fill(rng, fact.kind.answers[0], {**talk_slots, **fact.slots()}) for fact in facts[-3:]]
    return Exchange(typed(rng, fill(rng, rng.choice(asks), talk_slots)), " ".join(told))


def ask_unknown(
    rng: random.Random, kind: FactKind, key: str, talk_slots: Mapping[str, str]
) -> Exchange:
    """Let the user ask for something that was never told."""
    fact = Fact(kind, key, "")
    slots = {**talk_slots, **fact.slots()}
    user = typed(rng, fill(rng, rng.choice(kind.questions), slots))
    exchange = answer(rng, user, kind.unknown, slots)
    return Exchange(user, exchange.assistant, exchange.then.format_map(slots))


def recall_case(
    rng: random.Random, distance_words: int, filler: Callable[[random.Random], str]
) -> RecallCase:
    """Write a test case: a fact, about `distance_words` of other talk, a question.

    Args:
        rng: Source of chance.
        distance_words: Words of filler between the fact and the question; 0 for none.
        filler: Returns a piece of rendered chat without facts of these kinds.
    """
    fact = draw_fact(rng, rng.choice((kinds.NAME, kinds.SECRET, *events.WHERE_AND_WHO)))
    slots = {"me": "Pip", "you": ""}
    opening = tell(rng, fact, slots)
    question = ask(rng, fact, slots)
    pieces = [f"User: {opening.user}\n\nAssistant: {opening.assistant}\n\n"]
    words = 0
    while words < distance_words:
        piece = filler(rng)
        pieces.append(f"{piece}\n\n")
        words += len(piece.split())
    text = "".join(pieces)
    return RecallCase(text, question.user, question.assistant, fact.spoken, words)


def different_facts(rng: random.Random, kind: FactKind, count: int) -> list[Fact]:
    """Draw facts of one kind with different keys and different values."""
    facts: list[Fact] = []
    for key in rng.sample(kind.keys, min(count, len(kind.keys))):
        fact = draw_fact(rng, kind, key=key)
        if fact.value not in {other.value for other in facts}:
            facts.append(fact)
    return facts


def write_plain_recall(rng: random.Random, story_writer: StoryWriter) -> str:
    """Write a plain document (no chat) that states facts, goes on and states one of them again."""
    facts = different_facts(rng, rng.choice(_PLAIN_KINDS), rng.choice((1, 1, 2, 3, 4)))
    forms = {"secret": "The {k} is {x}.", "spot": "The {k} is {x}.", "holder": "{x} has the {k}."}
    told = [forms[fact.kind.name].format_map(fact.slots()) for fact in facts]
    luck = rng.random()
    if luck < 0.4:
        between = ""
    elif luck < 0.75:
        between = " ".join(_plain_sentence(rng) for _ in range(rng.randrange(1, 12)))
    else:
        between = story_writer(rng, ()).text
    chosen = rng.randrange(len(facts))
    if rng.random() < 0.6:
        end = told[chosen]
    else:
        slots = facts[chosen].slots()
        asked = "Who has the {k}?" if facts[chosen].kind is events.HOLDER else "{w} is the {k}?"
        word = "Where" if facts[chosen].kind is events.SPOT else "What"
        end = f"{asked.format_map({**slots, 'w': word})} {told[chosen]}"
    breaks = "\n" if "\n" in between else " "
    return breaks.join(part for part in (" ".join(told), between, end) if part)


def _plain_sentence(rng: random.Random) -> str:
    """Write one sentence that has nothing to do with keys and passwords."""
    slots = {
        "name": rng.choice(parts.NAMES),
        "animal": rng.choice(parts.ANIMALS),
        "place": rng.choice(parts.PLACES),
        "color": rng.choice(parts.COLORS),
        "food": rng.choice(parts.FOODS),
    }
    patterns = (
        "{name} went to the {place}(.| to see the {animal}.| and came home late.)",
        "(The {animal} was|A {animal} sat|One {animal} slept) (near|close to) the {place}.",
        "It was a (sunny|rainy|cold|warm|windy|quiet) (day|morning|evening)(.| at the {place}.)",
        "{name} likes {food}(.|, but not today.)",
        "(The house|The door|The flower|The boat) was {color}.",
        "The {animal} was (hungry|happy|tired|very loud|looking for a friend).",
        "{name} (painted|washed|cleaned) the (wall|fence|door) and made it {color}.",
        "(Then|After that|Later) {name} (sang a song|took a nap|ate {food}|saw the {animal}).",
    )
    return fill(rng, rng.choice(patterns), slots)
