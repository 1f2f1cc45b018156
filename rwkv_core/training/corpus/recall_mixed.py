"""Let a user tell facts of different kinds in one sentence: a name and a pet, a home and a color."""

import random
from collections.abc import Mapping

from rwkv_core.training.corpus import recall, recall_events, recall_kinds, recall_user
from rwkv_core.training.corpus.phrases import Exchange, fill, typed
from rwkv_core.training.corpus.recall_kinds import FactKind

# Kinds that join well, and how often each is one of them.
_KINDS: Mapping[FactKind, int] = {
    recall_kinds.NAME: 9,
    recall_kinds.PET_NAME: 5,
    recall_kinds.RELATIVE: 4,
    recall_kinds.FAVORITE: 6,
    recall_kinds.HOME: 6,
    recall_kinds.AGE: 4,
    recall_kinds.SECRET: 3,
    recall_user.HOBBY: 2,
    recall_user.LIKES: 4,
    recall_user.JOB: 2,
    recall_user.FEAR: 1,
    recall_events.WISH: 1,
    recall_events.SPOT: 2,
    recall_events.HOLDER: 2,
}
# How a fact is told inside a longer sentence.
_CLAUSES: Mapping[str, str] = {
    "name": "(my name is|my name is|my name's|I am|I am|I'm|I am called) {x}",
    "pet": "(I have a {k} named|I have a {k} called|we have a {k} called|my {k} is called) {x}",
    "relative": "(my {k} is called|my {k}'s name is|I have a {k} called) {x}",
    "favorite": "(my favorite {k} is|the {k} I like best is) {x}",
    "home": "(I live in|I live in|I am from|I'm from|I come from) {x}",
    "age": "(I am {x} years old|I am {x}|I'm {x} years old)",
    "secret": "(the|my) {k} is {x}",
    "hobby": "I (like|love|enjoy) {x}",
    "likes": "I (like|like|love|really like) {x}",
    "job": "(I am|I'm|I work as) {a_x}",
    "fear": "I am (afraid|scared) of {x}",
    "wish": "I (want|would like to have) {a_x}",
    "spot": "the {k} is {x}",
    "holder": "{x} has the {k}",
}
# How the assistant shows that it understood one of the facts.
_REACTIONS: Mapping[str, tuple[str, ...]] = {
    "name": ("(Nice to meet you|Hello|Hi|Good to meet you), {x}!",),
    "pet": (
        "{X} is a (nice|good|great) name for a {k}.",
        "Your {k} is called {x}, how nice!",
        "(Say hello to {x} from me|I would like to meet {x}).",
    ),
    "relative": ("Your {k} is called {x}.", "{X} is a nice name."),
    "favorite": ("Your favorite {k} is {y}.", "{Y} is a good choice!", "I like {y} too!"),
    "home": ("{X} sounds like a nice place.", "So you live in {x}.", "I would like to see {x}."),
    "age": ("{x} is a good age.", "You are {x} years old."),
    "secret": ("I will remember that the {k} is {x}.", "The {k} is {x}."),
    "hobby": ("{Y} sounds like fun!", "You like {y}."),
    "likes": ("You like {x}, I see.", "It is good that you like {x}."),
    "job": ("You are {a_x}, how interesting!", "Being {a_x} sounds like a good job."),
    "fear": ("It is okay to be afraid of {y}.",),
    "wish": ("I hope that you get {a_x}!",),
    "spot": ("The {k} is {y}.", "I will remember that the {k} is {y}."),
    "holder": ("{x} has the {k}.", "I will remember that {x} has the {k}."),
}


def draw_mixed(rng: random.Random) -> list[recall.Fact]:
    """Draw two or three facts of different kinds, a name first where there is one."""
    count = rng.choice((2, 2, 2, 3))
    chosen: list[FactKind] = []
    while len(chosen) < count:
        kind = rng.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
        if kind not in chosen and not (recall.clash(kind, {other.name for other in chosen})):
            chosen.append(kind)
    if rng.random() < 0.8:
        chosen.sort(key=lambda kind: kind is not recall_kinds.NAME)
    return [recall.draw_fact(rng, kind) for kind in chosen]


def tell_mixed(
    rng: random.Random, facts: list[recall.Fact], talk_slots: Mapping[str, str]
) -> Exchange:
    """Let the user tell all facts in one turn; the answer repeats one of them or all."""
    # The space keeps fill() from writing a capital inside the sentence.
    clauses = [fill(rng, f" {_CLAUSES[fact.kind.name]}", fact.slots()).strip() for fact in facts]
    joint = rng.choice((" and ", " and ", " and ", ", and ", ". "))
    *first, last = clauses
    if joint == ". ":
        said = ". ".join(clause[:1].upper() + clause[1:] for clause in clauses)
    else:
        said = f"{', '.join(first)}{joint}{last}"
    begin = rng.choice(("", "", "", "", "Hi, ", "Hello! ", "Well, "))
    said = begin + (said if begin.endswith(", ") else said[:1].upper() + said[1:])
    exact = any(fact.kind.exact for fact in facts)
    shown = facts if rng.random() < 0.6 else rng.sample(facts, 1)
    reply = [
        fill(rng, rng.choice(_REACTIONS[fact.kind.name]), {**talk_slots, **fact.slots()})
        for fact in shown
    ]
    return Exchange(typed(rng, f"{said}.", keep_case=exact), " ".join(reply))
