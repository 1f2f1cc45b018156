"""Write personas for the System line, and the answers of who speaks as one."""

import random
from dataclasses import dataclass

from rwkv_core.training.corpus import talk_parts as parts
from rwkv_core.training.corpus.phrases import fill, with_article

_TRAITS = (
    *("brave", "kind", "funny", "shy", "old", "young", "clever", "happy", "sleepy", "grumpy"),
    *("gentle", "proud", "curious", "friendly", "quiet", "cheerful", "polite", "wild"),
)
_ROLES = (
    *("pirate", "wizard", "robot", "princess", "knight", "dragon", "fairy", "king", "queen"),
    *("cat", "dog", "owl", "fox", "bear", "rabbit", "ghost", "giant", "elf", "mermaid", "mouse"),
    *parts.JOBS,
)


@dataclass(frozen=True)
class Persona:
    """Who the assistant is in one conversation.

    Attributes:
        line: Text of the System line; empty for plain Pip.
        name: The assistant's name.
        home, role, likes, color: What the line tells; empty where it tells nothing.
    """

    line: str = ""
    name: str = "Pip"
    home: str = ""
    role: str = ""
    likes: str = ""
    color: str = ""

    @property
    def is_pip(self) -> bool:
        """Return whether Pip speaks."""
        return self.name == "Pip"

    def replies(self, intent_name: str) -> tuple[str, ...]:
        """Return reply patterns to a question about the assistant; empty if the line is silent."""
        role = with_article(self.role) if self.role else ""
        if intent_name == "your name":
            named = (
                f"My name is {self.name}. What is your name? >> tell:name",
                f"I am {self.name}. It is nice to meet you(|{{you}})!",
                f"I am {self.name}.",
                f"You can call me {self.name}.",
            )
            return (*named, f"I am {self.name}, {role}.") if role else named
        if intent_name in ("what are you", "about yourself") and (role or self.home or self.likes):
            first = f"I am {self.name}, {role}." if role else f"I am {self.name}."
            more = f" I live in {self.home}." if self.home else ""
            more = f" I (like|love) {self.likes}." if self.likes and not more else more
            return (first + more, first)
        if intent_name in ("what can you do", "your age") and role and intent_name[0] == "w":
            return (
                f"I am {role}. I can talk with you about it.",
                f"I can tell you how it is to be {role}.",
            )
        if intent_name == "your home" and self.home:
            return (
                f"I live in {self.home}. Where do you live? >> tell:home",
                f"I live in {self.home}.",
                f"My home is in {self.home}. It is (nice|lovely) here.",
            )
        if intent_name == "your likes" and self.likes:
            return (
                f"I (like|love) {self.likes}. What do you like? >> tell:hobby",
                f"I (like|love) {self.likes}.",
                f"{self.likes[0].upper()}{self.likes[1:]}! I like that very much.",
            )
        if intent_name == "your favorite color" and self.color:
            return (
                f"My favorite color is {self.color}. What is yours? >> tell:favorite color",
                f"I like {self.color} best.",
            )
        return ()


def draw_persona(rng: random.Random) -> Persona:
    """Draw Pip without a System line (most often), Pip with one, or somebody else."""
    luck = rng.random()
    if luck < 0.86:
        return Persona()
    if luck < 0.885:
        lines = (
            "You are Pip, a (small|little) friendly story-teller.",
            "You are Pip. You live in a computer(.| and love stories.)",
            "You are a (friendly|kind|helpful) (little |)(assistant|story-teller)( called Pip|)(.|)",
            "Your name is Pip(.|. You like to tell stories.|. Give short answers.)",
        )
        return Persona(line=fill(rng, rng.choice(lines), {}))
    return _somebody(rng)


def _somebody(rng: random.Random) -> Persona:
    name = parts.any_name(rng)
    begin = fill(rng, rng.choice((f"You are {name}", f"Your name is {name}")), {})
    role = f"{rng.choice(_TRAITS)} {rng.choice(_ROLES)}" if rng.random() < 0.8 else ""
    home = parts.any_place(rng) if rng.random() < 0.65 else ""
    likes = rng.choice((*parts.FOODS, *parts.HOBBIES, *(f"{a}s" for a in parts.PETS[:10])))
    likes = likes.replace("my ", "").replace("mouses", "mice") if rng.random() < 0.7 else ""
    likes = {"puppys": "puppies", "ponys": "ponies", "goldfishs": "goldfish"}.get(likes, likes)
    color = rng.choice(parts.COLORS) if rng.random() < 0.15 else ""
    sentences = [begin]
    if role:
        joined = rng.random() < 0.4 and begin.startswith("You are")
        sentences = (
            [f"{begin}, {with_article(role)}"]
            if joined
            else [begin, f"You are {with_article(role)}"]
        )
    if home and likes and rng.random() < 0.5:
        sentences.append(f"You live in {home} and {rng.choice(('love', 'like'))} {likes}")
    else:
        sentences += [f"You live in {home}"] if home else []
        sentences += [f"You {rng.choice(('love', 'like'))} {likes}"] if likes else []
    sentences += [f"Your favorite color is {color}"] if color else []
    return Persona(". ".join(sentences) + ".", name, home, role, likes, color)
