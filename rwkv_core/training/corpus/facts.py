"""Write simple questions about the world with their answers: words, numbers, animals, places."""

import random
from collections.abc import Callable, Mapping

from rwkv_core.training.corpus import fact_lists as lists
from rwkv_core.training.corpus.phrases import Exchange, fill, typed, with_article

_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)


def world_fact(rng: random.Random) -> Exchange:
    """Write one question about the world and its answer."""
    return rng.choices(_WRITERS, _WEIGHTS)[0](rng)


def _exchange(
    rng: random.Random, asks: tuple[str, ...], replies: tuple[str, ...], slots: Mapping[str, str]
) -> Exchange:
    user = typed(rng, fill(rng, rng.choice(asks), slots))
    return Exchange(user, fill(rng, rng.choice(replies), slots))


def _opposite(rng: random.Random) -> Exchange:
    pair = rng.choice(lists.OPPOSITES).split()
    rng.shuffle(pair)
    return _exchange(
        rng,
        (
            "(What is|What's|Tell me|Say|Do you know) the opposite of {a}(?|, please?)",
            "(The opposite|Opposite) of {a}(?|)",
            "What is the opposite of the word {a}?",
            "(Give me|Which word is) the opposite of {a}(.|?)",
            "(What word|Which word) means the opposite of {a}?",
            "(What would be|Can you tell me|Name) the opposite of {a}(?|, please?)",
            "{a} and its opposite(?|, please?| is what?)",
        ),
        ("The opposite of {a} is {b}.", "It is {b}.", "The opposite of {a} is {b}!"),
        {"a": pair[0], "b": pair[1]},
    )


def _sound(rng: random.Random) -> Exchange:
    animal, sound = rng.choice(tuple(lists.SOUNDS.items()))
    asks = (
        "What (sound|noise) (does a|does the) {a} make?",
        "What does (a|the) {a} say?",
        "What sound (does a {a} make|comes from a {a})?",
        "How does a {a} (sound|go|talk)?",
        "(Tell me|Do you know|Can you tell me) (what a {a} says|what the {a} says)(?|, please?)",
        "(Make the sound of|Talk like|Sound like) a {a}(.|!|, please.)",
        "(What is the sound of|The sound of|And the sound of) a {a}?",
    )
    replies = ("A {a} says {s}!", "The {a} goes {s}, {s}!", "It says {s}!")
    return _exchange(rng, asks, replies, {"a": animal, "s": sound})


def _color_of(rng: random.Random) -> Exchange:
    thing, color = rng.choice(tuple(lists.COLOR_OF.items()))
    return _exchange(
        rng,
        (
            "(What|Which) color is {a}?",
            "(Do you know|Tell me|Can you tell me) (what color {a} is|the color of {a})?",
            "(What is|What's) the color of {a}?",
            "(What|Which) color does {a} have?",
            "{A}(, what color is it| is what color|: what color)?",
            "(Say|Name) the color of {a}(.|, please.)",
        ),
        ("{A} is {c}.", "It is {c}."),
        {"a": thing, "A": thing[0].upper() + thing[1:], "c": color},
    )


def _animal_life(rng: random.Random) -> Exchange:
    animals, food, home, baby = rng.choice(lists.ANIMAL_LIFE)
    slots = {"a": animals, "A": animals.capitalize(), "f": food, "h": home, "b": baby}
    what = rng.choice("fhb" if baby else "fh")
    if what == "f":
        asks: tuple[str, ...] = (
            "What do {a} (eat|like to eat)?",
            "(Tell me|Do you know|Can you tell me) what {a} (eat|like to eat)(?|.)",
            "What (food|kind of food) do {a} (eat|like)?",
            "What (is the food of|can I give to|should I feed) {a}?",
            "(And what do|So what do|What would) {a} eat?",
        )
        return _exchange(rng, asks, ("{A} eat {f}.", "They eat {f}."), slots)
    if what == "h":
        asks = (
            "Where do {a} (live|stay)?",
            "(Where is the home of|Where can I find|Where can I see|Where would I find) {a}?",
            "(Tell me|Do you know|Can you tell me) where {a} live(?|.)",
            "(In what kind of place|In which place) do {a} live?",
            "What is the home of {a}?",
        )
        return _exchange(rng, asks, ("{A} live {h}.", "They live {h}."), slots)
    one = animals.removesuffix("s") if animals != "sheep" else animals
    one = {"wolve": "wolf", "geese": "goose"}.get(one, one)
    slots |= {"o": with_article(one), "one": one, "ab": with_article(baby)}
    asks = (
        "What (is a baby {one} called|do you call a baby {one}|is the baby of {o})?",
        "What is the (name|word) for a baby {one}?",
        "(Do you know|Tell me|Can you tell me) what a baby {one} is called(?|, please?)",
        "How (is a baby {one} called|do you call a baby {one}|do we call a baby {one})?",
        "{o} has a baby. What is it called?",
    )
    return _exchange(rng, asks, ("A baby {one} is called {ab}.", "It is called {ab}."), slots)


def _calendar(rng: random.Random) -> Exchange:
    names = rng.choice((lists.DAYS, lists.MONTHS))
    kind = "day" if len(names) == 7 else "month"
    here = rng.randrange(len(names))
    after, before = names[(here + 1) % len(names)], names[here - 1]
    slots = {"k": kind, "h": names[here], "a": after, "b": before}
    if rng.random() < 0.6:
        asks: tuple[str, ...] = (
            "(What|Which) {k} (comes|is|follows) after {h}?",
            "(What comes|What is|What follows) after {h}?",
            "(Tell me|Do you know|Say) (the {k} after|which {k} comes after) {h}(?|, please?)",
            "(Which|What) is the next {k} after {h}?",
            "After {h} comes (what|which {k})?",
            "(What|Which) {k} follows {h}?",
        )
        return _exchange(
            rng, asks, ("{a} comes after {h}.", "It is {a}.", "After {h} comes {a}."), slots
        )
    asks = (
        "(What|Which) {k} (comes|is) before {h}?",
        "(What comes|What is) (just |right |)before {h}?",
        "(Tell me|Do you know|Say) the {k} before {h}(?|, please?)",
        "Before {h} comes (what|which {k})?",
        "(Which|What) is the {k} just before {h}?",
    )
    return _exchange(rng, asks, ("{b} comes before {h}.", "It is {b}."), slots)


def _sum(rng: random.Random) -> Exchange:
    # Small numbers are tried first.
    most = 6 if rng.random() < 0.5 else 11
    a, b = rng.randrange(most), rng.randrange(most)
    plus = rng.random() < 0.65
    if not plus:
        a, b = max(a, b), min(a, b)
    total = a + b if plus else a - b
    as_words = rng.random() < 0.3
    digits = {"a": str(a), "b": str(b), "t": str(total)}
    words = {"a": _NUMBERS[a], "b": _NUMBERS[b], "t": _NUMBERS[total]}
    sign = "(plus|and)" if plus else "(minus|take away)"
    symbol = "+" if plus else "-"
    asks: tuple[str, ...] = (
        f"(What is|What's|How much is|Tell me what is) {{a}} {sign} {{b}}?",
        f"What is {{a}} {symbol} {{b}}?",
        f"{{a}} {symbol} {{b}}(| = ?| =|?)",
        f"(Can you count|Calculate|Do you know|Count|Solve)(:|) {{a}} {sign} {{b}}?",
        f"(How many is|What do I get for|What makes|And) {{a}} {sign} {{b}}?",
        f"{{a}} {sign} {{b}}(?| is| makes| is what?| makes what?|, please?)",
        f"(Can you tell me|Do you know) what {{a}} {sign} {{b}} (is|makes)?",
        f"(Solve|Tell me|Calculate|What is)(:|) {{a}} {symbol} {{b}}(|?|.)",
    )
    word = "plus" if plus else "minus"
    replies = (f"{{a}} {word} {{b}} is {{t}}.", "It is {t}.", "The answer is {t}.", "That is {t}.")
    return _exchange(rng, asks, replies, words if as_words else digits)


def _next_number(rng: random.Random) -> Exchange:
    as_words = rng.random() < 0.5
    n = rng.randrange(0, 20) if as_words else rng.randrange(0, 100)
    here, after = (_NUMBERS[n], _NUMBERS[n + 1]) if as_words else (str(n), str(n + 1))
    asks = (
        "(What|Which) number (comes after|follows|is after) {h}?",
        "(What comes after|What is next:|What follows|What is one more than) {h}?",
        "(Tell me|Do you know|Say) the (next number|number) after {h}(?|, please?)",
        "(When I count, what|I count. What|Counting up, what) comes after {h}?",
        "After {h} comes (what|which number)?",
    )
    return _exchange(rng, asks, ("{a} comes after {h}.", "It is {a}."), {"h": here, "a": after})


def _count(rng: random.Random) -> Exchange:
    start, end = 1, rng.randrange(3, 13)
    if rng.random() < 0.3:
        start = rng.randrange(2, 10)
        end = start + rng.randrange(2, 8)
    numbers = list(range(start, end + 1))
    asks: list[str] = [
        "(Count|Can you count|Please count|Could you count) from {a} to {b}(.|, please.)",
        "(I want you to count|Try to count|Let me hear you count|Let us count) from {a} to {b}.",
        "(Tell me|Say|List) (the|all) numbers from {a} to {b}(.|, please.)",
        "Go from {a} to {b}.",
    ]
    if rng.random() < 0.3:
        numbers.reverse()
    elif start == 1:
        asks += ["(Count|Please count|Now count) to {b}(.|, please.|!)", "Can you count to {b}?"]
    slots = {"a": str(numbers[0]), "b": str(numbers[-1])}
    spoken = ", ".join(_NUMBERS[n] if end <= 12 else str(n) for n in numbers)
    return _exchange(rng, tuple(asks), (f"{spoken}.", f"{spoken}!"), slots)


def _letter(rng: random.Random) -> Exchange:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if rng.random() < 0.5:
        n = rng.randrange(25)
        asks = (
            "(What|Which) letter (comes after|follows|is after) {h}?",
            "What (comes|is) after the letter {h}?",
            "(Tell me|Do you know|Say) the letter after {h}(?|, please?)",
            "In the alphabet, what comes after {h}?",
            "What is the next letter after {h}?",
        )
        slots = {"h": letters[n], "a": letters[n + 1]}
        return _exchange(rng, asks, ("{a} comes after {h}.", "It is {a}."), slots)
    word = rng.choice(lists.RHYMES).split()[0]
    asks = (
        "(What|Which) letter does (the word |){w} (start|begin) with?",
        "What is the first letter (of|in) (the word |){w}?",
        "(Tell me|Do you know|Say) the first letter of {w}(?|, please?)",
        "With (what|which) letter does {w} (start|begin)?",
        "How does the word {w} (start|begin)?",
    )
    slots = {"w": word, "W": word.capitalize(), "a": word[0].upper()}
    return _exchange(rng, asks, ("{W} (starts|begins) with {a}.", "It is {a}."), slots)


def _rhyme(rng: random.Random) -> Exchange:
    words = rng.sample(rng.choice(lists.RHYMES).split(), 2)
    asks = (
        "(What|Which word) rhymes with {a}?",
        "(Tell me|Give me|Do you know|Say) a (word that rhymes with|rhyme for) {a}(.|?)",
        "(Can you find|I need|Find|Do you have) a (rhyme for|word that rhymes with) {a}(.|?)",
        "(What words rhyme|Which words rhyme|What word rhymes) with {a}?",
        "Is there a rhyme for {a}?",
        "What is a (good |)rhyme for {a}?",
    )
    slots = {"a": words[0], "b": words[1], "B": words[1].capitalize()}
    return _exchange(rng, asks, ("{B} rhymes with {a}.", "{a} and {b} rhyme.", "{B}!"), slots)


def _compare(rng: random.Random) -> Exchange:
    less, more, how, opposite = rng.choice(lists.COMPARISONS)(rng)
    a, b, word = (more, less, how) if rng.random() < 0.5 else (less, more, opposite)
    slots = {"a": with_article(a), "b": with_article(b), "w": word}
    if rng.random() < 0.4:
        asks = (
            "(What|Which|Which one|What do you think) is {w}, {a} or {b}?",
            "(Is|What is {w}, is) {a} or {b} {w}?",
            "(Tell me|Do you know) what is {w}, {a} or {b}(?|.)",
            "(Which of them|Of the two, which) is {w}: {a} or {b}?",
            "{a} or {b}: (which|which one|what) is {w}?",
        )
        return _exchange(rng, asks, ("{a} is {w} than {b}.", "It is {a}."), slots)
    are = (
        "(Is|So is|And is) {a} {w} than {b}?",
        "(Is it true|Would you say|Do you think) that {a} is {w} than {b}?",
        "{a} is {w} than {b}, (right|is that right|is it not)?",
    )
    not_so = tuple(
        ask.replace("{a}", "{c}").replace("{b}", "{a}").replace("{c}", "{b}") for ask in are
    )
    if rng.random() < 0.5:
        return _exchange(rng, are, ("Yes, {a} is {w} than {b}.", "Yes, it is."), slots)
    return _exchange(rng, not_so, ("No, {a} is {w} than {b}.", "No, it is not."), slots)


def _name_one(rng: random.Random) -> Exchange:
    kind, words = rng.choice(tuple(lists.KINDS_OF_THING.items()))
    some = rng.sample(words.split(), 3)
    slots = {
        "k": with_article(kind),
        "ks": {"country": "countries", "city": "cities"}.get(kind, kind + "s"),
        "w": some[0],
        "W": some[0].capitalize(),
        "three": f"{some[0].capitalize()}, {some[1]} and {some[2]}.",
    }
    if rng.random() < 0.25:
        return _exchange(
            rng,
            ("(Name|Tell me|Give me|Say|Can you name) three {ks}(.|, please.)",),
            ("{three}",),
            slots,
        )
    asks = (
        "(Name|Tell me|Give me|Say|Please name|Please say) {k}(.|, please.|!)",
        "(Can you name|Can you tell me|Do you know|What is the name of|Could you name) {k}?",
        "(Now name|And now name|Name me|I want you to name|Try to name|You name) {k}(.|!)",
        "(Can you give me|Could you tell me|Would you tell me|Will you name) {k}?",
        "(Just name|Quick, name|Let us play. Name|A question: can you name) {k}(.|!)",
    )
    return _exchange(rng, asks, ("{W}!", "{W}.", "{W}. Can you name another one?"), slots)


def _capital(rng: random.Random) -> Exchange:
    country, city = rng.choice(tuple(lists.CAPITALS.items()))
    slots = {"a": country, "b": city}
    if rng.random() < 0.2:
        return _exchange(
            rng,
            (
                "(What|Which) country is {b} in?",
                "(Where is|In which country is|Where can I find) {b}?",
                "{b} is the capital of (what|which country)?",
            ),
            ("{b} is in {a}.",),
            slots,
        )
    asks = (
        "(What is|What's|Tell me|Do you know) the capital (city |)of {a}(?|, please?)",
        "(What|Which) city is the capital of {a}?",
        "(Name|Say|Give me) the capital of {a}(.|, please.)",
        "(Can you tell me|Could you tell me|And) what (is the capital of {a}|the capital of {a} is)?",
        "{a} has (what|which) capital?",
        "(The capital of {a}|Capital of {a})(|?| is|, please?)",
    )
    return _exchange(rng, asks, ("The capital of {a} is {b}.", "It is {b}."), slots)


def _use(rng: random.Random) -> Exchange:
    thing, use = rng.choice(tuple(lists.USES.items()))
    slots = {"a": with_article(thing), "u": use}
    asks = (
        "What do (we|you|people) use {a} for?",
        "What is {a} (for|used for)?",
        "Why do (we|you|people) (need|have|use) {a}?",
        "What can (you|I|we) do with {a}?",
        "(Tell me|Do you know|Can you tell me) what {a} is (used |)for(?|.)",
        "What is the use of {a}?",
        "(When|For what) do (we|you|people) (need|use) {a}?",
    )
    return _exchange(rng, asks, ("We use {a} to {u}.", "{a} is used to {u}.", "To {u}."), slots)


def _question(rng: random.Random) -> Exchange:
    question, reply = rng.choice(lists.QUESTIONS)
    return _exchange(rng, (question,), (reply,), {})


_WRITERS: tuple[Callable[[random.Random], Exchange], ...] = (
    *(_opposite, _sound, _color_of, _animal_life, _calendar, _sum, _next_number, _count, _letter),
    *(_rhyme, _compare, _name_one, _capital, _use, _question),
)
_WEIGHTS = (10, 6, 8, 12, 6, 14, 4, 4, 4, 5, 8, 13, 6, 7, 14)
