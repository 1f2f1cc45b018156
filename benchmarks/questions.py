"""Questions with a right answer that a program can tell: what quality.py asks the model."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass

from rwkv_core.tokenizer import Tokenizer
from rwkv_core.training.corpus import fact_lists, recall, tales, talk, talk_asked, talk_feelings
from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.conversation import ordinary_talk
from rwkv_core.training.corpus.facts import world_fact
from rwkv_core.training.corpus.phrases import Intent, fill, plain, slots_for, wordings
from rwkv_core.training.corpus.recall_kinds import SECRET
from rwkv_core.training.corpus.stories import write_story

# Tokens between a fact and its question: from, up to. The third is the one of 100 tokens.
BINS = ((0, 20), (20, 60), (60, 140), (140, 300), (300, 600), (600, 1000))
# Enough like an intent's own reply to count as one; 1 is the same words.
_LIKENESS = 0.5
_WORDS_PER_TOKEN = 0.75
_TALK_SLOTS = {"me": "Pip", "you": ""}
_SPOTS = {f" {spot}".replace(" my ", " your ")[1:] for spot in parts.SPOTS}
_HOLDING = re.compile(r"\b(has|took|got|gave|with)\b")
_OPENINGS = ("greeting", "goodbye", "nice to meet you")
# Questions with many right answers: a rhyme, a fruit, three animals.
_OPEN_QUESTION = re.compile(
    r"rhym|\b(name|give me|tell me|say|know|name of) (an?|three) ", re.IGNORECASE
)
# Words that make an answer neither right nor wrong.
_EMPTY_WORDS = (
    "a an the is are it they to of in on and that this for we use used at with by from there "
    "called has have was be goes says say answer comes after before than plus minus start starts "
    "begin begins our other nearly"
)
# Wordings that training text does not have. {0} comes from a list, with what is right.
_NEW_WORDINGS: tuple[tuple[str, Sequence[tuple[str, str]]], ...] = (
    (
        "Can you say the word that is opposite to {0}?",
        [(one, other) for one, other in (pair.split() for pair in fact_lists.OPPOSITES)],
    ),
    ("If I look at {0}, what color do I see?", tuple(fact_lists.COLOR_OF.items())),
    ("Which noise comes out of a {0}?", tuple(fact_lists.SOUNDS.items())),
    ("What is {0}'s capital?", tuple(fact_lists.CAPITALS.items())),
    ("Please add {0}.", [(f"{a} and {b}", str(a + b)) for a in range(1, 10) for b in range(1, 10)]),
)


@dataclass(frozen=True)
class Question:
    """A text to answer and how to tell a right answer.

    Attributes:
        group: what figures are split by: a kind of fact, or an intent.
        prompt: text up to and including the last "Assistant:".
        is_right: judges an answer.
        wanted: what a right answer holds or means, for a reader.
        distance_tokens: between the last mention of a fact and the question; 0 without one.
    """

    group: str
    prompt: str
    is_right: Callable[[str], bool]
    wanted: str
    distance_tokens: int = 0


def holds_words(answer: str, needle: str) -> bool:
    """Return whether an answer holds the needle as whole words, in any case."""
    return re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", answer, re.IGNORECASE) is not None


def bin_of(distance_tokens: int) -> int | None:
    """Return the index of the bin that a distance falls in, if any."""
    for index, (low, high) in enumerate(BINS):
        if low <= distance_tokens < high:
            return index
    return None


def kind_told(told: str, needle: str) -> str:
    """Return the kind of fact of a recall case: spot, secret, holder or name.

    Args:
        told: how the user told it.
        needle: the value as an answer gives it.
    """
    if needle in _SPOTS:
        return "spot"
    if any(key in told.lower() for key in SECRET.keys):
        return "secret"
    return "holder" if _HOLDING.search(told) else "name"


def recall_questions(
    rng: random.Random, tokenizer: Tokenizer, per_bin: int
) -> list[list[Question]]:
    """Write questions for planted facts, `per_bin` in each of BINS.

    Cases are left out whose question already holds the answer ("Is my name Olga?"), and those
    in which the talk between happens to hold it: there it would not have to be remembered.
    """
    found: list[list[Question]] = [[] for _ in BINS]
    for index, (low, high) in enumerate(BINS):
        while len(found[index]) < per_bin:
            words = max(0, int(rng.uniform(low - 15, high - 40) * _WORDS_PER_TOKEN))
            case = recall.recall_case(rng, words, lambda rng: ordinary_talk(rng, write_story))
            question = recall_question(case, tokenizer)
            place = bin_of(question.distance_tokens) if question else None
            if question and place is not None and len(found[place]) < per_bin:
                found[place].append(question)
    return found


def recall_question(case: recall.RecallCase, tokenizer: Tokenizer) -> Question | None:
    """Measure and judge a case of the corpus; None where it can be answered without memory."""
    told, _, between = case.text_before_question.partition("\n\nUser: ")
    if holds_words(case.question, case.needle) or holds_words(between, case.needle):
        return None
    mentions = list(re.finditer(re.escape(case.needle), told, re.IGNORECASE))
    end = mentions[-1].end() if mentions else told.index("\n\n")
    return Question(
        kind_told(told.partition("\n\n")[0], case.needle),
        case.prompt,
        lambda answer: holds_words(answer, case.needle),
        case.needle,
        len(tokenizer.encode(case.text_before_question[end:])),
    )


def new_wordings_of_recall(rng: random.Random, per_kind: int) -> Iterator[Question]:
    """Ask at once for a fact just told, in words that training text never has."""
    for kind in recall.KINDS:
        for number in range(per_kind):
            fact = recall.draw_fact(rng, kind)
            told = recall.tell(rng, fact, _TALK_SLOTS)
            pattern = kind.held_out[number % len(kind.held_out)]
            asked = fill(rng, pattern, {**_TALK_SLOTS, **fact.slots()})
            yield Question(
                kind.name,
                f"User: {told.user}\n\nAssistant: {told.assistant}\n\n{_ask(asked)}",
                lambda answer, needle=fact.spoken: holds_words(answer, needle),  # type: ignore[misc]
                fact.spoken,
            )


def new_wordings_of_talk(rng: random.Random) -> Iterator[Question]:
    """Say what people say to Pip in words that training text never has.

    An answer is right when no other intent's reply is more like it, and one of this intent's
    own is like it at all.
    """
    intents = [*talk.topics(for_pip=True)[0], *map(talk.find_intent, _OPENINGS)]
    replies = {intent.name: list(_replies(intent)) for intent in intents}
    for intent in intents:
        for sentence in intent.held_out:
            thing = slots_for(rng.choice(intent.things or ("",)))
            yield Question(
                intent.name,
                _ask(fill(rng, sentence, {**_TALK_SLOTS, **thing})),
                lambda answer, name=intent.name: is_reply_of(answer, name, replies),  # type: ignore[misc]
                intent.replies[0],
            )


def new_wordings_of_performances(rng: random.Random) -> Iterator[Question]:
    """Ask for jokes and poems in words that training text never has."""
    for sentence in talk_feelings.HELD_OUT_JOKE_ASKS:
        yield Question("joke", _ask(sentence), talk_feelings.JOKES.__contains__, "a joke")
    for sentence in talk_asked.HELD_OUT_POEM_ASKS:
        about, poem = rng.choice(tuple(talk_asked.POEMS.items()))
        yield Question("poem", _ask(sentence.format(x=about)), poem.__eq__, poem)


def story_wishes(rng: random.Random, count: int) -> list[Question]:
    """Ask for stories about something; right is one that names it in its first sentences."""
    return [
        Question(
            "story",
            _ask(f"Tell me a story about {wish}."),
            lambda answer, word=word: holds_words(answer, word),  # type: ignore[misc]
            word,
        )
        for word, wish in rng.sample(tuple(tales.wishes().items()), count)
    ]


def is_reply_of(answer: str, name: str, replies: dict[str, list[frozenset[str]]]) -> bool:
    """Return whether an answer is like a reply of one intent, and like no other's more.

    Args:
        answer: what the model said.
        name: of the intent.
        replies: the words of each reply, by intent.
    """
    words = frozenset(plain(answer).split())
    likeness = {key: max(_overlap(words, reply) for reply in replies[key]) for key in replies}
    return likeness[name] >= max(_LIKENESS, *likeness.values())


def world_facts(rng: random.Random, count: int) -> list[Question]:
    """Draw questions about the world as the corpus words them, with one right answer each."""
    free = {reply for _, reply in fact_lists.QUESTIONS}
    found: dict[str, Question] = {}
    while len(found) < count:
        user, reply, _ = astuple(world_fact(rng))
        wanted = wanted_words(user, reply)
        if wanted and reply not in free and not _OPEN_QUESTION.search(user):
            found[user] = _fact_question("as trained", user, wanted)
    return list(found.values())


def new_wordings_of_facts(rng: random.Random, per_wording: int) -> Iterator[Question]:
    """Ask for facts about the world in words that training text never has."""
    for wording, pairs in _NEW_WORDINGS:
        for asked, right in rng.sample(pairs, min(per_wording, len(pairs))):
            yield _fact_question(wording, wording.format(asked), frozenset(plain(right).split()))


def wanted_words(question: str, reply: str) -> frozenset[str]:
    """Return the words that make a reply right: those that the question does not give.

    "Yes" or "no" alone decides where the reply begins so.
    """
    words = plain(reply).split()
    if words[0] in ("yes", "no"):
        return frozenset(words[:1])
    return frozenset(words) - set(_EMPTY_WORDS.split()) - frozenset(plain(question).split())


def _fact_question(group: str, user: str, wanted: frozenset[str]) -> Question:
    return Question(
        group,
        _ask(user),
        lambda answer: wanted <= frozenset(plain(answer).split()),
        " ".join(sorted(wanted)),
    )


def _ask(user: str) -> str:
    return f"User: {user}\n\nAssistant:"


def _replies(intent: Intent) -> Iterator[frozenset[str]]:
    for thing in intent.things or ("",):
        for pattern in intent.replies:
            for wording in wordings(pattern.partition(" >> ")[0]):
                text = wording.format_map({**_TALK_SLOTS, **slots_for(thing)})
                yield frozenset(plain(text).split())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Dice overlap of two sets of words, 0 to 1."""
    return 2 * len(one & other) / max(1, len(one) + len(other))
