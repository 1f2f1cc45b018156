"""Put turns together into conversations in which facts are told, left alone and asked for."""

import random
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from rwkv_core.training.corpus import (
    follow_ups,
    recall,
    recall_events,
    recall_kinds,
    recall_mixed,
    talk,
    talk_feelings,
    talk_social,
)
from rwkv_core.training.corpus.facts import world_fact
from rwkv_core.training.corpus.persona import Persona, draw_persona
from rwkv_core.training.corpus.phrases import Exchange, fill, typed
from rwkv_core.training.corpus.recall_kinds import FactKind

_MAX_TURNS = 80
# Room at the end for the questions after a story, the questions about the facts and a goodbye.
_LAST_TURNS = 8
# In rendered text, where names of roles count as words; made-up words are several tokens.
_TOKENS_PER_WORD = 1.7
# Tokens between a fact and its question: near and far come alike often.
_DISTANCES = ((20, 60), (60, 140), (140, 300), (300, 600), (600, 900))
# After so many other topics one may come up again.
_FRESH_AFTER = 24
# What only Pip can say, in answers that a persona would otherwise share.
_PIP_ONLY = (
    *("computer", "cannot eat", "no hands", "tiny", "small", "cannot do", "my years", "younger"),
    *("Pip", "model", "program", "learning", "stories", "like me", "my fox", "I can tell"),
)
# Kinds whose keys may also turn up in a story.
_IN_STORIES = (recall_events.HOLDER, recall_events.SPOT)
# Kinds of which a user may tell several at once.
_IN_ROWS = (
    *(recall_events.HOLDER, recall_events.HOLDER, recall_events.SPOT, recall_kinds.SECRET),
    *(recall_kinds.PET_NAME, recall_kinds.FAVORITE, recall_kinds.RELATIVE),
)


class StoryWithFacts(recall.StoryText, Protocol):
    """What conversations need of a story."""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return (question, answer) pairs that the text supports."""


StoryWriter = Callable[[random.Random, tuple[str, ...]], StoryWithFacts]


class Conversation(NamedTuple):
    """A persona line (may be empty) and the exchanges of one conversation."""

    persona: str
    exchanges: tuple[Exchange, ...]


def render(persona: str, exchanges: tuple[Exchange, ...] | list[Exchange]) -> str:
    """Write a conversation as the text that the model learns."""
    lines = [f"System: {persona}"] if persona else []
    for exchange in exchanges:
        lines.append(f"User: {_one_line(exchange.user)}")
        lines.append(f"Assistant: {_one_line(exchange.assistant)}")
    return "\n\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write_conversation(rng: random.Random, story_writer: StoryWriter) -> Conversation:
    """Write one conversation of 1 to 80 turns, most of them short.

    Args:
        rng: Source of chance; the same state gives the same conversation.
        story_writer: Writes a story about wanted subjects.
    """
    writer = _Writer(rng, story_writer, draw_persona(rng))
    if rng.random() < 0.28:
        writer.far_recall(_draw_distance(rng))
    else:
        writer.free_talk(rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6)))
    if writer.has_facts and rng.random() < 0.03:
        writer.everything()
    if writer.turns < _MAX_TURNS and rng.random() < 0.12:
        writer.say("goodbye")
    return Conversation(writer.persona.line, tuple(writer.exchanges))


def ordinary_talk(rng: random.Random, story_writer: StoryWriter) -> str:
    """Write a rendered piece of talk without facts about the user: filler between two facts."""
    writer = _Writer(rng, story_writer, Persona())
    while not writer.exchanges:
        if rng.random() < 0.06:
            writer.story()
        else:
            writer.chatter()
    return render("", writer.exchanges)


def _draw_distance(rng: random.Random) -> int:
    """Draw how many words stand between a fact and its question."""
    return int(rng.uniform(*rng.choices(_DISTANCES, (2, 3, 4, 3, 3))[0]) / _TOKENS_PER_WORD)


class _Writer:
    """Writes one conversation turn by turn and remembers what was told."""

    def __init__(self, rng: random.Random, story_writer: StoryWriter, persona: Persona) -> None:
        self.rng = rng
        self.persona = persona
        self.exchanges: list[Exchange] = []
        self._story_writer = story_writer
        self._known: dict[tuple[str, str], recall.Fact] = {}
        self._asked: set[tuple[str, str]] = set()
        self._last_told: recall.Fact | None = None
        # Told together: each of these is asked for, the first and the last.
        self._promised: list[recall.Fact] = []
        self._said: deque[str] = deque(maxlen=_FRESH_AFTER)
        self._has_story = False
        self._says_name = True

    @property
    def turns(self) -> int:
        return len(self.exchanges)

    @property
    def has_facts(self) -> bool:
        return bool(self._known)

    @property
    def words(self) -> int:
        return len(render("", self.exchanges).split())

    def free_talk(self, turns: int) -> None:
        """Write about `turns` turns of anything."""
        rng = self.rng
        if rng.random() < (0.35 if turns > 1 else 0.08):
            self.say("greeting")
        elif self.persona.is_pip and rng.random() < 0.22:
            self.say(talk.first_topic(rng))
        if not self.persona.is_pip and rng.random() < 0.85:
            self._about_persona()
        moves = (
            *(self.plant, self.ask, self.chatter, self.story),
            *(self.ask_unknown, self.several, self.summary, self.mixed),
        )
        while self.turns < turns:
            if self._promised and rng.random() < 0.3:
                self.ask()
            elif not self.follow():
                rng.choices(moves, (17, 18, 50, 1.8, 3, 5, 3, 7))[0]()
        while self._promised:
            self.ask()
        if rng.random() < 0.5 and self._waiting():
            self.ask()

    def far_recall(self, distance: int) -> None:
        """Tell one or more facts, talk about other things for `distance` words, then ask."""
        rng = self.rng
        if rng.random() < 0.2:
            self.say("greeting")
        for _ in range(rng.choice((1, 1, 1, 2))):
            rng.choices((self.plant, self.several, self.mixed, self.holders), (5, 1, 2, 2))[0]()
        facts = list(self._known.values())
        self._promised.clear()
        # Answers that call users by their names would remind the model.
        self._says_name = rng.random() < 0.3
        start = self.words
        while self.words - start < distance and self.turns < _MAX_TURNS - _LAST_TURNS:
            luck = rng.random()
            if luck < 0.007 and distance - (self.words - start) > 100:
                self.story()
            elif luck < 0.05:
                self.plant()
            elif not self.follow():
                self.chatter()
        facts = [fact for fact in facts if self._known[fact.address] is fact]
        rng.shuffle(facts)
        for fact in facts[: rng.choice((1, 2, 3, 4))]:
            self.ask(fact)

    def say(self, name: str) -> None:
        """Add one exchange of an intent."""
        intent = talk.find_intent(name)
        replies = () if self.persona.is_pip else self.persona.replies(name)
        self._said.append(name)
        for _ in range(8):
            exchange = talk.small_talk(self.rng, intent, self._slots(), replies)
            if self._fits(exchange):
                self.exchanges.append(exchange)
                return

    def follow(self) -> bool:
        """Let the user answer the assistant's question, if there is one; return whether so."""
        if not self.exchanges or self.rng.random() < 0.3:
            return False
        topic = self.exchanges[-1].then
        if not topic:
            short = follow_ups.short_answers(self.rng, self.exchanges[-1].assistant)
            if short is None or self.rng.random() < 0.4:
                return False
            self._add(*short, self._slots())
        elif topic.startswith("tell:"):
            name, _, key = topic.removeprefix("tell:").partition(" ")
            kind = next(kind for kind in recall.KINDS if kind.name == name)
            self.plant(recall.draw_fact(self.rng, kind, key=key or None), short=True)
        elif topic == "fine" and self.rng.random() < 0.25:
            self.say("not fine")
        elif topic == "yes story" and self.rng.random() < 0.7:
            self.say("no")
        elif topic == "yes story":
            self.story(follow_ups.YES_STORY)
        elif topic == "joke":
            self._add(follow_ups.YES_STORY, (self.rng.choice(talk_feelings.JOKES),), {})
        elif topic == "pet does" and self._last_told is not None:
            slots = {**self._last_told.slots(), "H": self.rng.choice(("It", self._last_told.value))}
            self._add(follow_ups.PET_DOES, follow_ups.PET_REPLIES, slots)
        else:
            self.say(topic)
        return True

    def plant(self, fact: recall.Fact | None = None, *, short: bool = False) -> None:
        """Let the user tell a fact; a second one of the same kind and key replaces the first."""
        fact = fact or self._new_fact()
        known = self._known.get(fact.address)
        unchanged = known is not None and (not fact.kind.changes or known.value == fact.value)
        if unchanged or self._clashes(fact.kind):
            self.chatter()
            return
        how: Literal["tells", "short", "changes"] = "short" if short else "tells"
        how = "changes" if known else how
        exchange = recall.tell_and_ask(self.rng, fact, self._slots())
        asked_at_once = how == "tells" and self.rng.random() < 0.07
        for _ in range(0 if asked_at_once else 8):
            exchange = recall.tell(self.rng, fact, self._slots(), how)
            if self._fits(exchange, telling=fact):
                break
        self._known[fact.address] = fact
        self._asked.discard(fact.address)
        self._last_told = fact
        self.exchanges.append(exchange)

    def several(self) -> None:
        """Let the user tell two to four facts at once, of one kind or about the user."""
        rng = self.rng
        if rng.random() < 0.4:
            kinds = rng.sample(recall.ABOUT_THE_USER, rng.choice((2, 2, 3)))
            facts = [recall.draw_fact(rng, kind) for kind in kinds]
        else:
            facts = recall.different_facts(rng, rng.choice(_IN_ROWS), rng.choice((2, 2, 3, 4)))
        facts = self._learn(facts)
        if facts:
            self.exchanges.append(recall.tell_several(rng, facts, self._slots()))

    def mixed(self) -> None:
        """Let the user tell facts of different kinds in one sentence."""
        facts = self._learn(recall_mixed.draw_mixed(self.rng))
        if facts:
            self.exchanges.append(recall_mixed.tell_mixed(self.rng, facts, self._slots()))

    def holders(self) -> None:
        """Let the user tell who has which thing, for two to four people, turn by turn."""
        for fact in recall.different_facts(
            self.rng, recall_events.HOLDER, self.rng.choice((2, 3, 4))
        ):
            self.plant(fact)
            self._promised.append(fact)

    def ask(self, fact: recall.Fact | None = None) -> None:
        """Let the user ask for a fact; without one, for any that was told."""
        if fact is None:
            waiting = self._promised or self._waiting()
            if not waiting:
                self.plant()
                return
            # What was told first may have changed since.
            fact = self._known[self.rng.choice(waiting).address]
        self._promised = [other for other in self._promised if other.address != fact.address]
        self._asked.add(fact.address)
        self.exchanges.append(recall.ask(self.rng, fact, self._slots()))

    def ask_unknown(self) -> None:
        """Let the user ask for something never told."""
        kind = recall.draw_kind(self.rng)
        key = self.rng.choice(kind.keys)
        if (kind.name, key) not in self._known and kind.unknown and not self._clashes(kind):
            self.exchanges.append(recall.ask_unknown(self.rng, kind, key, self._slots()))

    def summary(self) -> None:
        """Let the user ask what was told last, or all that the assistant knows."""
        if self._last_told is not None and self.rng.random() < 0.3:
            self.exchanges.append(recall.ask_last(self.rng, self._last_told, self._slots()))
        else:
            self.everything()

    def everything(self) -> None:
        """Let the user ask for all that was told."""
        known = list(self._known.values())
        about_user = not known or self.rng.random() < 0.6
        ask = recall.ask_everything if about_user else recall.ask_all_told
        self.exchanges.append(ask(self.rng, known, self._slots()))

    def chatter(self) -> None:
        """Add an exchange that tells nothing to remember; adds nothing now and then."""
        luck = self.rng.random()
        if luck < 0.40:
            self.exchanges.append(world_fact(self.rng))
        elif luck < 0.47:
            self.exchanges.append(talk.performance(self.rng, self._slots()))
        elif luck < 0.51:
            self.exchanges.append(recall.repeat(self.rng))
        elif not self.persona.is_pip and luck < 0.77:
            self._about_persona()
        else:
            intents, weights = talk.topics(for_pip=self.persona.is_pip)
            intent = self.rng.choices(intents, weights)[0]
            answered = self.persona.is_pip or self.persona.replies(intent.name)
            out_of_place = not self.exchanges and intent in talk_social.KEEP_TALKING
            unanswered = intent in talk.SELF and not answered
            if not out_of_place and not unanswered and intent.name not in self._said:
                self.say(intent.name)

    def story(self, asks: tuple[str, ...] = ()) -> None:
        """Add a request for a story, the story and often questions about it."""
        rng = self.rng
        wanted: tuple[str, ...] = ()
        about = ""
        if not asks and self._has_story and rng.random() < 0.5:
            asks = follow_ups.STORY_ASKS_AGAIN
        elif not asks and rng.random() < 0.6:
            asks = follow_ups.STORY_ASKS_ABOUT
            wanted, about = follow_ups.story_wish(rng)
        story = self._story_writer(rng, wanted)
        if any(fact.key in story.text for fact in self._known.values() if fact.kind in _IN_STORIES):
            # "Who has the ball?" would have two answers.
            return
        self._has_story = True
        request = rng.choice(asks or follow_ups.STORY_ASKS).replace("{a}", about)
        self.exchanges.append(Exchange(typed(rng, fill(rng, request, {})), _one_line(story.text)))
        if story.facts and rng.random() < 0.5:
            count = min(rng.choice((1, 1, 2, 3)), len(story.facts))
            for question, reply in rng.sample(story.facts, count):
                self.exchanges.append(Exchange(typed(rng, question), reply))

    def _about_persona(self) -> None:
        known = [name for name in talk.SELF_NAMES if self.persona.replies(name)]
        fresh = [name for name in known if name not in self._said]
        if fresh and not self.persona.is_pip:
            self.say(self.rng.choice(fresh))

    def _learn(self, facts: list[recall.Fact]) -> list[recall.Fact]:
        """Keep what is new among the facts, to be asked for, and return it."""
        fresh = [f for f in facts if f.address not in self._known and not self._clashes(f.kind)]
        self._known.update({fact.address: fact for fact in fresh})
        self._promised += fresh
        if fresh:
            self._last_told = fresh[-1]
        return fresh

    def _waiting(self) -> list[recall.Fact]:
        return [fact for address, fact in self._known.items() if address not in self._asked]

    def _clashes(self, kind: FactKind) -> bool:
        return recall.clash(kind, (name for name, _ in self._known))

    def _new_fact(self) -> recall.Fact:
        """Draw a fact: sometimes a new value for one that was told."""
        changeable = [fact for fact in self._known.values() if fact.kind.changes]
        if changeable and self.rng.random() < 0.25:
            old = self.rng.choice(changeable)
            return recall.draw_fact(self.rng, old.kind, key=old.key)
        return recall.draw_fact(self.rng)

    def _slots(self) -> dict[str, str]:
        name = self._known.get(("name", ""))
        said = f", {name.value}" if name and self._says_name else ""
        return {"me": self.persona.name, "you": said}

    def _fits(self, exchange: Exchange, telling: recall.Fact | None = None) -> bool:
        """Return whether an answer neither asks for what is known nor breaks the persona."""
        if exchange.then.startswith("tell:"):
            name, _, key = exchange.then.removeprefix("tell:").partition(" ")
            asked = next(kind for kind in recall.KINDS if kind.name == name)
            known = (name, key) in self._known or self._clashes(asked)
            if known or (telling and telling.address == (name, key)):
                return False
        return self.persona.is_pip or not any(word in exchange.assistant for word in _PIP_ONLY)

    def _add(self, asks: tuple[str, ...], replies: tuple[str, ...], slots: dict[str, str]) -> None:
        user = typed(self.rng, fill(self.rng, self.rng.choice(asks), slots))
        self.exchanges.append(Exchange(user, fill(self.rng, self.rng.choice(replies), slots)))
