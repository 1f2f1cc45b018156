"""Rewrite real TinyStories consistently, so that every pass over a story differs a little.

Names change within their gender, by their frequency in the original stories; colours and a few
interchangeable nouns change within their class, and only where nothing in the story hangs on
them. Two characters never get one name.
"""

import random
import re

from rwkv_core.training.corpus.story_parts import BOY_NAMES, GIRL_NAMES, PET_NAMES, Weighted

# Words that are no sure sign of a name at the start of a sentence.
_NOT_NAMES = frozenset(
    [
        "Dot",
        "Dash",
        "Chip",
        "Patch",
        "Scout",
        "Boots",
        "Bubbles",
        "Lucky",
        "Ray",
        "Ivy",
        "Holly",
        "Penny",
        "Ruby",
        "Biscuit",
        "Peanut",
        "Waffles",
        "Wiggles",
        "Nibbles",
        "Dusty",
        "Fuzzy",
        "Tippy",
        "Rob",
        "Robin",
        "Dora",
        "Coco",
        "Frank",
    ]
)
_COLORS = ("red", "blue", "green", "yellow", "pink", "purple")
# What may have any colour; a colour word before anything else keeps the whole colour as it is.
_PAINTABLE = (
    "ball|car|truck|train|hat|cap|dress|shirt|coat|scarf|kite|balloon|bike|boat|box|book|bag|cup|"
    "bow|ribbon|doll|block|toy|umbrella|sweater|skirt|crayon|paint|pencil|pen|house|door|"
    "blanket|pillow|ring|button|bus|robot|chair|bucket|marble|slide|swing|candy|candle|cape|vase|"
    "lamp|basket|bowl|plane|scooter|wagon|jacket|shoe|sock|boot|mitten|helmet|flag|tent|jar|gem|"
    "bird|butterfly|fish|flower"
)
# (interchangeable nouns as singular/plural, words that tie a story to one of them)
_CLASSES: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = (
    ((("dog", "dogs"), ("cat", "cats"), ("fox", "foxes"), ("pig", "pigs"), ("goat", "goats"),
      ("sheep", "sheep"), ("rabbit", "rabbits"), ("bear", "bears"), ("monkey", "monkeys")),
     r"bark|woof|meow|purr|hop|fly|flew|wing|swim|swam|roar|growl|chas|bone|carrot|honey|nest|tail|"
     r"squeak|fur|paw|bit[et]|wag|trunk|climb|nut|cheese|milk|leash|collar|\bpet|pupp|kitten|"
     r"scratch|claw|sniff|oink|mud|banana|swing|teddy|hot dog|bunn|teeth|hunt|mouse|mice|bad|mean|"
     r"wool|farm|\bvet\b|fetch|lick|dig|dug|fierce|wild|scar|eat him|catch|caught|zoo|toy"),
    ((("bunny", "bunnies"), ("rabbit", "rabbits")), r"toy|dust"),
    ((("apple", "apples"), ("pear", "pears"), ("peach", "peaches"), ("mango", "mangoes")),
     r"pie|juice|core|worm|red|green|yellow|doctor|teacher|orange|pine"),
    ((("cookie", "cookies"), ("muffin", "muffins"), ("donut", "donuts"), ("cupcake", "cupcakes")),
     r"dough|jar|chip|crumb|cake|ginger|bit[et]|batter|frosting"),
    ((("car", "cars"), ("truck", "trucks"), ("bus", "buses")),
     r"driv|drove|rac|police|fire|garage|bus stop|school|passenger|wash|seat|load|station|"
     r"bus driver|park|ride|rode"),
    ((("gem", "gems"), ("jewel", "jewels"), ("diamond", "diamonds"), ("crystal", "crystals")), r"ring"),
    ((("lake", "lakes"), ("pond", "ponds"), ("river", "rivers")), r"flow|bridge|bank|across|boat|current"),
    ((("shop", "shops"), ("store", "stores")), r"toy s|stored|pet s|shopp|shopk|storek"),
    ((("coat", "coats"), ("sweater", "sweaters"), ("jacket", "jackets")), r"coat of|fur|rain|knit"),
    ((("doll", "dolls"), ("puppet", "puppets")), r"hous|string|dress|hair|finger|show"),
    ((("bowl", "bowls"), ("pot", "pots")), r"cook|soup|plant|flower|fish|cereal|boil|stove|bowling"),
)  # fmt: skip


def vary_story(text: str, rng: random.Random) -> str:
    """Return the story with other names, and sometimes other colours and nouns.

    Every occurrence of a word changes the same way. A story without a known name, free colour
    or free noun comes back unchanged.

    Args:
        text: a story in TinyStories' style.
        rng: the only source of chance; the same state gives the same text.
    """
    swaps = _name_swaps(text, rng)
    if rng.random() < 0.5:
        swaps.update(_color_swaps(text, rng))
    swaps.update(_noun_swaps(text, rng))
    swaps = {old: new for old, new in swaps.items() if old != new}
    if not swaps:
        return text
    words = "|".join(sorted(map(re.escape, swaps), key=len, reverse=True))

    def replace(match: re.Match[str]) -> str:
        article, word = match[1], swaps[match[2]]
        if article is None:
            return word
        an = "n" if word[0] in "aeioAEIO" else ""
        return f"{article[0]}{an} {word}"

    return re.sub(rf"\b([Aa]n? )?({words})\b", replace, text)


def _name_swaps(text: str, rng: random.Random) -> dict[str, str]:
    pools = (BOY_NAMES, GIRL_NAMES, PET_NAMES)
    known = {name: pool for pool in reversed(pools) for name, _ in pool}
    capitals = set(re.findall(r"\b[A-Z][a-z]+\b", text))
    names = sorted(capitals & known.keys() - _NOT_NAMES)
    names = [name for name in names if _is_free(name, capitals, text)]
    taken = capitals - set(names)
    swaps = {}
    for name in names:
        pool = _pool_by_pronouns(name, capitals, text, known[name])
        new = _draw(pool, taken, rng)
        taken.add(new)
        swaps[name] = new
    return swaps


def _is_free(name: str, capitals: set[str], text: str) -> bool:
    """Tell whether the name can change: no nickname of another and never shouted or spelt."""
    alike = any(
        other != name and (other.startswith(name) or name.startswith(other))
        for other in capitals
        if len(other) > 2
    )
    return not alike and name.upper() not in text and f"{name}-" not in text


def _pool_by_pronouns(name: str, capitals: set[str], text: str, pool: Weighted) -> Weighted:
    """Correct the listed gender where the story clearly says otherwise (a cat named Tim, she)."""
    if pool is PET_NAMES:
        return pool
    others = "|".join(sorted(capitals - {name}))
    he = she = 0
    for sentence in re.split(r"[.!?]", text):
        # Capitals that begin the sentence are no names but for the few that are in the lists.
        if name in sentence and not re.search(rf"[a-z,] (?:{others})\b|\bmom\b", sentence):
            he += len(re.findall(r"\b(?:he|his|him|boy)\b", sentence))
            she += len(re.findall(r"\b(?:she|her|girl)\b", sentence))
    if pool is BOY_NAMES and she > 1 and he == 0:
        return GIRL_NAMES
    if pool is GIRL_NAMES and he > 1 and she == 0:
        return BOY_NAMES
    return pool


def _draw(pool: Weighted, taken: set[str], rng: random.Random) -> str:
    left = [(name, weight) for name, weight in pool if name not in taken]
    return rng.choices([name for name, _ in left], [weight for _, weight in left])[0]


def _color_swaps(text: str, rng: random.Random) -> dict[str, str]:
    present = [color for color in _COLORS if re.search(rf"\b{color}", text, re.IGNORECASE)]
    free = [
        color
        for color in present
        if len(re.findall(rf"\b{color} (?:toy )?(?:{_PAINTABLE})(?:e?s)?\b", text))
        == len(re.findall(color, text, re.IGNORECASE))
    ]
    targets = [color for color in _COLORS if color not in present or color in free]
    return dict(zip(free, rng.sample(targets, len(free)), strict=True))


def _noun_swaps(text: str, rng: random.Random) -> dict[str, str]:
    swaps: dict[str, str] = {}
    for nouns, ties in _CLASSES:
        present = [pair for pair in nouns if re.search(rf"\b{pair[0]}", text, re.IGNORECASE)]
        if not present or rng.random() < 0.5 or any(pair[0] in swaps for pair in present):
            continue
        if re.search(ties, text, re.IGNORECASE) or _is_a_name(present, text):
            continue
        for pair, new in zip(present, rng.sample(nouns, len(present)), strict=True):
            for old_form, new_form in zip(pair, new, strict=True):
                swaps[old_form] = new_form
                swaps[old_form.capitalize()] = new_form.capitalize()
    return swaps


def _is_a_name(pairs: list[tuple[str, str]], text: str) -> bool:
    """Tell whether a noun stands with a capital inside a sentence, like "Mr. Dog"."""
    return any(re.search(rf"(?:[a-z,]|Mrs?\.) {noun.capitalize()}", text) for noun, _ in pairs)
