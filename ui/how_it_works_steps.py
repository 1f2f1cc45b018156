"""The steps of How it works as HTML: words with live numbers, a formula, cells, where to read on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

import numpy as np

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.walk import Stage, Walk
from ui.components import percent
from ui.inspector_views import VIEW_NAMES
from ui.study_parts import word_of


class Paper(NamedTuple):
    """Where a generation is described."""

    title: str
    number: str


PAPERS = {
    "4": Paper("RWKV: Reinventing RNNs for the Transformer Era", "2305.13048"),
    "5": Paper(
        "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence", "2404.05892"
    ),
    "7": Paper("RWKV-7 “Goose” with Expressive Dynamic State Evolution", "2503.14456"),
}
PAPERS["6"] = PAPERS["5"]
# Which section of the paper; a key of presets/words.
SECTIONS = {"shift": "on_shift", "channel_mix": "on_channel", "next": "on_whole"}
# The sub-tab and the figure that show a step over a whole text.
VIEWS = {
    "shift": ("compare", "likeness"),
    "receptance": ("see", "reading"),
    "gate": ("see", "gates"),
    "decay": ("see", "forgetting"),
    "rate": ("see", "gates"),
    "write": ("see", "change"),
    "read": ("see", "reading"),
    "time_mix": ("experiment", "lesions"),
    "channel_mix": ("see", "sparsity"),
    "next": ("see", "lens"),
}
# Strips that are named by a word; all others by the letter of their formula.
WORDS = ("now", "before")
# How to get a figure that is not there yet: by sub-tab, a key of presets/words.
ASKS = {"compare": "ask_compare", "experiment": "ask_lesion"}
# By step, then by the first generation from which on it holds. x is the normed stream.
FORMULAS: Mapping[str, Mapping[str, str]] = {
    "shift": {
        "4": "z = μ ⊙ x<sub>t</sub> + (1 − μ) ⊙ x<sub>t−1</sub>",
        "6": "z = x<sub>t</sub> + (x<sub>t−1</sub> − x<sub>t</sub>) ⊙ (μ + m<sub>t</sub>)",
        "7": "z = x<sub>t</sub> + (x<sub>t−1</sub> − x<sub>t</sub>) ⊙ μ",
    },
    "receptance": {
        "4": "r = σ(W<sub>r</sub> z<sub>r</sub>), k = W<sub>k</sub> z<sub>k</sub>, "
        "v = W<sub>v</sub> z<sub>v</sub>",
        "5": "r = W<sub>r</sub> z<sub>r</sub>, k = W<sub>k</sub> z<sub>k</sub>, "
        "v = W<sub>v</sub> z<sub>v</sub>",
    },
    "gate": {
        "5": "g = silu(W<sub>g</sub> z<sub>g</sub>)",
        "7": "g = σ(z<sub>g</sub> g<sub>1</sub>) g<sub>2</sub>",
    },
    "decay": {
        "4": "w = exp(−exp(ω))",
        "6": "w<sub>t</sub> = exp(−exp(ω + tanh(z<sub>w</sub> A) B))",
        "7": "w<sub>t</sub> = exp(−e<sup>−½</sup> σ(w<sub>0</sub> + tanh(z<sub>w</sub> w<sub>1</sub>)"
        " w<sub>2</sub>))",
    },
    "rate": {
        "7": "a = σ(a<sub>0</sub> + (z<sub>a</sub> a<sub>1</sub>) a<sub>2</sub>), "
        "κ = k ⊙ k<sub>k</sub> / ‖k ⊙ k<sub>k</sub>‖"
    },
    "write": {
        "4": "N ← w N + e<sup>k</sup> v, D ← w D + e<sup>k</sup>",
        "5": "S ← S diag(w) + v kᵀ",
        "7": "S ← S diag(w) − (S κ)(κ ⊙ a)ᵀ + v kᵀ",
    },
    "read": {
        "4": "y = (N + e<sup>u+k</sup> v) / (D + e<sup>u+k</sup>)",
        "5": "y = S r + (r · (u ⊙ k)) v",
        "7": "y = S r",
    },
    "time_mix": {
        "4": "stream += W<sub>o</sub> (r ⊙ y)",
        "5": "stream += W<sub>o</sub> (norm(y) ⊙ g)",
        "7": "stream += W<sub>o</sub> ((norm(y) + (r · (ρ ⊙ k)) v) ⊙ g)",
    },
    "channel_mix": {
        "4": "stream += σ(W<sub>r</sub> z<sub>r</sub>) ⊙ W<sub>v</sub> max(0, W<sub>k</sub> "
        "z<sub>k</sub>)²",
        "7": "stream += W<sub>v</sub> max(0, W<sub>k</sub> z<sub>k</sub>)²",
    },
    "next": {"4": "p = softmax(W norm(stream))"},
}


def steps_html(language: str, engine: Engine, walk: Walk) -> str:
    """Write every step of a walk as a numbered list.

    Args:
        language: of the visitor.
        engine: gives the generation and the words.
        walk: the token's way.
    """
    generation = engine.model.config.generation
    rows = [
        _step(
            language, generation, stage.name, stage_text(language, generation, stage), stage.cells
        )
        for stage in walk.stages
    ]
    words = ", ".join(
        f"“{word_of(engine, token)}” {percent(chance)}"
        for token, chance in zip(walk.likeliest, walk.chances, strict=True)
    )
    said = speak(language, "how.next_text", words=words)
    rows.append(_step(language, generation, "next", said, {}))
    return f'<ol class="how-steps">{"".join(rows)}</ol>'


def stage_text(language: str, generation: str, stage: Stage) -> str:
    """Say what happens in one step, with its numbers."""
    n, major = stage.numbers, generation[0]

    def percents(*names: str) -> dict[str, str]:
        return {name: f"{100 * n[name]:.3g}" for name in names if name in n}

    def plain(*names: str) -> dict[str, str]:
        return {name: f"{n[name]:.3g}" for name in names if name in n}

    match stage.name:
        case "shift":
            values = {f"of_{name}": f"{100 * share:z.0f}" for name, share in n.items()}
            return speak(language, "how.shift_text", **values)
        case "receptance":
            key = "receptance_4" if major == "4" else "receptance_text"
            return speak(language, f"how.{key}", **plain("r", "k", "v"), **percents("open"))
        case "gate":
            return speak(language, "how.gate_text", **plain("mean"))
        case "decay":
            key = "decay_fixed" if major in "45" else "decay_token"
            lasts = tokens_text(language, n["half_life_tokens"])
            values = plain("median", "least", "most")
            return speak(language, f"how.{key}", half_life=lasts, **values)
        case "rate":
            return speak(language, "how.rate_text", **plain("mean", "least", "most"))
        case "write" if major == "4":
            return speak(
                language, "how.write_4", new=f"{100 * n['new_share']:.3g}",
                exponent=f"{n['largest_exponent']:.3g}",
            )  # fmt: skip
        case "write":
            key = "write_7" if major == "7" else "write_add"
            shares = percents("faded", "erased", "written")
            return speak(language, f"how.{key}", **shares, **plain("before", "after"))
        case "read" if major == "4":
            return speak(language, "how.read_4", own=f"{100 * n['own_share']:.3g}")
        case "read":
            key = "read_7" if major == "7" else "read_bonus"
            return speak(language, f"how.{key}", **plain("memory", "own"))
        case "time_mix":
            return speak(language, "how.time_mix_text", **percents("added"))
        case _:
            key = "channel_gated" if "open" in n else "channel_plain"
            return speak(language, f"how.{key}", **percents("added", "active", "open"))


def tokens_text(language: str, count: float) -> str:
    """Write a half-life."""
    if not np.isfinite(count):
        return speak(language, "how.endless")
    return speak(language, "how.tokens", count=f"{count:.1f}" if count < 10 else f"{count:,.0f}")


def formula(name: str, generation: str) -> str:
    """Find the formula of a step, HTML: that of the newest generation up to this one."""
    known = FORMULAS[name]
    return known[max(first for first in known if first <= generation[0])]


def _step(language: str, generation: str, name: str, said: str, cells: Mapping[str, Floats]) -> str:
    paper = PAPERS[generation[0]]
    section = speak(language, f"how.{SECTIONS.get(name, 'on_time')}")
    cited = speak(
        language, "how.paper", title=paper.title, number=paper.number, section=section
    )  # fmt: skip
    tab, view = VIEWS[name]
    strips = "".join(_strip(language, letter, values) for letter, values in cells.items())
    return (
        f"<li><h2>{escape(speak(language, f'how.{name}'))}</h2>"
        f"<p>{escape(said)}</p>"
        f'<p class="formula">{formula(name, generation)}</p>{strips}'
        f'<p class="how-links"><a href="#" data-tab="{tab}" data-view="{view}" '
        f'data-ask="{escape(_ask(language, tab, view))}">'
        f"{escape(speak(language, 'how.see'))}</a>"
        f'<a href="https://arxiv.org/abs/{paper.number}" target="_blank" rel="noopener">'
        f"{escape(cited)}</a></p></li>"
    )


def _ask(language: str, tab: str, view: str) -> str:
    """Say what to do for a figure that is not there yet."""
    key = ASKS.get(tab, "ask_read" if view in VIEW_NAMES else "ask_closer")
    return speak(
        language, f"how.{key}", depth=speak(language, "inspector.researcher"),
        experiment=speak(language, "experiment.lesion"),
    )  # fmt: skip


def _strip(language: str, letter: str, values: Floats) -> str:
    """Draw a vector as a row of cells: the stronger the colour, the larger the number."""
    largest = float(np.abs(values).max()) or 1.0
    if letter in WORDS:
        letter = speak(language, f"how.cells_{letter}")
    label = speak(
        language, "how.cells", letter=letter, count=len(values),
        least=f"{values.min():.3g}", most=f"{values.max():.3g}",
    )  # fmt: skip
    marks = "".join(
        f'<i class="{"down" if value < 0 else "up"}" style="--v:{abs(value) / largest:.2f}"></i>'
        for value in values
    )
    return (
        f'<div class="how-cells" role="img" aria-label="{escape(label)}" title="{escape(label)}">'
        f"<b>{escape(letter)}</b><span>{marks}</span></div>"
    )
