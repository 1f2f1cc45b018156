"""Stories as answers: a user asks for one about something, and gets a real one or a made one."""

import random
import re

from rwkv_core.training.corpus import follow_ups, story_parts, talk
from rwkv_core.training.corpus.conversation import render
from rwkv_core.training.corpus.phrases import Exchange, fill, typed, with_article
from rwkv_core.training.corpus.stories import write_story

MAX_WORDS = 230
_CHILDREN = ("boy", "girl", "man", "woman", "baby", "mom", "dad")
# Who or what real stories are about, beside what story_parts lists.
_ALONE = (
    *story_parts.FIGURES,
    *("whale", "shark", "fish", "dolphin", "octopus", "crab", "swan", "chicken", "pony", "lamb"),
    *("caterpillar", "ladybug", "bug", "worm", "kitty", "hippo", "bull", "boat", "train", "truck"),
    *("car", "plane", "bus", "ship", "tree", "cloud", "rainbow", "castle", "tower", "house"),
    *("snowman", "birthday", "party", "race", "picnic", "storm", "cave", "nest", "pumpkin"),
    *("game", "song", "treasure", "journey", "machine", "microscope", "piano", "bench", "tent"),
)
# Of which there is one, or which one goes to.
_THE = (
    *("moon", "sun", "sea", "ocean", "beach", "forest", "woods", "farm", "zoo", "circus", "park"),
    *("jungle", "river", "lake", "garden", "school", "market", "playground", "library", "snow"),
    *("rain", "sky", "wind"),
)
_COUNTED = frozenset(
    [name for name, _, _ in story_parts.ANIMALS]
    + [noun for noun, _ in (*story_parts.THINGS, *story_parts.FOODS)]
    + list(_ALONE)
)
# Of a made story the first that names the wish this early is taken.
_TRIES, _EARLY_WORDS = 4, 35
_WORD = re.compile(r"[a-z]+")
_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_NAMED = re.compile(r"\b(\w+) (?:named|called) ([A-Z]\w+)")


def subjects(text: str) -> list[str]:
    """Return what a user would name to get this story, with an article, the most named first.

    Args:
        text: a story. It is about what its first two sentences name and later ones name again: what
            comes late would teach that a wish may be forgotten.
    """
    words = _WORD.findall(text.lower())
    begun = _WORD.findall(" ".join(_SENTENCES.split(text)[:2]).lower())
    known = [word for word in dict.fromkeys(begun) if word in _COUNTED or word in _THE]
    # One mention in a beginning is a setting ("to the park"), no subject.
    chosen = [word for word in known if words.count(word) > 1]
    chosen.sort(key=lambda word: -words.count(word))
    return [_wish(word) for word in chosen]


def wishes() -> dict[str, str]:
    """Return every word that a story may be asked about, and how it is asked for."""
    return {word: _wish(word) for word in sorted((*_COUNTED, *_THE))}


def write_tale(rng: random.Random, text: str) -> str | None:
    """Write a rendered talk in which a user asks for a story and gets this one.

    Args:
        rng: the only source of chance; the same state gives the same talk.
        text: a real story.

    Returns: None for a story that is too long for an answer.
    """
    if len(text.split()) > MAX_WORDS:
        return None
    request = fill(rng, _request(rng, text), {})
    exchanges = [Exchange(typed(rng, request), text)]
    if rng.random() < 0.15:
        opening = talk.find_intent(rng.choice(("greeting", "how are you")))
        exchanges.insert(0, talk.small_talk(rng, opening, {"me": "Pip", "you": ""}))
    if rng.random() < 0.2:
        ending = talk.find_intent(rng.choice(("thanks", "compliment")))
        exchanges.append(talk.small_talk(rng, ending, {"me": "Pip", "you": ""}))
    return render("", exchanges)


def write_wished_tale(rng: random.Random) -> str | None:
    """Write a rendered talk in which a user asks for a story and one made for the wish follows.

    Returns: None where no plot takes what was drawn, or only names it late.
    """
    if rng.random() < 0.4:
        wanted, about = follow_ups.story_wish(rng)
    else:
        word, about = rng.choice(tuple(wishes().items()))
        wanted = (word,)
    try:
        stories = [write_story(rng, wanted).text for _ in range(_TRIES)]
    except ValueError:
        return None
    early = [text for text in stories if wanted[0] in " ".join(text.split()[:_EARLY_WORDS]).lower()]
    if not early:
        return None
    request = rng.choice(follow_ups.STORY_ASKS_ABOUT).replace("{a}", about)
    return render("", [Exchange(typed(rng, fill(rng, request, {})), early[0])])


def _wish(word: str) -> str:
    return f"the {word}" if word in _THE else with_article(word)


def _request(rng: random.Random, text: str) -> str:
    """Ask for what the story is about, or for any where nothing is known of it."""
    about = subjects(text)
    named = _NAMED.search(text)
    is_known = named and (named[1] in _CHILDREN or named[1] in _COUNTED)
    if named and is_known and rng.random() < (0.2 if about else 0.4):
        wish = f"{with_article(named[1])} {rng.choice(('named', 'called'))} {named[2]}"
    elif not about or rng.random() < 0.1:
        return rng.choice(follow_ups.STORY_ASKS)
    else:
        wish = about[0]
        if len(about) > 1 and rng.random() < 0.25:
            wish += f" and {about[1]}"
    return rng.choice(follow_ups.STORY_ASKS_ABOUT).replace("{a}", wish)
