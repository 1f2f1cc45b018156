"""List the kinds of fact that a user can tell and ask for later."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from rwkv_core.training.corpus import talk_parts as parts


@dataclass(frozen=True)
class FactKind:
    """A kind of fact, how users tell it and how it is asked for.

    Slots of the patterns: {x} the value, {k} the key (what the fact is about), {a_x}, {X}.

    Attributes:
        name: Unique; `tell:name` in a reply leads to this kind, `tell:name key` to one key.
        keys: What the fact can be about, such as "brother" and "sister"; ("",) for one only.
        value: Draws a value for a key.
        tells: The user's sentences.
        replies: Answers that show the value was understood.
        questions: Ways to ask for the value later.
        answers: Answers that hold the value.
        unknown: Answers when it was never told.
        short: Ways to tell it when the assistant has just asked.
        changes: Ways to tell a new value that replaces the old one.
        held_out: Questions with the same meaning that training text never contains.
        checks: (question about {z}, answer if {z} is the value, answer if it is not).
        exact: The value must come back letter by letter, small letters included.
    """

    name: str
    keys: tuple[str, ...]
    value: Callable[[random.Random, str], str]
    tells: tuple[str, ...]
    replies: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    checks: tuple[tuple[str, str, str], ...] = ()
    exact: bool = False


def _from(words: tuple[str, ...]) -> Callable[[random.Random, str], str]:
    return lambda rng, key: rng.choice(words)


def _favorite(rng: random.Random, key: str) -> str:
    choices = {"color": parts.COLORS, "food": parts.FOODS, "animal": parts.ANIMALS}
    if key == "number":
        return str(rng.randrange(1, 100))
    if key == "toy":
        return f"my {rng.choice(parts.OBJECTS)}"
    word = rng.choice(choices.get(key, parts.HOBBIES))
    return f"the {word}" if key == "animal" else word


NAME = FactKind(
    "name",
    ("",),
    lambda rng, key: parts.any_name(rng),
    (
        "(My name is|My name's|I am|I'm|Call me|You can call me|Please call me|People call me) {x}(.|!|)",
        "(Hi|Hello|Hey)(,|!) (my name is|I am|I'm|I'm called|this is) {x}(.|!|)",
        "(Hi|Hello) {me}, (my name is|I am|I'm) {x}(.|!)",
        "(I am called|They call me|My friends call me|The name is|Everybody calls me) {x}.",
        "(My name is|I am) {x}. (What is yours?|And you?|Who are you?|What is your name?)",
        "(Remember my name|Please remember that my name is|Do not forget my name|My first name is): {x}.",
    ),
    (
        "Nice to meet you, {x}! I am {me}.",
        "Hello, {x}! (My name is|I am) {me}.",
        "Hi {x}! It is nice to meet you. I am {me}.",
        "{X} is a nice name! I am {me}. How are you, {x}? >> fine",
        "Hello, {x}! How are you today? >> fine",
        "Nice to meet you, {x}! What do you like to do? >> tell:hobby",
    ),
    (
        "(What is|What's) my name(|, {me}| again)?",
        "(Do you remember|Do you know|Can you tell me|Tell me|Say|Do you still know) my name(?|, please?|, {me}?)",
        "(Who am I|Do you know who I am|Do you remember who I am|Who is talking to you)?",
        "(So,|And|Now,|Hey,|Please,) what is my name?",
        "What did I (say my name was|tell you my name was|say my name is)?",
        "What am I called?",
    ),
    (
        "Your name is {x}.",
        "Your name is {x}!",
        "You are {x}!",
        "I remember: your name is {x}.",
        "You told me that your name is {x}.",
    ),
    (
        "You have not told me your name yet. What is your name? >> tell:name",
        "I do not know your name yet. What is it? >> tell:name",
        "You did not tell me your name. What is your name? >> tell:name",
    ),
    (
        "(My name is|I am|I'm|It is|It's) {x}(.|!|)",
        "{x}(.|!|)",
        "My name is {x}. (Nice to meet you.|I am happy to meet you.)",
    ),
    (
        "(Now my name is|Call me|From now on, call me|My name is now|Please call me) {x}(| now).",
        "(No, my|Sorry, my|My real) name is {x}.",
    ),
    ("How am I called?", "Could you say my name?", "Which name did I give you?"),
    checks=(
        (
            "(Is my name|Am I called|Is it right that my name is|Am I) {z}?",
            "Yes, your name is {x}.",
            "No, your name is {x}.",
        ),
    ),
)
PET_NAME = FactKind(
    "pet",
    parts.PETS,
    lambda rng, key: parts.any_pet_name(rng),
    (
        "I have a (|little |pet |small |cute ){k}. (Its|The) name is {x}.",
        "(My {k} is|I have a little {k} that is) (called|named) {x}.",
        "(I have|We have|At home I have|We got|I got) a {k}(,| and) (its name is|it is called) {x}.",
        "My {k}'s name is {x}.",
        "(The name of my {k} is|I call my {k}|We named our {k}) {x}.",
    ),
    (
        "{X} is a (nice|good|lovely|great) name for a {k}! What does {x} like to do? >> pet does",
        "I would love to meet {x}! What does {x} like? >> pet does",
        "A {k} called {x}, how nice! Is {x} (big|small|funny|friendly)?",
        "I like your {k}! How old is {x}?",
        "How nice! Say hello to {x} from me.",
        "{X} sounds like a very good {k}.",
    ),
    (
        "(What is|What's) (the name of my {k}|my {k}'s name|my {k} called)?",
        "(What is|What's) my {k} (called|named)?",
        "(Do you remember|Do you know|Tell me) (the name of my {k}|my {k}'s name|what my {k} is called)(?|, please?)",
        "(How is my {k} called|What do I call my {k}|What did I name my {k})?",
    ),
    (
        "Your {k} is (called|named) {x}.",
        "The name of your {k} is {x}.",
        "{X}! That is the name of your {k}.",
        "Your {k}'s name is {x}.",
    ),
    (
        "You have not told me about your {k} yet. What is its name? >> tell:pet {k}",
        "I do not know that you have a {k}. What is its name? >> tell:pet {k}",
        "You did not tell me the name of your {k} yet.",
    ),
    (
        "(Yes, I|Yes, we|I) have a {k} (called|named) {x}.",
        "(Yes, my|My) {k} is called {x}.",
        "I have a {k}. Its name is {x}.",
    ),
    ("(Now|From now on,) my {k} is called {x}.", "I gave my {k} a new name: {x}."),
    ("Which name does my {k} have?",),
    checks=(
        (
            "Is my {k} (called|named) {z}?",
            "Yes, your {k} is called {x}.",
            "No, your {k} is called {x}.",
        ),
    ),
)
RELATIVE = FactKind(
    "relative",
    parts.RELATIVES,
    lambda rng, key: parts.any_name(rng),
    (
        "My {k} is (called|named) {x}.",
        "My {k}'s name is {x}(.|!|)",
        "(I love my {k}. The name is|My {k} is here. The name is|You should meet my {k},) {x}.",
        "(I have a {k} called|I have a {k} named|The name of my {k} is) {x}.",
        "(This is my {k}|I was at home with my {k}|I went out with my {k}|I talked to my {k}), {x}.",
    ),
    (
        "{X} is a nice name. What is your {k} like?",
        "So your {k} is called {x}. I will remember that.",
        "I would like to meet {x}! Is your {k} nice to you?",
        "Tell me more about {x}. What do you do together?",
        "How nice! Do you like to be with {x}?",
        "Say hello to {x} from me(|{you}).",
    ),
    (
        "(What is|What's) (the name of my {k}|my {k}'s name|my {k} called)?",
        "(Do you remember|Do you know|Tell me) (the name of my {k}|my {k}'s name|what my {k} is called)(?|, please?)",
        "(What is|How is) my {k} called?",
        "Who is my {k}?",
    ),
    (
        "Your {k} is (called|named) {x}.",
        "The name of your {k} is {x}.",
        "Your {k}'s name is {x}.",
        "{X} is your {k}.",
    ),
    (
        "You have not told me the name of your {k} yet.",
        "I do not know your {k}'s name. What is it? >> tell:relative {k}",
        "You did not tell me about your {k}. What is the name? >> tell:relative {k}",
    ),
    ("{x}(.|!)", "(It is|The name is|My {k} is called) {x}."),
    ("(No, my|Sorry, my) {k} is called {x}.",),
    ("Which name does my {k} have?",),
    checks=(
        (
            "Is my {k} (called|named) {z}?",
            "Yes, your {k} is called {x}.",
            "No, your {k} is called {x}.",
        ),
    ),
)
FAVORITE = FactKind(
    "favorite",
    ("color", "food", "animal", "number", "hobby", "toy"),
    _favorite,
    (
        "My favorite {k} is {x}(.|!|)",
        "(I like|I love|I really like) many things, but my favorite {k} is {x}.",
        "(Did you know that|You should know that|I think that|I want you to know that) my favorite {k} is {x}.",
        "(Remember|Please remember|Do not forget) that my favorite {k} is {x}.",
    ),
    (
        "I like {y} too! Why is it your favorite {k}?",
        "{Y}? That is a (good|great|nice) choice!",
        "I will remember that your favorite {k} is {y}.",
        "Oh, {y}! That is (nice|lovely|great).",
        "How nice! I like to hear about {y}.",
    ),
    (
        "(What is|What's) my favorite {k}(|, {me}| again)?",
        "(Do you remember|Do you know|Tell me|Can you tell me) my favorite {k}(?|, please?)",
        "(Which|What) {k} (do I like best|is my favorite|do I like most|do I love)?",
        "What did I say my favorite {k} (is|was)?",
    ),
    (
        "Your favorite {k} is {y}.",
        "You like {y} best.",
        "It is {y}! You told me.",
        "You said that your favorite {k} is {y}.",
    ),
    (
        "You have not told me your favorite {k} yet. What is it? >> tell:favorite {k}",
        "I do not know your favorite {k} yet. What is it? >> tell:favorite {k}",
    ),
    ("(It is|It's|Mine is|My favorite {k} is) {x}(.|!)", "{x}(.|!)", "I like {x} best."),
    (
        "(Now|From now on,|Today) my favorite {k} is {x}.",
        "(No, my|I changed my mind. My|Sorry, my|My new) favorite {k} is {x}.",
    ),
    ("The {k} that I like the most, which one is it?",),
    checks=(
        (
            "Is my favorite {k} {z}?",
            "Yes, your favorite {k} is {y}.",
            "No, your favorite {k} is {y}.",
        ),
    ),
)
HOME = FactKind(
    "home",
    ("",),
    lambda rng, key: parts.any_place(rng),
    (
        "I (live|am living|am now|work and live) in {x}(.|!|)",
        "(I am|I'm|I come) from {x}(.|!|)",
        "(My home is|My house is|My home town is|We live|My family lives) in {x}.",
        "(Hi, I|Hello, I) (live in|am from|come from) {x}.",
    ),
    (
        "{X} sounds like a nice place. Do you like it there?",
        "I have never been to {x}. What is it like?",
        "How nice! I would like to see {x} one day.",
        "I live in a computer, but {x} sounds nicer!",
        "Is it warm in {x} today?",
    ),
    (
        "Where (do I live|am I from|is my home|do I come from|is my house)?",
        "(Do you remember|Do you know|Tell me|Can you tell me) where I (live|am from|come from)(?|, please?)",
        "(What|Which) (city or country|place) (do I live in|am I from)?",
        "Where did I say I live?",
    ),
    ("You live in {x}.", "You told me that you live in {x}.", "Your home is in {x}."),
    (
        "You have not told me where you live yet. Where do you live? >> tell:home",
        "I do not know where you live. Is it a nice place? >> tell:home",
    ),
    ("(I live in|In|I am from|I come from) {x}(.|!)", "{x}(.|!)"),
    ("(Now I live|I moved, and now I live|I do not live there now. I live) in {x}.",),
    ("In which place is my home?",),
    checks=(("(Do I live in|Am I from) {z}?", "Yes, you live in {x}.", "No, you live in {x}."),),
)
AGE = FactKind(
    "age",
    ("",),
    lambda rng, key: str(rng.randrange(4, 90)),
    (
        "I am {x} years old(.|!|)",
        "I'm {x}(.| years old.)",
        "(Do you know that|You should know that|Yes,|Hi,) I am {x} years old(.|!)",
        "(My age is|I just turned|I turned|Today I am) {x}.",
    ),
    (
        "{x} is a (good|great|nice) age!",
        "{x} years! I am much younger than you.",
        "Oh, you are {x}! What do you like to do? >> tell:hobby",
        "I see, you are {x} years old. I do not count my years.",
    ),
    (
        "How old am I(|, {me}| again)?",
        "(Do you remember|Do you know|Tell me) (my age|how old I am)(?|, please?)",
        "(What is|What's) my age?",
    ),
    ("You are {x} years old.", "You told me that you are {x}.", "You are {x}!"),
    (
        "You have not told me your age yet. How old are you? >> tell:age",
        "I do not know how old you are. Will you tell me? >> tell:age",
    ),
    ("(I am|I'm) {x}(.| years old.)", "{x}(.|)"),
    ("(It was my birthday. Now I am|Sorry, I am|No, I am) {x}.",),
    ("What number of years do I have?",),
)
SECRET = FactKind(
    "secret",
    (
        *("password", "secret word", "magic word", "code", "secret", "magic number"),
        *(
            "number",
            "code word",
            "lucky number",
            "magic spell",
            "secret number",
            "door code",
        ),
    ),
    lambda rng, key: parts.any_number(rng) if "number" in key else parts.any_secret(rng),
    (
        "The {k} is {x}(.|)",
        "(Remember|Please remember|Do not forget|Keep in mind)(:| that) the {k} is {x}.",
        "(I tell you the {k}|Here is the {k}|This is the {k}|This is our {k}): {x}.",
        "My {k} is {x}. (Please remember it.|Do not forget it.|Keep it safe.|)",
        "(Let us play a game. The|Listen: the|Psst, the|I have a secret for you: the) {k} is {x}.",
    ),
    (
        "Okay, I will remember: the {k} is {x}.",
        "The {k} is {x}. I will keep it (safe|in mind).",
        "I will remember the {k}.",
        "I will remember that the {k} is {x}.",
        "{x}. I will not forget it(|{you}).",
        "Got it! The {k} is {x}.",
        "Okay! Ask me for the {k} any time.",
        "I have it: {x}.",
    ),
    (
        "(What is|What's|What was) (the|my) {k}(|, {me}| again| now)?",
        "(Do you remember|Do you know|Tell me|Say|Can you tell me) the {k}(?|, please?)",
        "(And the {k}|The {k}, please|So, what is the {k}|Now, what is the {k})?",
        "What did I (say|tell you) the {k} (is|was)?",
    ),
    ("The {k} is {x}.", "It is {x}.", "You told me that the {k} is {x}.", "{x}"),
    (
        "You have not told me the {k} yet. What is it? >> tell:secret {k}",
        "I do not know the {k}. You did not tell me.",
    ),
    ("(It is|The {k} is) {x}.", "{x}"),
    (
        "(Now the|The new|From now on, the|Sorry, the|No, the) {k} is {x}.",
        "I changed the {k}. (Now it is|It is now) {x}.",
    ),
    ("Give me the {k}!", "Could you repeat the {k} for me?"),
    checks=(("Is the {k} {z}?", "Yes, the {k} is {x}.", "No, the {k} is {x}."),),
    exact=True,
)
