"""Write short stories in TinyStories' style that keep track of who does and holds what.

A story is a plot (`story_plots.py`) told with one cast: every slot of the plot's forms is drawn
once, so that names, pronouns, owners and places agree from the first sentence to the last.

Slots: H hero and F friend, with he/his/him and fhe/fhis/fhim (capital: He, Fhe); mom a parent
with mhe/mhis/mhim; t the thing, ct the thing with an adjective; a a small animal; place, inp
"in the park", toplace "to the park"; spot, spot2, spot3 three different spots; use/using/used
what one does with the thing; Start "One day, Tim"; pal and newF bring the friend in.
"""

import random
import re
from dataclasses import dataclass

from rwkv_core.training.corpus import story_parts as parts
from rwkv_core.training.corpus.story_plots import BAKE, HIGH, HURT, LOST, NOISE, SHARE, Plot
from rwkv_core.training.corpus.story_plots_lessons import LESSON_PLOTS
from rwkv_core.training.corpus.story_plots_more import MORE_PLOTS
from rwkv_core.training.corpus.story_style import (
    join_sentences,
    pick_form,
    polish,
    turn_speakers,
)

PLOTS: tuple[Plot, ...] = (LOST, SHARE, NOISE, HURT, BAKE, HIGH, *MORE_PLOTS, *LESSON_PLOTS)
MIN_WORDS, MAX_WORDS = 80, 220
_CHILD_KINDS = ("boy", "girl")
_PRONOUNS = {"m": ("he", "his", "him"), "f": ("she", "her", "her")}
_PARENTS = (("mom", "f", 12), ("dad", "m", 4), ("grandma", "f", 2), ("grandpa", "m", 1))


@dataclass(frozen=True)
class Story:
    """One generated story.

    Attributes:
        text: 80 to 220 words; paragraphs stand apart by an empty line.
        subjects: words for what the story is about, the hero's kind first.
        facts: (question, answer) pairs that the text supports.
    """

    text: str
    subjects: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Wish:
    """The wanted words, sorted by the role they can play."""

    heroes: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[str, ...]
    things: tuple[str, ...]


def write_story(rng: random.Random, wanted: tuple[str, ...] = ()) -> Story:
    """Write one story.

    Args:
        rng: the only source of chance; the same state gives the same story.
        wanted: at most three words that the story must be about: kinds of hero ("dog", "girl"),
            a name, things, foods or places. Unknown words are taken as things.

    Raises:
        ValueError: no plot takes the wanted words together; leave one out.
    """
    wish = _sort_wanted(wanted)
    for _ in range(300):
        plots = _fitting_plots(wish)
        if not plots:
            break
        story = _tell(rng, rng.choice(plots), wish)
        if MIN_WORDS <= len(story.text.split()) <= MAX_WORDS and _is_about(story.text, wanted):
            return story
    raise ValueError(f"no plot takes {wanted} together; leave out one of the words")


def _sort_wanted(wanted: tuple[str, ...]) -> _Wish:
    kinds = {*(name for name, _, _ in parts.ANIMALS), *_CHILD_KINDS, *parts.FIGURES}
    places = {name for name, _ in (*parts.PLACES, *parts.CHILD_PLACES)}
    names = tuple(word for word in wanted if word[0].isupper())
    rest = tuple(word for word in wanted if not word[0].isupper())
    return _Wish(
        heroes=tuple(word for word in rest if word in kinds),
        names=names,
        places=tuple(word for word in rest if word in places),
        things=tuple(word for word in rest if word not in kinds and word not in places),
    )


def _is_about(text: str, wanted: tuple[str, ...]) -> bool:
    return all(re.search(rf"\b{re.escape(word)}(?:e?s)?\b", text) for word in wanted)


def _fitting_plots(wish: _Wish) -> list[Plot]:
    if len(wish.things) > 2:
        return []
    if len(wish.things) == 2:
        return [plot for plot in PLOTS if plot.thing == "two"]
    plots = list(PLOTS)
    for noun in wish.things:
        known = any(noun in nouns for nouns in parts.THING_CLASSES.values())
        plots = [
            plot
            for plot in plots
            if noun in parts.THING_CLASSES[plot.thing]
            or (plot.thing in ("any", "two") and not known)
        ]
    if wish.things:
        plots = [plot for plot in plots if plot.thing != "none"]
    return plots


def _tell(rng: random.Random, plot: Plot, wish: _Wish) -> Story:
    slots = _cast(rng, plot, wish)
    slots.update(_thing(rng, plot, wish))
    slots.update(_setting(rng, plot, wish, slots))
    intro = "" if plot.hero == "pair" else _open(rng, slots)
    pieces = [intro]
    for beat in plot.beats:
        if beat == ("|",):
            pieces.append("|")
        elif beat[0] != "?":
            pieces.append(pick_form(rng, beat))
        elif rng.random() < 0.5:
            pieces.append(pick_form(rng, beat[1:]))
    pieces.extend(_close(rng, plot))
    told = join_sentences(rng, " ".join(piece for piece in pieces if piece))
    text = turn_speakers(rng, polish(told.format_map(slots)), slots)
    facts = tuple(
        (polish(question.format_map(slots)), polish(answer.format_map(slots)))
        for question, answer, proof in (
            *plot.facts,
            *_common_facts(slots, is_pair=plot.hero == "pair"),
        )
        if proof.format_map(slots) in text
    )
    subjects = [slots["kind"]]
    for noun in (slots["t"], slots["a"], slots["fkind"], slots["place"]):
        if noun and noun not in subjects and len(re.findall(rf"\b{noun}\b", text)) >= 2:
            subjects.append(noun)
    return Story(text, tuple(subjects), facts)


def _weighted(rng: random.Random, pairs: parts.Weighted) -> str:
    return rng.choices([name for name, _ in pairs], [weight for _, weight in pairs])[0]


def _draw_name(rng: random.Random, gender: str, is_animal: bool, taken: str = "") -> str:
    pools = {"m": parts.BOY_NAMES, "f": parts.GIRL_NAMES}
    pool = parts.PET_NAMES if is_animal and rng.random() < 0.5 else pools[gender]
    if rng.random() < 0.25:
        # One name in four ignores the weights: names are to be copied, not guessed.
        pool = tuple((name, 1) for name, _ in pool)
    while (name := _weighted(rng, pool)) == taken:
        pass
    return name


def _draw_animal(rng: random.Random) -> str:
    return rng.choices([a for a, _, _ in parts.ANIMALS], [w for _, _, w in parts.ANIMALS])[0]


def _person(prefix: str, gender: str) -> dict[str, str]:
    he, his, him = _PRONOUNS[gender]
    words = {"he": he, "his": his, "him": him}
    return {prefix + key: word for key, word in words.items()} | {
        (prefix + key).capitalize(): word.capitalize() for key, word in words.items()
    }


def _gender(kind: str) -> str:
    """Say whether a kind of hero is always "m" or "f"; empty where it can be either."""
    return {"boy": "m", "girl": "f", **parts.FIGURES}.get(kind, "")


def _cast(rng: random.Random, plot: Plot, wish: _Wish) -> dict[str, str]:
    """Draw hero, friend and parent."""
    is_animal = plot.hero == "any" and rng.random() < 0.3
    gender, friend_gender = rng.choice("mf"), rng.choice("mf")
    kind = _draw_animal(rng) if is_animal else ("boy" if gender == "m" else "girl")
    if wish.heroes:
        kind = wish.heroes[0]
        is_animal = kind not in _CHILD_KINDS and kind not in parts.FIGURES
        gender = _gender(kind) or gender
    friend_is_animal = is_animal or (plot.hero == "any" and rng.random() < 0.15)
    fkind = "boy" if friend_gender == "m" else "girl"
    if friend_is_animal:
        while (fkind := _draw_animal(rng)) == kind:
            pass
    if len(wish.heroes) > 1:
        fkind = wish.heroes[1]
        friend_is_animal = fkind not in _CHILD_KINDS and fkind not in parts.FIGURES
        friend_gender = _gender(fkind) or friend_gender
    hero = wish.names[0] if wish.names else _draw_name(rng, gender, is_animal)
    if wish.names and hero in dict(parts.GIRL_NAMES) and not wish.heroes:
        gender, kind, is_animal = "f", "girl", False
    elif wish.names and hero in dict(parts.BOY_NAMES) and not wish.heroes:
        gender, kind, is_animal = "m", "boy", False
    friend = _draw_name(rng, friend_gender, friend_is_animal, hero)
    parent, parent_gender, _ = rng.choices(_PARENTS, [weight for _, _, weight in _PARENTS])[0]
    size = rng.choice(("big ", "small ", "little ", "", "", "nice ", "wise old ", "kind "))
    child = rng.choice((f"a {fkind}", f"a little {fkind}", f"a {fkind}"))
    slots = {
        "H": hero, "kind": kind, "F": friend, "fkind": fkind, "mom": parent, "mom2": parent,
        "Mom": parent.capitalize(), "is_animal": "y" if is_animal else "",
        "newF": f"a {size}{fkind} named {friend}" if friend_is_animal else f"{child} named {friend}",
        "pal": f"{hero}'s friend, a {fkind} named {friend}," if friend_is_animal
        else f"{hero}'s friend {friend}",
    }  # fmt: skip
    people = _person("", gender) | _person("f", friend_gender) | _person("m", parent_gender)
    return slots | people


def _thing(rng: random.Random, plot: Plot, wish: _Wish) -> dict[str, str]:
    """Draw the thing, its adjective and what one does with it."""
    uses = dict(parts.THINGS)
    foods = dict(parts.FOODS) | dict(parts.FRUITS)
    noun = rng.choice(parts.THING_CLASSES[plot.thing])
    if wish.things:
        noun = wish.things[0]
    use = "eat" if noun in foods else uses.get(noun, "look at")
    second = rng.choice(parts.THINGS)[0]
    food, plural = rng.choice(parts.FOODS)
    if len(wish.things) > 1:
        second = wish.things[1]
    while second == noun or second in ("key", "box"):
        second = rng.choice(parts.THINGS)[0]
    color = rng.choice(parts.COLORS) if rng.random() < 0.5 else ""
    if use == "eat":
        adjective = rng.choice(("big", "yummy", "tasty", "sweet", "delicious", "small", "nice"))
        color = ""
    else:
        adjective = color or rng.choice(parts.THING_ADJECTIVES)
    past, gerund = parts.VERBS[use]
    return {
        "t": noun, "ct": f"{adjective} {noun}", "color": color, "use": use, "used": past,
        "using": gerund, "t2": second, "ts": foods.get(noun, noun + "s"),
        "food": food, "foods": plural, "foods2": rng.choice(parts.FRUITS)[1],
        "color2": rng.choice(("big", "round", "ripe", "pretty", "sweet", "fresh")),
        "tastyadj": rng.choice(("yummy", "tasty", "delicious", "sweet", "yummy")),
    }  # fmt: skip


def _setting(rng: random.Random, plot: Plot, wish: _Wish, slots: dict[str, str]) -> dict[str, str]:
    """Draw places, spots, the small animal, feelings and single words."""
    places = parts.PLACES if slots["is_animal"] else parts.CHILD_PLACES
    if plot.place == "outside":
        places = parts.PLACES
    elif plot.place == "wild":
        places = parts.WILD_PLACES
    place, preposition = rng.choice(places)
    if wish.places:
        place = wish.places[0]
        preposition = dict((*parts.PLACES, *parts.CHILD_PLACES))[place]
    indoors = place in ("store", "library", "school", "market")
    outside = tuple(parts.OUTSIDE_SPOTS)
    if indoors:
        outside = ("under a table", "behind the door", "under a chair", "on a shelf", "in a box",
                   "behind a plant", "in a corner", "next to the window")  # fmt: skip
    spots = rng.sample(outside, 3)
    inside = rng.sample(parts.INSIDE_SPOTS, 2)
    animals = [a for a in parts.SMALL_ANIMALS if a not in (slots["kind"], slots["fkind"])]
    love = rng.choice(parts.LOVES if slots["is_animal"] else parts.LOVES + parts.CHILD_LOVES)
    pick = rng.choice
    naughty, why, trouble = pick(parts.NAUGHTY)
    words = {slot: pick(choices) for slot, choices in parts.SINGLE_WORDS.items()}
    thief, excuse = pick([t for t in parts.THIEVES if t[0] not in (slots["kind"], slots["fkind"])])
    return words | {
        "naughty": naughty, "why": why, "trouble": trouble.format_map(slots), "thief": thief,
        "excuse": excuse, "keyspot": pick(parts.KEY_SPOTS), "shelter": pick(parts.SHELTERS),
        "over": pick(("over the hill", "through the trees", "along the path", "past the pond",
                      "over a small bridge", "through a field of flowers", "around the big rock")),
        "glue": pick(("glue", "tape", "strong glue", "sticky tape", "string")),
        "age": pick(("four", "five", "six", "seven")),
        "boxadj": pick(("big", "small", "secret", "old", "brown", "wooden", "mysterious", "strange",
                        "dusty", "heavy", "metal", "hidden")),
        "place": place, "inp": f"{preposition} the {place}", "toplace": f"to the {place}",
        "spot": spots[0], "spot2": spots[1], "spot3": spots[2], "room": inside[0],
        "room2": inside[1], "near": pick(("the trees", "behind a bush", "somewhere close")),
        "a": pick(animals), "love": love.format_map(slots), "good": pick(parts.FEELINGS_GOOD),
        "bad": pick(parts.FEELINGS_BAD), "time": pick(parts.TIMES),
        "adj": pick(parts.HERO_ADJECTIVES), "adj2": pick(("small", "shiny", "strange", "bright")),
        "scary": pick(("scary", "strange", "loud", "funny", "weird", "soft", "spooky")),
        "tiny": pick(("tiny", "little", "small", "baby")),
        "stuckhow": pick(("stuck in a hole", "stuck in some mud", "caught in a net",
                          "stuck under a branch", "stuck between two stones", "tied up in an old rope")),
        "box": pick(("box", "basket", "shoe box", "small bag", "warm hat")),
        "food2": pick(("seeds", "bread", "berries", "milk", "leaves", "corn")),
        "flower": pick(("flower", "leaf", "shiny stone", "feather", "berry")),
        "idea": pick(("Climb on my back!", "You can stand on my back.",
                      "We can shake the tree together.", "Let's get a ladder.",
                      "I will hold you up.", "Let's use a long stick.")),
        "home": pick(parts.WILD_HOMES if slots["is_animal"] else parts.HOMES),
    }  # fmt: skip


def _open(rng: random.Random, slots: dict[str, str]) -> str:
    """Draw an opening with the frequencies of TinyStories and set slot Start."""
    slots["Start"] = "{time}, {H}".format_map(slots)
    is_small = slots["adj"] in ("little", "small", "young")
    is_sized = not is_small and rng.random() < (0.4 if slots["is_animal"] else 0.6)
    size = "little " if is_sized else ""
    who = f"a {slots['adj']} {size}{slots['kind']} named {slots['H']}"
    draw = rng.random()
    if draw < 0.27:
        slots["Start"] = f"{slots['time']}, {who}"
        return ""
    if draw < 0.75:
        lead = rng.choice((
            f"Once upon a time, there was {who}.", f"Once upon a time, there was {who}.",
            f"Once upon a time, there was {who}.", f"Once upon a time, there was {who}.",
            f"Once upon a time there was {who}.",
            f"Once upon a time, {{home}}, there lived {who}.",
            f"Once upon a time, {{home}}, there was {who}.",
        ))  # fmt: skip
    elif draw < 0.85:
        lead = rng.choice((f"Once there was {who}.", f"There was once {who}.",
                           f"Once, there was {who}.", f"There was {who}."))  # fmt: skip
    else:
        lead = f"{{H}} was a {slots['adj']} {size}{slots['kind']}."
    more = rng.choice((
        "{He} loved to {love}.", "{H} loved to {love}.", "{He} liked to {love}.",
        "{H} liked to {love}.", "{H} lived {home} with {his} {mom}.", "Every day, {he} liked to {love}.",
        "{He} lived {home}.", "{H} loved to {love} with {his} {mom}.", "",
    ))  # fmt: skip
    if "{home}" in lead and "{home}" in more:
        more = "{He} loved to {love}."
    if "with" in slots["love"] or slots["mom"] in slots["love"]:
        more = more.replace(" with {his} {mom}", "")
    extra = ""
    if rng.random() < 0.3:
        extra = rng.choice((
            "{He} was always {goodtrait}.", "{H} was very {goodtrait}.", "{He} had many friends.",
        ))  # fmt: skip
        slots["goodtrait"] = rng.choice(
            ("happy", "kind", "curious", "nice", "cheerful", "friendly")
        )
    return " ".join((lead, more, extra, rng.choice(("", "|"))))


def _close(rng: random.Random, plot: Plot) -> list[str]:
    pieces = []
    if rng.random() < 0.3:
        pieces.append(rng.choice(plot.morals))
    if rng.random() < 0.12:
        pieces.append(rng.choice(("And they all lived happily ever after.", "They were all very happy.",
                                  "And they lived happily ever after.")))  # fmt: skip
    if rng.random() < 0.03:
        pieces.append("| The end.")
    return pieces


def _common_facts(slots: dict[str, str], *, is_pair: bool) -> tuple[tuple[str, str, str], ...]:
    facts = []
    if not is_pair and slots["kind"] != slots["fkind"]:
        facts.append(("What was the {kind}'s name?", "The {kind}'s name was {H}.", "{H}"))
    if slots["color"]:
        facts.append(("What color was the {t}?", "The {t} was {color}.", "{color} {t}"))
    facts.append(("Where did {H} go?", "{H} went to the {place}.", "went to the {place}"))
    facts.append(("What did {H} love to do?", "{H} loved to {love}.", "loved to {love}"))
    return tuple(facts)
