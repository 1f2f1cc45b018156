"""Gather everything that small talk is about, and write one exchange of it."""

import functools
import random
from collections.abc import Mapping

from rwkv_core.training.corpus import (
    talk_asked,
    talk_beyond,
    talk_feelings,
    talk_news,
    talk_pip,
    talk_self,
    talk_social,
)
from rwkv_core.training.corpus.phrases import Exchange, Intent, answer, fill, speak, typed

INTENTS: tuple[Intent, ...] = (
    *talk_social.POLITE,
    *talk_social.KEEP_TALKING,
    *talk_self.ABOUT_ME,
    *talk_pip.ABOUT_PIP,
    *talk_asked.ASKED_FIRST,
    *talk_beyond.BEYOND,
    *talk_feelings.FEELINGS,
    *talk_news.NEWS,
    talk_news.NONSENSE,
)
SELF = talk_self.ABOUT_ME
SELF_NAMES = tuple(intent.name for intent in SELF)
# What starts a topic out of nothing; answers such as "fine" only follow their question.
_ONLY_AFTER_A_QUESTION = frozenset(
    {"fine", "not fine", "doing today", "want", "choose", "trouble", "problem"}
)
# Only Pip answers these.
_PIPS = (*talk_pip.ABOUT_PIP, *talk_asked.ASKED_FIRST, *talk_beyond.BEYOND)
# What people say to an assistant that they have just met, the likelier the oftener.
_FIRST = (
    *("what can you do", "what can you do", "your name", "what are you", "how are you", "rwkv"),
    *("about yourself", "unknown", "help", "something", "game", "compliment", "your maker"),
    *("your age", "your home", "your feelings", "advice", "nonsense", "want"),
    *(intent.name for intent in (*talk_asked.ASKED_FIRST, *talk_beyond.BEYOND)),
)
_OPENING_OR_CLOSING = frozenset({"greeting", "goodbye", "nice to meet you"})
# Bad and good news are many different sentences: the more the better they are told apart.
_COMMON = (*talk_self.ABOUT_ME, *talk_news.NEWS)
_RARE = frozenset({"unknown", "sorry", "insult", "why", "rwkv", "game", "not understood", "no"})


@functools.cache
def find_intent(name: str) -> Intent:
    """Return the intent of a name, which must exist."""
    return next(intent for intent in INTENTS if intent.name == name)


def _weight(intent: Intent) -> int:
    if intent is talk_news.NONSENSE:
        # One intent for all that nobody can list.
        return 8
    if intent.name in _RARE:
        return 1
    return 4 if intent in _COMMON or intent in talk_asked.ASKED_FIRST else 3


@functools.cache
def topics(*, for_pip: bool) -> tuple[tuple[Intent, ...], tuple[int, ...]]:
    """Return the intents a user may come up with, and how often each comes.

    Args:
        for_pip: Whether Pip answers; a persona leaves out what only Pip can answer.
    """
    left_out = _ONLY_AFTER_A_QUESTION | _OPENING_OR_CLOSING
    chosen = tuple(
        intent
        for intent in INTENTS
        if intent.name not in left_out and (for_pip or intent not in _PIPS)
    )
    return chosen, tuple(map(_weight, chosen))


def first_topic(rng: random.Random) -> str:
    """Draw the intent that a visitor begins with."""
    return rng.choice(_FIRST)


def performance(rng: random.Random, slots: Mapping[str, str]) -> Exchange:
    """Write a request for a joke and the joke, or one for a poem and the poem."""
    if rng.random() < 0.45:
        user = typed(rng, fill(rng, rng.choice(talk_feelings.JOKE_ASKS), slots))
        return Exchange(user, rng.choice(talk_feelings.JOKES))
    about = rng.choice(tuple(talk_asked.POEMS))
    asks = talk_asked.POEM_ASKS if rng.random() < 0.8 else talk_asked.ANY_POEM_ASKS
    user = typed(rng, fill(rng, rng.choice(asks), {"x": about}))
    return Exchange(user, talk_asked.POEMS[about])


def small_talk(
    rng: random.Random, intent: Intent, slots: Mapping[str, str], replies: tuple[str, ...] = ()
) -> Exchange:
    """Write one exchange of an intent, with a persona's own replies if given."""
    exchange = speak(rng, intent, slots)
    return answer(rng, exchange.user, replies, slots) if replies else exchange
