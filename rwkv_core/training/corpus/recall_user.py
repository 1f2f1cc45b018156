"""List what users say about their tastes, fears and work."""

import random
from collections.abc import Callable

from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.recall_kinds import FactKind

_ONCE = ("",)
_LIKED = (
    *("dogs", "cats", "horses", "trains", "flowers", "stories", "ducks", "frogs", "music", "cars"),
    *("robots", "dinosaurs", "snow", "books", "rain", "dragons", "puzzles", "boats", "tea", "milk"),
)


def _one_of(words: tuple[str, ...]) -> Callable[[random.Random, str], str]:
    return lambda rng, key: rng.choice(words)


HOBBY = FactKind(
    "hobby",
    _ONCE,
    _one_of(parts.HOBBIES),
    (
        "(I like|I love|I enjoy|I really like|What I like is) {x}(.|!)",
        "(My hobby is|My favorite thing to do is|I am good at|In my free time I like) {x}.",
        "(Every day|After school|On Sundays|With my friends) I enjoy {x}.",
    ),
    (
        "{Y} sounds like fun! How often do you do it?",
        "That is great! When did you start {y}?",
        "I like to hear about {y}. Tell me more!",
        "Nice! I cannot do that, but {y} sounds good.",
        "Do you enjoy {y} with your friends?",
    ),
    (
        "What (do I like to do|is my hobby|do I enjoy|do I like)?",
        "(Do you remember|Do you know|Tell me) (my hobby|what I like to do)(?|, please?)",
    ),
    ("You like {y}.", "Your hobby is {y}.", "You told me that you like {y}."),
    ("You have not told me what you like. What is your hobby? >> tell:hobby",),
    ("{X}(.|!)", "I (like|love|enjoy) {x}(.|!)"),
    held_out=("Which thing do I do for fun?",),
)
FEAR = FactKind(
    "fear",
    _ONCE,
    _one_of(
        (
            *("the dark", "spiders", "big dogs", "snakes", "thunder", "ghosts", "the dentist"),
            *("monsters", "bees", "high places", "loud noises", "water", "bats", "the doctor"),
            *("my test", "clowns", "storms", "mice", "flying", "wolves", "being alone"),
        )
    ),
    (
        "(I am|I'm) (afraid|scared|very afraid|a little afraid) of {x}(.|!)",
        "I have a big fear: I am afraid of {x}.",
    ),
    (
        "It is okay to be afraid of {y}. Many people are.",
        "I understand. When did you begin to be afraid of {y}?",
        "You are brave to tell me that you are afraid of {y}.",
        "I am here(|{you}). We can think of something nice and not of {y}.",
    ),
    ("What am I (afraid|scared) of?", "(Do you remember|Tell me) what I am afraid of(?|, please?)"),
    ("You are afraid of {y}.", "You told me that you are afraid of {y}."),
    ("You did not tell me what you are afraid of. >> tell:fear",),
    ("(I am afraid of|I am scared of|It is because of) {x}.", "{X}."),
    held_out=("Which thing makes me afraid?",),
)
JOB = FactKind(
    "job",
    _ONCE,
    _one_of(parts.JOBS),
    (
        "I (am|work as|am now) {a_x}(.|!)",
        "(My job is to be|At work I am|You know, I am|Every day I work as) {a_x}.",
    ),
    (
        "That sounds interesting! Do you like being {a_x}?",
        "{A_x}! That must be a good job.",
        "I would like to know more about the work of {a_x}.",
    ),
    ("What is my (job|work)?", "(Do you remember|Tell me) what my job is(?|, please?)"),
    ("You are {a_x}.", "You told me that you are {a_x}."),
    ("You have not told me what your job is. What do you do? >> tell:job",),
    ("I am {a_x}.", "I work as {a_x}."),
    held_out=("Which work do I do?",),
)
LIKES = FactKind(
    "likes",
    _ONCE,
    lambda rng, key: rng.choice((*parts.FOODS, *_LIKED)),
    (
        "I (like|love|really like) {x}(.|!)",
        "(You know, I|Guess what, I|Yes, I) (like|love) {x}(.|!)",
    ),
    (
        "I see, you like {x}!",
        "{X}! What do you like about {x}?",
        "It is nice that you like {x}(|{you}).",
        "(Good|Okay)! I will remember that you like {x}.",
        "Many people like {x}.",
    ),
    (
        "What do I (like|love)?",
        "(Do you remember|Do you know|Tell me) what I (like|love)(?|, please?)",
    ),
    ("You like {x}.", "You told me that you like {x}.", "You like {x}!"),
    ("You have not told me what you like. What is your hobby? >> tell:hobby",),
    held_out=("Which thing did I say I like?",),
)
