"""List things that happen to users: each gets a kind answer and can be asked for later."""

import random
from collections.abc import Callable

from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.recall_kinds import FactKind

_SORRY = "(I am sorry|Oh no, I am sorry|Oh, I am so sorry)"
_ADJECTIVES = ("new", "old", "red", "blue", "little", "favorite", "green", "big", "yellow", "best")


def _one_of(words: tuple[str, ...]) -> Callable[[random.Random, str], str]:
    return lambda rng, key: rng.choice(words)


def _object(rng: random.Random, key: str) -> str:
    """Return an object, half of the time with an adjective."""
    thing = rng.choice(parts.OBJECTS)
    return f"{rng.choice(_ADJECTIVES)} {thing}" if rng.random() < 0.5 else thing


def _new_object(rng: random.Random, key: str) -> str:
    """Return an object that one may buy or make."""
    thing = rng.choice(parts.OBJECTS)
    return f"{rng.choice(parts.COLORS)} {thing}" if rng.random() < 0.5 else thing


_ONCE = ("",)
_TODAY = "(.|!| today.| yesterday.| this morning.|)"

LOST = FactKind(
    "lost",
    _ONCE,
    _object,
    (
        "I (lost|have lost|just lost) my {x}" + _TODAY,
        "I (cannot|can't) find my {x}(.| anywhere.|!)",
        "(My {x} is gone|Somebody took my {x}|I am sad because I lost my {x}|Oh no, I lost my {x})(.|!)",
    ),
    (
        _SORRY + " that you lost your {x}. Where did you see it last?",
        "Oh no! (Did you look|Have you looked) for your {x} under the bed?",
        _SORRY + " about your {x}. I hope you find it soon!",
        "Poor you! I hope your {x} comes back(|{you}).",
        "Losing your {x} is sad. Where did you have it last?",
    ),
    ("What did I lose?", "(Do you remember|Do you know|Tell me) what I lost(?|, please?)"),
    ("You lost your {x}.", "It was your {x}. You lost it."),
    ("You did not tell me that you lost something.",),
    held_out=("Which thing of mine is lost?",),
)
FOUND = FactKind(
    "found",
    _ONCE,
    _new_object,
    (
        "I (found|have found|just found) {a_x}(| in the park| on the street| at home)" + _TODAY,
        "(Look|Guess what|Wow)(!|,) I found {a_x}(.|!)",
    ),
    (
        "Wow, {a_x}! Where did you find it?",
        "How nice that you found {a_x}! What will you do with it?",
        "{A_x}! Maybe somebody is looking for it.",
        "You were lucky to find {a_x}!",
    ),
    ("What did I find?", "(Do you remember|Do you know|Tell me) what I found(?|, please?)"),
    ("You found {a_x}.", "It was {a_x}. You found it."),
    ("You did not tell me that you found something.",),
    held_out=("What thing have I found?",),
)
BROKE = FactKind(
    "broke",
    _ONCE,
    _object,
    (
        "I (broke|have broken|dropped and broke) my {x}" + _TODAY,
        "My {x} (broke|is broken|fell and broke)(.| today.|!)",
    ),
    (
        _SORRY + " about your {x}. Can somebody fix it?",
        "Oh no, your {x}! How did it happen?",
        "That is sad. I hope your {x} can be fixed.",
        "Do not be sad about your {x}(|{you}). Things break sometimes.",
    ),
    ("What did I break?", "(Do you remember|Tell me) what (I broke|is broken)(?|, please?)"),
    ("You broke your {x}.", "It was your {x}. It broke."),
    ("You did not tell me that something broke.",),
    held_out=("Which of my things is broken?",),
)
BOUGHT = FactKind(
    "bought",
    _ONCE,
    _new_object,
    (
        "I (bought|just bought|have bought) {a_x}" + _TODAY,
        "(I went to the shop and bought|We bought|Today I bought) {a_x}(.|!)",
    ),
    (
        "How nice! Do you like your {x}?",
        "{A_x}! What will you do with it?",
        "I am happy that you have {a_x} now. Was it a good price?",
        "Great! Have fun with your {x}(|{you}).",
    ),
    ("What did I buy?", "(Do you remember|Do you know|Tell me) what I bought(?|, please?)"),
    ("You bought {a_x}.", "It was {a_x}. You bought it."),
    ("You did not tell me that you bought something.",),
    held_out=("Which thing did I get at the shop?",),
)
MADE = FactKind(
    "made",
    _ONCE,
    lambda rng, key: rng.choice(
        (
            *("cake", "kite", "picture", "paper boat", "snowman", "sandcastle", "pie", "card"),
            *("tree house", "robot", "mask", "salad", "song", "poem", "scarf", "wooden box"),
            *("paper plane", "bird house", "puppet", "pizza", "hat", "drum", "chair", "soup"),
        )
    ),
    (
        "I (made|have made|just made) {a_x}" + _TODAY,
        "(My friend and I|My mom and I|We) made {a_x}(.| today.| together.)",
        "Look, I made {a_x}(.|!)",
    ),
    (
        "Wow, you made {a_x}! Was it hard?",
        "Well done! I would like to see your {x}.",
        "{A_x}! You are good at making things.",
        "How nice! Who will get your {x}?",
    ),
    ("What did I make?", "(Do you remember|Do you know|Tell me) what I made(?|, please?)"),
    ("You made {a_x}.", "It was {a_x}. You made it."),
    ("You did not tell me that you made something.",),
    held_out=("Which thing have I made?",),
)
GIFT = FactKind(
    "gift",
    ("mom", "dad", "grandma", "grandpa", "friend", "sister", "brother", "aunt", "uncle"),
    _new_object,
    (
        "My {k} gave me {a_x}(.|!| today.| for my birthday.)",
        "I got {a_x} from my {k}(.|!)",
    ),
    (
        "How kind of your {k}! Do you like your {x}?",
        "{A_x} is a nice present! Did you say thank you?",
        "What a nice {k} you have! Have fun with your {x}.",
    ),
    ("What did (my {k} give me|I get from my {k})?", "Tell me what my {k} gave me."),
    ("Your {k} gave you {a_x}.", "You got {a_x} from your {k}."),
    ("You did not tell me what your {k} gave you.",),
    held_out=("Which present came from my {k}?",),
)
SAW = FactKind(
    "saw",
    _ONCE,
    lambda rng, key: (
        f"{rng.choice((*_ADJECTIVES[:5], 'tiny', 'funny'))} {rng.choice(parts.ANIMALS)}"
        if rng.random() < 0.6
        else rng.choice(
            (*parts.ANIMALS, "rainbow", "ship", "clown", "train", "falling star", "plane")
        )
    ),
    (
        "I saw {a_x}(.|!| today.| yesterday.| in the park.| from my window.)",
        "(Guess what|Wow|Look)(!|,) I (saw|just saw) {a_x}(.|!)",
        "There (is|was) {a_x} (in my garden|in front of my house|on the street)(.|!)",
    ),
    (
        "Wow, {a_x}! What did it do?",
        "How nice to see {a_x}! Was it close to you?",
        "I would love to see {a_x}, too. Where was it?",
        "{A_x}! I know a story about something like that.",
    ),
    ("What did I see?", "(Do you remember|Do you know|Tell me) what I saw(?|, please?)"),
    ("You saw {a_x}.", "It was {a_x}. You saw it."),
    ("You did not tell me that you saw something.",),
    held_out=("What have my eyes seen?",),
)
VISITED = FactKind(
    "visited",
    _ONCE,
    _one_of(parts.PLACES),
    (
        "I (went to|was at|visited|have been to|came back from) the {x}" + _TODAY,
        "(We|My family and I|My friend and I|My class) went to the {x}(.| today.| yesterday.)",
    ),
    (
        "That sounds nice! What did you see at the {x}?",
        "The {x}! Did you have fun there?",
        "I would like to go to the {x}, too. Who was with you?",
        "How was it at the {x}?",
    ),
    (
        "Where did I go?",
        "(Do you remember|Do you know|Tell me) where I (went|was)(?|, please?)",
        "Where (was I|have I been)?",
    ),
    ("You went to the {x}.", "You were at the {x}."),
    ("You did not tell me where you went.",),
    held_out=("To which place did I travel?",),
)
PLAN = FactKind(
    "plan",
    ("tomorrow", "next week", "on Sunday", "on Saturday", "tonight", "in the summer"),
    _one_of(parts.PLACES),
    ("I (am going|will go|want to go) to the {x} {k}(.|!)", "{K} (I am going|we go) to the {x}."),
    (
        "Have fun at the {x} {k}! Who is going with you?",
        "That is a good plan! I hope the {x} is nice.",
        "The {x}! Are you excited?",
    ),
    ("Where (am I going|will I go|do I want to go) {k}?", "(What is my plan|Where do I go) {k}?"),
    ("You are going to the {x} {k}.", "{K} you are going to the {x}."),
    ("You did not tell me what you do {k}.",),
    changes=("(I changed my plan|No, sorry). I am going to the {x} {k}.",),
    held_out=("Which place will I see {k}?",),
)
ATE = FactKind(
    "ate",
    ("breakfast", "lunch", "dinner"),
    _one_of(parts.FOODS),
    ("I (had|ate|made|have) {x} for {k}(.|!| today.)", "(For {k} I|Today for {k} we) had {x}."),
    (
        "Yum, {x}! Did it taste good?",
        "{X} for {k}? That sounds very good!",
        "I cannot eat, but I like to hear about {x}.",
        "That sounds yummy! Who made it?",
    ),
    ("What did I (have|eat) for {k}?", "Tell me what I (had|ate) for {k}(.|, please.)"),
    ("You had {x} for {k}.", "It was {x}. You had it for {k}."),
    ("You did not tell me what you had for {k}.",),
    held_out=("Which food was my {k}?",),
)
WISH = FactKind(
    "wish",
    _ONCE,
    lambda rng, key: rng.choice((*parts.PETS, *parts.OBJECTS, "bike", "boat", "house", "garden")),
    (
        "(I wish I had|I want|I would like to have|I would love to have) {a_x}(.|!)",
        "(My wish is|For my birthday I want|I dream of having) {a_x}(.|!)",
    ),
    (
        "{A_x} is a nice wish! Why do you want one?",
        "I hope that you get {a_x} one day(|{you})!",
        "What would you do with {a_x}?",
        "{A_x} would be great! I have no hands, but I would like one, too.",
    ),
    ("What do I (want|wish for)?", "(Do you remember|Tell me) (my wish|what I want)(?|, please?)"),
    ("You want {a_x}.", "You wish for {a_x}.", "Your wish is {a_x}."),
    ("You did not tell me your wish. What do you want? >> tell:wish",),
    ("{A_x}(.|!)", "I want {a_x}."),
    held_out=("Which thing would I love to have?",),
)
SPOT = FactKind(
    "spot",
    parts.OBJECTS,
    _one_of(parts.SPOTS),
    (
        "I (put|left|hid|have put) the {k} {x}(.|)",
        "The {k} is {x}(.|)",
        "(My|Our|Look, the|I think the) {k} is {x}(.|!)",
        "(Remember|Please remember|Do not forget)(:| that) the {k} is {x}.",
    ),
    (
        "Okay, the {k} is {y}. I will remember that.",
        "I see! The {k} is {y}.",
        "Good! Now I know that the {k} is {y}.",
        "So the {k} is {y}. Ask me later!",
        "I will remember where the {k} is.",
    ),
    (
        "Where is the {k}(|, {me}| now)?",
        "Where did I (put|leave|hide) the {k}?",
        "(Do you remember|Do you know|Tell me) where the {k} is(?|, please?)",
    ),
    ("The {k} is {y}.", "It is {y}.", "You put the {k} {y}."),
    ("I do not know where the {k} is. You did not tell me.",),
    changes=(
        "(Now|I moved it. Now|Somebody moved it. Now) the {k} is {x}.",
        "I took the {k} and put it {x}.",
    ),
    held_out=("In what spot can I find the {k}?",),
    checks=(
        ("Is the {k} {z}?", "Yes, the {k} is {y}.", "No, the {k} is {y}."),
        ("What is {x}?", "The {k} is {y}.", "The {k} is {y}."),
    ),
)
HOLDER = FactKind(
    "holder",
    parts.OBJECTS,
    lambda rng, key: parts.any_name(rng),
    (
        "{x} has the {k}(.|!|)",
        "(The {k} is with|The one who has the {k} is|I gave the {k} to my friend) {x}.",
        "(I gave the {k} to {x}|{x} took the {k}|{x} got the {k}|Now {x} has the {k}).",
    ),
    (
        "Okay, {x} has the {k}.",
        "I see! {x} has the {k} now.",
        "I will remember that {x} has the {k}.",
        "So {x} has the {k}.",
        "Good. I know who has the {k}.",
    ),
    (
        "(Who has the {k}|And who has the {k}|So who has the {k})(| now)?",
        "(Do you remember|Do you know|Tell me) who has the {k}(?|, please?)",
        "Who (did I give the {k} to|got the {k}|took the {k}|has got the {k})?",
    ),
    ("{x} has the {k}.", "It is {x}. {x} has the {k}.", "{x} has it."),
    ("I do not know who has the {k}. You did not tell me.",),
    changes=("Now {x} has the {k}.", "Then {x} took the {k}."),
    held_out=("With whom can I find the {k}?",),
    checks=(
        ("Does {z} have the {k}?", "Yes, {x} has the {k}.", "No, {x} has the {k}."),
        ("What does {x} have?", "{x} has the {k}.", "{x} has the {k}."),
    ),
)

EVENTS = (LOST, FOUND, BROKE, BOUGHT, MADE, GIFT, SAW, VISITED, PLAN, ATE, WISH)
WHERE_AND_WHO = (SPOT, HOLDER)
