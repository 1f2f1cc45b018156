"""Shape the sentences of a generated story: forms, joined sentences, speakers, spaces."""

import random
import re


def pick_form(rng: random.Random, forms: tuple[str, ...]) -> str:
    """Draw a form; plain ones twice as often as talk, of which TinyStories has less."""
    return rng.choices(forms, [1 if '"' in form else 2 for form in forms])[0]


def join_sentences(rng: random.Random, told: str) -> str:
    """Turn some "Tim ran. Tim fell." into "Tim ran. He fell." or "Tim ran and fell.".

    This works on slots, which still tell who is who.
    """

    def join(match: re.Match[str]) -> str:
        verb = match[1].split(" ")[1]
        is_long = " and " in match[0] or "," in match[0] or len(match[0]) > 90
        again = told.startswith((verb, "was "), match.end())
        return match[0] if is_long or again or rng.random() < 0.5 else f"{match[1]} and "

    def name_once(match: re.Match[str]) -> str:
        is_clear = not re.search(r"\{(?:F|f|pal|newF|[mM]om|mhe|guide|thief|child)", match[1])
        return f"{match[1]} {{He}} " if is_clear and rng.random() < 0.6 else match[0]

    told = re.sub(
        r"(?:(?<=[.!|] )|^)(\{(?:H|Start|He)\} [a-z{][^.!?\"|]*[.!]) \{H\} (?=[a-z])",
        name_once,
        told,
    )
    told = re.sub(
        r"(?:(?<=[.!|] )|^)(\{(?:H|Start|He)\} [a-z][^.!?\"|]*)\. \{He\} (?!and )(?=[a-z{])",
        join,
        told,
    )
    return re.sub(r"(?:(?<=[.!|] )|^)(They [a-z][^.!?\"|]*)\. They (?=[a-z])", join, told)


def turn_speakers(rng: random.Random, text: str, slots: dict[str, str]) -> str:
    """Mix "said Tim" and "Tim said"."""
    name = rf"({slots['H']}|{slots['F']})"
    verb = "(said|asked|cried|shouted|says)"

    def turn(match: re.Match[str]) -> str:
        words = match[1].split(" ")
        return match[0] if rng.random() < 0.5 else f'" {words[1]} {words[0]}{match[4]}'

    text = re.sub(rf'" ({name} {verb})([.,])', turn, text)
    return re.sub(rf'" ({verb} {name})([.,])', turn, text)


def polish(text: str) -> str:
    """Join the pieces: paragraphs, spaces, a or an."""
    text = re.sub(r"\s*\|[\s|]*", "\n\n", text.strip(" |"))
    text = re.sub(r" {2,}", " ", text)
    return re.sub(r"\b([Aa]) (?=[aeio]|u(?!s|ni)|hon(?:est|or))", r"\1n ", text)
