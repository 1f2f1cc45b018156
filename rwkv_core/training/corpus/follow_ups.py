"""List how a talk goes on: requests for stories and short answers to the assistant's questions."""

import random

from rwkv_core.training.corpus import story_parts
from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.phrases import with_article

STORY_ASKS = (
    "(Tell me|Please tell me|Now tell me) a (story|short story|nice story)(|.|!)",
    "(I want to hear|I would like|I want|Write) a (story|short story|funny story)(.|, please.)",
    "(Tell|Read) me a (story|bedtime story|new story|nice story)(.|!|, please.)",
    "(Do you know|Do you have) a (story|good story|story for me)?",
    "(A story|Story|A story, please|Story time)(!|.)",
)
STORY_ASKS_ABOUT = (
    "(Tell me|Now tell me|Please tell me|I want|Write) a (story|short story) about {a}(.|, please.)",
    "(Can you tell me|Do you know|Could you write) a (story|short story) about {a}?",
    "(Tell|Read) me a (story|bedtime story|nice story) about {a}(.|, please.)",
    "(A story|Story|I would like to hear a story|Now a story) about {a}(.|, please.)",
)
# What visitors name first when they may wish for a story.
_WISHED_OFTEN = (
    *("dragon", "princess", "cat", "dog", "robot", "unicorn", "dinosaur", "wizard", "knight"),
    *("pirate", "bunny", "fox", "bear", "mouse", "astronaut", "king", "fairy", "monster"),
)
STORY_ASKS_AGAIN = (
    "(Another one|Another story|One more|One more story|Again|More)(.|!|, please.|, please!)",
    "(Tell me|Please tell me) (another|another story|one more|a different story)(.|, please.)",
)
YES_STORY = (
    "(Yes|Yes, please|Sure|Okay|Oh yes|Please do|Yes, tell me|Yes, I want to)(.|!)",
    "I would (like|love) that(.|!)",
)
PET_DOES = (
    "{H} (likes|loves) to (run|play|sleep|eat|jump|hide|swim|sit on my bed|play with a ball)(.|!)",
    "{H} (sleeps|plays|eats|runs around) (all day|a lot|in the garden)(.|!)",
    "{H} (is very|is so) (funny|lazy|small|big|fast|sweet|clever)(.|!)",
)
PET_REPLIES = (
    "That is (so |)(funny|cute|nice)! I like {x}.",
    "{X} sounds like a good friend.",
    "How nice! I would like to (see that|meet {x}).",
    "I think {x} is happy with you.",
)
# First word of the assistant's question -> what users say, and how the assistant takes it.
SHORT_ANSWERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Where": (
        (
            "(In|At|Near) the (park|garden|kitchen|school|zoo|market|river|station)(.|)",
            "(At home|In my room|On the street|At school|Under a tree|Far away)(.|)",
        ),
        (
            "I see! Thank you for telling me(|{you}).",
            "(Oh, that|That) is a good place to look around.",
            "(Okay|I see). I can see it in my mind!",
        ),
    ),
    "Who": (
        (
            "(My mom|My dad|My best friend|My sister|My brother|My grandma|My class)(.|!)",
            "(Nobody|Only me|I did it alone|All my friends)(.|!)",
        ),
        (
            "That is nice(|{you})!",
            "I see! It is good to have people around you.",
            "Good! Did you have fun?",
        ),
    ),
    "How": (
        ("(Very good|Good|Great|It was fun|It was great|It was nice|Fine)(.|!)",),
        (
            "(Good|Great)! Thank you for telling me(|{you}).",
            "That is nice! (You can|Please) tell me more about it.",
            "I am glad to hear that(|{you})!",
        ),
    ),
    "How bad": (
        ("(Not so good|It was hard|It was boring|A bit sad|Bad|Not good|It was bad|Sad)(.|)",),
        (
            "I am sorry to hear that(|{you}).",
            "Oh no. I hope it will be better next time.",
            "That is a pity. Do you want to tell me more?",
        ),
    ),
    "How often": (
        (
            "(Every day|Once a week|Every Sunday|After school|Not very often|Twice a week)(.|)",
            "(I do it|Nearly) every (day|week|evening)(.|)",
        ),
        ("That is (great|nice)(|{you})!", "I see! Do you do it alone?", "Good! I hope it is fun."),
    ),
    "How old": (
        (
            "(One|Two|Three|Four|Five|Six|Seven|Ten) years old(.|)",
            "(Very young|Very old|Just a baby)(.)",
        ),
        ("I see(|{you})!", "That is a good age for (fun|games)!", "Oh, how nice!"),
    ),
    "Why": (
        (
            "Because (it is fun|I like it|it is pretty|it makes me happy|it is so nice)(.|!)",
            "(I just like it|It makes me happy|It was always so)(.)",
        ),
        ("That is a good reason(|{you})!", "I understand.", "I see! I like that."),
    ),
    "yes": (
        ("(Yes|Yes, I did|Yes, very much|Yeah|Yes, a little|Yes, a lot|Of course)(.|!)",),
        (
            "That is good to hear(|{you})!",
            "(Good|Great)! Tell me more.",
            "I am happy to hear that!",
        ),
    ),
    "sad yes": (
        ("(Yes|Yes, a little|Yes, very much|Yeah|Yes, it does|Yes, a lot|I think so)(.|!|)",),
        (
            "I am sorry to hear that(|{you}).",
            "Oh no. I hope it gets better soon(|{you}).",
            "Poor you! Please take care.",
        ),
    ),
    "no": (
        ("(No|Not yet|No, not really|Nope|Not much|Sadly, no)(.|)",),
        (
            "That is okay(|{you}).",
            "I see. Maybe next time!",
            "Okay! We can talk about something else.",
        ),
    ),
}
# A yes to such a question is nothing to be glad about.
_SAD = ("hurt", "wrong", "sad", "hard", "long day", "alone")
_YES_NO = frozenset({"Do", "Did", "Is", "Are", "Was", "Have", "Can", "Does"})


def short_answers(rng: random.Random, said: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return what a user may answer to a question, and the replies; None if nothing is known.

    Args:
        rng: Chooses between yes and no.
        said: What the assistant said; its last sentence counts.
    """
    question = said.rstrip("?").split(". ")[-1].split("! ")[-1]
    word = question.split(" ", 1)[0]
    word = next((key for key in ("How often", "How old") if question.startswith(key)), word)
    if not said.endswith("?") or " or " in question:
        return None
    if word in _YES_NO:
        yes = "sad yes" if any(sign in question for sign in _SAD) else "yes"
        word = rng.choice((yes, yes, "no"))
    elif word == "How" and rng.random() < 0.4:
        word = "How bad"
    return SHORT_ANSWERS.get(word)


def story_wish(rng: random.Random) -> tuple[tuple[str, ...], str]:
    """Draw what a story shall be about: the wanted words, and how the user names them."""
    things = [noun for noun, _ in (*story_parts.THINGS, *story_parts.FOODS)]
    things += parts.OBJECTS
    heroes = [animal for animal, _, _ in story_parts.ANIMALS]
    heroes += [*story_parts.FIGURES, *_WISHED_OFTEN * 3, *("boy", "girl") * 3]
    hero = rng.choice(heroes)
    thing, other = rng.sample(things, 2)
    luck = rng.random()
    if luck < 0.35:
        return (hero,), with_article(hero)
    if luck < 0.5:
        return (thing,), with_article(thing)
    if luck < 0.85:
        return (hero, thing), f"{with_article(hero)} and {with_article(thing)}"
    if luck < 0.92:
        return (thing, other), f"{with_article(thing)} and {with_article(other)}"
    name = rng.choice(parts.NAMES)
    return (hero, name), f"{with_article(hero)} (named|called) {name}"
