"""Put turns together into conversations in which facts are told, forgotten about and asked for."""

import random
from collections.abc import Callable
from typing import NamedTuple, Protocol

from rwkv_core.training.corpus import recall, recall_events, recall_kinds, talk, talk_feelings
from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.facts import world_fact
from rwkv_core.training.corpus.persona import Persona, draw_persona
from rwkv_core.training.corpus.phrases import Exchange, fill, typed, with_article

_MAX_TURNS = 14
_STORY_ASKS = (
    "(Tell me|Can you tell me|Please tell me|I want to hear|I would like|Write) a (story|short story)(.|, please.)",
    "(Tell|Read) me a (story|bedtime story|new story|nice story)(.|!|, please.)",
    "(Do you know|Do you have) a (story|good story|story for me)?",
    "(A story|Story|A story, please|Story time)(!|.)",
)
_STORY_ASKS_ABOUT = (
    "(Tell me|Can you tell me|Please tell me|I want|Write|Do you know) a (story|short story) about {a}.",
    "(Tell|Read) me a (story|bedtime story|nice story) about {a}(.|, please.)",
    "(A story|Story|I would like to hear a story) about {a}(.|, please.)",
)
_STORY_ASKS_AGAIN = (
    "(Another one|Another story|One more|One more story|Again|More)(.|!|, please.|, please!)",
    "(Tell me|Can you tell me) (another|another story|one more|a different story)(.|, please.)",
)
_YES_STORY = (
    "(Yes|Yes, please|Sure|Okay|Oh yes|Please do|Yes, tell me)(.|!)",
    "I would (like|love) that(.|!)",
)
_PET_DOES = (
    "{H} (likes|loves) to (run|play|sleep|eat|jump|hide|swim|sit on my bed|play with a ball)(.|!)",
    "{H} (sleeps|plays|eats|runs around) (all day|a lot|in the garden)(.|!)",
    "{H} (is very|is so) (funny|lazy|small|big|fast|sweet|clever)(.|!)",
)
_PET_REPLIES = (
    "That is (so |)(funny|cute|nice)! I like {x}.",
    "{x} sounds like a good friend.",
    "How nice! I would like to (see that|meet {x}).",
    "I think {x} is happy with you.",
)
# What only Pip can say, in answers that a persona would otherwise share.
_PIP_ONLY = (
    *("computer", "cannot eat", "no hands", "tiny", "small", "cannot do", "my years", "younger"),
    *("Pip", "model", "program", "learning", "stories", "like me", "my fox", "I can tell"),
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
    """Write one conversation of 1 to 14 turns.

    Args:
        rng: Source of chance; the same state gives the same conversation.
        story_writer: Writes a story about wanted subjects.
    """
    writer = _Writer(rng, story_writer)
    if rng.random() < 0.13:
        writer.far_recall(_draw_distance(rng))
    else:
        writer.free_talk(rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 10)))
    if writer.turns < _MAX_TURNS and rng.random() < 0.12:
        writer.say("goodbye")
    return Conversation(writer.persona.line, tuple(writer.exchanges))


def ordinary_talk(rng: random.Random, story_writer: StoryWriter) -> str:
    """Write a rendered piece of talk without facts about the user: filler between two facts."""
    writer = _Writer(rng, story_writer, Persona())
    if rng.random() < 0.3:
        writer.story()
    else:
        writer.chatter()
    return render("", writer.exchanges)


def _draw_distance(rng: random.Random) -> int:
    """Draw how many words stand between a fact and its question: mostly few, up to 700."""
    return rng.randrange(20, 200) if rng.random() < 0.5 else rng.randrange(150, 700)


class _Writer:
    """Writes one conversation turn by turn and remembers what was told."""

    def __init__(
        self, rng: random.Random, story_writer: StoryWriter, persona: Persona | None = None
    ) -> None:
        self.rng = rng
        self.persona = persona or draw_persona(rng)
        self.exchanges: list[Exchange] = []
        self._story_writer = story_writer
        self._known: dict[tuple[str, str], recall.Fact] = {}
        self._asked: set[tuple[str, str]] = set()
        self._said: set[str] = set()
        self._story: StoryWithFacts | None = None

    @property
    def turns(self) -> int:
        return len(self.exchanges)

    @property
    def words(self) -> int:
        return sum(len(turn.user.split()) + len(turn.assistant.split()) for turn in self.exchanges)

    def free_talk(self, turns: int) -> None:
        """Write about `turns` turns of anything."""
        rng = self.rng
        if turns > 1 and rng.random() < 0.35 or turns == 1 and rng.random() < 0.08:
            self.say("greeting")
        if not self.persona.is_pip and rng.random() < 0.85:
            self._about_me()
        moves = (self.plant, self.ask, self.chatter, self.story, self.ask_unknown, self.several)
        while self.turns < turns:
            if not self.follow():
                rng.choices(moves, (20, 22, 48, 4, 4, 4))[0]()
        waiting = [fact for address, fact in self._known.items() if address not in self._asked]
        if waiting and rng.random() < 0.5:
            self.ask(rng.choice(waiting))

    def far_recall(self, distance: int) -> None:
        """Tell one or more facts, talk about other things for `distance` words, then ask."""
        rng = self.rng
        if rng.random() < 0.3:
            self.say("greeting")
        for _ in range(rng.choice((1, 1, 2, 3))):
            rng.choices((self.plant, self.several), (5, 1))[0]()
        facts = list(self._known.values())
        start = self.words
        while self.words - start < distance and self.turns < _MAX_TURNS - 5:
            missing = distance - (self.words - start)
            if missing > 100 or (missing > 60 and rng.random() < 0.3):
                self.story()
            elif not self.follow():
                self.chatter()
        facts = [fact for fact in facts if self._known[fact.address] is fact]
        rng.shuffle(facts)
        for fact in facts[: rng.choice((1, 1, 2))]:
            self.ask(fact)

    def say(self, name: str) -> None:
        """Add one exchange of an intent."""
        intent = talk.find_intent(name)
        replies = () if self.persona.is_pip else self.persona.replies(name)
        self._said.add(name)
        for _ in range(8):
            exchange = talk.small_talk(self.rng, intent, self._slots(), replies)
            if self._fits(exchange):
                self.exchanges.append(exchange)
                return

    def follow(self) -> bool:
        """Let the user answer the assistant's question, if there is one; return whether so."""
        topic = self.exchanges[-1].then if self.exchanges else ""
        if not topic or self.rng.random() < 0.3:
            return False
        if topic.startswith("tell:"):
            name, _, key = topic.removeprefix("tell:").partition(" ")
            kind = next(kind for kind in recall.KINDS if kind.name == name)
            self.plant(recall.draw_fact(self.rng, kind, key=key or None), short=True)
        elif topic == "yes story":
            self.story(_YES_STORY)
        elif topic == "joke":
            self._add(_YES_STORY, (self.rng.choice(talk_feelings.JOKES),), {})
        elif topic == "pet does":
            pet = next(f for f in reversed(self._known.values()) if f.kind is recall_kinds.PET_NAME)
            self._add(
                _PET_DOES, _PET_REPLIES, {"x": pet.value, "H": self.rng.choice(("It", pet.value))}
            )
        else:
            self.say(topic)
        return True

    def plant(self, fact: recall.Fact | None = None, *, short: bool = False) -> None:
        """Let the user tell a fact; a second one of the same kind and key replaces the first."""
        fact = fact or self._new_fact()
        known = self._known.get(fact.address)
        if known is not None and (not fact.kind.changes or known.value == fact.value):
            self.chatter()
            return
        how = "changes" if known else "short" if short else "tells"
        for _ in range(8):
            exchange = recall.tell(self.rng, fact, self._slots(), how)  # type: ignore[arg-type]
            if self._fits(exchange, telling=fact):
                break
        self._known[fact.address] = fact
        self._asked.discard(fact.address)
        self.exchanges.append(exchange)

    def several(self) -> None:
        """Let the user tell two to four facts of one kind at once."""
        kinds = (recall_events.HOLDER, recall_events.SPOT, recall_kinds.SECRET)
        kind = self.rng.choice(
            (*kinds, recall_events.HOLDER, recall_kinds.PET_NAME, recall_kinds.FAVORITE)
        )
        facts = recall.different_facts(self.rng, kind, self.rng.choice((2, 2, 3, 4)))
        facts = [fact for fact in facts if fact.address not in self._known]
        if facts:
            self.exchanges.append(recall.tell_several(self.rng, facts, self._slots()))
            self._known.update({fact.address: fact for fact in facts})

    def ask(self, fact: recall.Fact | None = None) -> None:
        """Let the user ask for a fact; without one, for any that was told."""
        if fact is None:
            waiting = [f for address, f in self._known.items() if address not in self._asked]
            if not waiting:
                self.plant()
                return
            fact = self.rng.choice(waiting)
        self._asked.add(fact.address)
        self.exchanges.append(recall.ask(self.rng, fact, self._slots()))

    def ask_unknown(self) -> None:
        """Let the user ask for something never told."""
        kind = recall.draw_kind(self.rng)
        key = self.rng.choice(kind.keys)
        if (kind.name, key) not in self._known and kind.unknown:
            self.exchanges.append(recall.ask_unknown(self.rng, kind, key, self._slots()))

    def chatter(self) -> None:
        """Add an exchange that tells nothing to remember."""
        luck = self.rng.random()
        if luck < 0.3:
            self.exchanges.append(world_fact(self.rng))
        elif luck < 0.38:
            self.exchanges.append(talk.joke(self.rng, self._slots()))
        elif not self.persona.is_pip and luck < 0.75:
            self._about_me()
        else:
            intents, weights = talk.topics(for_pip=self.persona.is_pip)
            intent = self.rng.choices(intents, weights)[0]
            silent = not self.persona.is_pip and not self.persona.replies(intent.name)
            if intent.name not in self._said and not (silent and intent in talk.SELF):
                self.say(intent.name)

    def story(self, asks: tuple[str, ...] = ()) -> None:
        """Add a request for a story, the story and often questions about it."""
        rng = self.rng
        wanted: tuple[str, ...] = ()
        if not asks and self._story is not None and rng.random() < 0.5:
            asks = _STORY_ASKS_AGAIN
        elif not asks and rng.random() < 0.6:
            asks, wanted = _STORY_ASKS_ABOUT, self._wanted()
        story = self._story_writer(rng, wanted)
        self._story = story
        about = " and ".join(_with_article_unless_name(word) for word in wanted)
        user = typed(rng, fill(rng, rng.choice(asks or _STORY_ASKS), {"a": about}))
        self.exchanges.append(Exchange(user, _one_line(story.text)))
        if story.facts and rng.random() < 0.5:
            count = min(rng.choice((1, 1, 2, 3)), len(story.facts))
            for question, reply in rng.sample(story.facts, count):
                self.exchanges.append(Exchange(typed(rng, question), reply))

    def _wanted(self) -> tuple[str, ...]:
        subjects = (*parts.STORY_HEROES, *parts.STORY_HEROES, *parts.STORY_THINGS)
        first = self.rng.choice(subjects)
        if self.rng.random() < 0.5:
            return (first,)
        return (first, self.rng.choice([word for word in parts.STORY_THINGS if word != first]))

    def _about_me(self) -> None:
        told = [name for name in talk.SELF_NAMES if self.persona.replies(name)]
        fresh = [name for name in told if name not in self._said]
        if fresh and not self.persona.is_pip:
            self.say(self.rng.choice(fresh))

    def _new_fact(self) -> recall.Fact:
        """Draw a fact: sometimes a new value for one that was told."""
        changeable = [fact for fact in self._known.values() if fact.kind.changes]
        if changeable and self.rng.random() < 0.25:
            old = self.rng.choice(changeable)
            return recall.draw_fact(self.rng, old.kind, key=old.key)
        return recall.draw_fact(self.rng)

    def _slots(self) -> dict[str, str]:
        name = self._known.get(("name", ""))
        return {"me": self.persona.name, "you": f", {name.value}" if name else ""}

    def _fits(self, exchange: Exchange, telling: recall.Fact | None = None) -> bool:
        """Return whether an answer neither asks for what is known nor breaks the persona."""
        if exchange.then.startswith("tell:"):
            name, _, key = exchange.then.removeprefix("tell:").partition(" ")
            if (name, key) in self._known:
                return False
            if telling is not None and telling.address == (name, key):
                return False
        if self.persona.is_pip:
            return True
        return not any(word in exchange.assistant for word in _PIP_ONLY)

    def _add(self, asks: tuple[str, ...], replies: tuple[str, ...], slots: dict[str, str]) -> None:
        user = typed(self.rng, fill(self.rng, self.rng.choice(asks), slots))
        self.exchanges.append(Exchange(user, fill(self.rng, self.rng.choice(replies), slots)))


def _with_article_unless_name(word: str) -> str:
    return word if word[0].isupper() else with_article(word)
