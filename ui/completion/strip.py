"""The words that the model wrote, each with its probability and what it could have been.

Colours are chosen in the browser: every word says how unlikely and how surprising it was. The
likeliest words stand in a data attribute, and words.js makes one card of them when asked.
"""

import json
from collections.abc import Sequence
from html import escape
from math import exp, log

from presets.words import speak
from rwkv_core.generate import Token
from ui.components import percent, visible

SHOWN_ALTERNATIVES = 10
# A word at or over this many bits has the strongest colour.
MOST_BITS = 10


def strip(tokens: Sequence[Token], language: str, *, with_choices: bool = True) -> str:
    """Draw the words.

    Args:
        tokens: as the stream gave them.
        language: the visitor's.
        with_choices: add the likeliest tokens at each place; too heavy while it is streaming.
    """
    if not tokens:
        return ""
    body = "".join(_word(at, token, with_choices) for at, token in enumerate(tokens))
    say = {
        name: escape(speak(language, f"completion.{name}"))
        for name in (
            "words_title",
            "words_hint",
            "words_keys",
            "sure",
            "a_guess",
            "expected",
            "surprise",
        )
    }
    swatches = "".join(f'<i class="c{level}"></i>' for level in range(5))
    heats = "".join(f'<i class="bits" style="--heat:{heat}%"></i>' for heat in range(0, 101, 25))
    texts = escape(json.dumps(_card_words(language), ensure_ascii=False))
    return f"""<section class="chances" aria-label="{say["words_title"]}" data-say="{texts}">
<header><h2>{say["words_title"]}</h2>
<p class="legend by-probability"><span>{say["sure"]}</span>{swatches}<span>{say["a_guess"]}</span></p>
<p class="legend by-surprise"><span>{say["expected"]}</span>{heats}<span>{say["surprise"]}</span></p>
</header><p class="chances-hint">{say["words_hint"]}</p>
<p class="tokens" role="group" tabindex="0" aria-label="{say["words_keys"]}">{body}</p></section>"""


def _card_words(language: str) -> dict[str, str]:
    return {name: speak(language, f"completion.{name}") for name in ("restart", "could_be")}


def _word(at: int, token: Token, with_choices: bool) -> str:
    chance, bits = exp(token.logprob), -token.logprob / log(2)
    level = sum(chance < bound for bound in (0.7, 0.4, 0.15, 0.04))
    heat = round(100 * min(1.0, bits / MOST_BITS))
    # The blank before a word stays uncoloured, so that words stand apart.
    blank = " " * (len(token.text) - len(token.text.lstrip(" ")))
    text = escape(token.text[len(blank) :]).replace("\n", "&crarr;<br>")
    look = f'class="c{level}'
    style = f'style="--heat:{heat}%"'
    if not with_choices or not token.text:
        return f'{blank}<span {look}" {style}>{text}</span>'
    title = f"{visible(token.text)}: {percent(chance)}, {bits:.1f} bits"
    # A piece of a character cannot be gone on from by itself: it shows as U+FFFD.
    choices = [
        [visible(other.text), percent(exp(other.logprob)), other.id == token.id,
         bool(other.text) and "\ufffd" not in other.text]
        for other in token.alternatives[:SHOWN_ALTERNATIVES]
    ]  # fmt: skip
    data = escape(json.dumps(choices, ensure_ascii=False, separators=(",", ":")))
    return (
        f'{blank}<span {look} token" {style} data-at="{at}" data-title="{escape(title)}" '
        f'data-choices="{data}">{text}</span>'
    )
