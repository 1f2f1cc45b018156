"""Logits to one token, in the order of the official pipeline; numpy on one (V,) row.

Ban and penalties -> softmax -> top_p -> top_k -> temperature -> draw. Two things differ from
the PyPI package: top_p = 1 keeps every token (there it turns greedy when rounding keeps the
sum below 1), and the given logits are never changed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.tokenizer import Tokenizer

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]

_LIMITS = {
    "temperature": (0.0, 10.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 65536),
    "presence_penalty": (-10.0, 10.0),
    "frequency_penalty": (-10.0, 10.0),
    "penalty_decay": (0.0, 1.0),
    "seed": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class SamplingSettings:
    """How a token is chosen from logits.

    Attributes:
        temperature: 0 to 10; 0 takes the most likely token, higher is more surprising.
        top_p: 0 to 1; keeps the most likely tokens that together reach this probability,
            and any as likely as the last of them; 1 keeps all.
        top_k: 0 to 65536; keeps at most this many; 0 keeps all.
        presence_penalty: -10 to 10, taken once from the logit of each token written before.
        frequency_penalty: -10 to 10, taken once per (decayed) occurrence.
        penalty_decay: 0 to 1, factor on the counted occurrences per further token.
        banned: ids that are never chosen.
        seed: 0 to 2**64 - 1; None draws one for each generation.

    Raises:
        SettingsError: a value is outside its range.
    """

    temperature: float = 1.0
    top_p: float = 0.85
    top_k: int = 0
    presence_penalty: float = 0.2
    frequency_penalty: float = 0.2
    penalty_decay: float = 0.996
    banned: tuple[int, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            # NaN fails both comparisons, so it is refused too.
            if not (low <= value <= high if value is not None else name == "seed"):
                raise SettingsError(
                    "{name} is {value}, but must be {low} to {high}; choose a value in that range",
                    name=name,
                    value=value,
                    low=low,
                    high=high,
                )
        if self.banned and min(self.banned) < 0:
            raise SettingsError(
                "banned token {token} is below 0; give token ids of the vocabulary",
                token=min(self.banned),
            )


def draw_seed() -> int:
    """Draw a seed at random: 32 bits, which any page and file shows exactly."""
    return secrets.randbits(32)


@dataclass(frozen=True, eq=False)
class Penalties:
    """Penalties for the tokens written so far; the prompt does not count.

    Attributes:
        settings: presence_penalty, frequency_penalty and penalty_decay are used.
        tokenizer: tells which tokens are blanks or digits.
        tokens: (n,) int64, each token written so far once.
        occurrences: (n,) float64, how often, decayed.
    """

    settings: SamplingSettings
    tokenizer: Tokenizer
    tokens: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    occurrences: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def after(self, token: int) -> Penalties:
        """Count one more token; the older ones fade by penalty_decay."""
        weight = occurrence_weight(self.tokenizer.decode([token]))
        tokens, occurrences = self.tokens, self.occurrences * self.settings.penalty_decay
        if token in tokens:
            occurrences[tokens == token] += weight
        else:
            tokens, occurrences = np.append(tokens, token), np.append(occurrences, weight)
        return Penalties(self.settings, self.tokenizer, tokens, occurrences)

    def apply(self, logits: Logits) -> Logits:
        """Return penalised logits (V,); the given ones stay as they are."""
        penalised = logits.copy()
        penalised[self.tokens] -= (
            self.settings.presence_penalty + self.occurrences * self.settings.frequency_penalty
        )
        return penalised


def occurrence_weight(text: str) -> float:
    """Say how much one occurrence of a token with this text counts for the frequency penalty.

    Blanks and digits count 0, so that numbers and indented code can repeat; they still get
    the presence penalty. Source: `PIPELINE.generate` of the PyPI package, same substring test.
    """
    return 0.0 if text in " \t0123456789" else 1.0


def sample(
    logits: Logits,
    settings: SamplingSettings,
    *,
    seed: int,
    position: int,
    penalties: Penalties | None = None,
) -> int:
    """Choose one token.

    The choice is the argmax of logits / temperature plus Gumbel noise over the kept tokens,
    which draws from their softmax. The noise depends on seed, position and token id only, so
    a seed gives the same text alone or in a batch, today or tomorrow.

    Args:
        logits: (V,) float32, not changed.
        settings: its seed is not used.
        seed: 0 to 2**64 - 1.
        position: index of the new token in its whole text, prompt included.
        penalties: of the tokens written so far; None for none.

    Raises:
        SettingsError: a banned id is outside the vocabulary, or everything is banned.
        RwkvError: logits hold NaN or +infinity.
    """
    if penalties is not None:
        logits = penalties.apply(logits)
    if settings.banned:
        logits = _ban(logits, settings.banned)
    _check(logits)
    if settings.temperature == 0:
        return int(np.argmax(logits))
    kept = _kept_tokens(logits, settings.top_p, settings.top_k)
    scores = logits[kept] / np.float64(settings.temperature) + _gumbel(seed, position, kept)
    return int(kept[np.argmax(scores)])


def log_probs(logits: Logits) -> Logits:
    """Turn logits (V,) into the model's own log probabilities (V,), in nats, before settings.

    Raises:
        RwkvError: logits hold NaN or +infinity.
    """
    _check(logits)
    shifted = logits - logits.max()
    normalised: Logits = shifted - np.log(np.exp(shifted).sum())
    return normalised


def most_likely(scores: Logits, count: int) -> Ids:
    """List the ids of the `count` highest scores (V,), best first, lower id first on ties."""
    best = _top(scores, count)
    order: Ids = best[np.lexsort((best, -scores[best]))]
    return order


def _ban(logits: Logits, banned: tuple[int, ...]) -> Logits:
    if max(banned) >= len(logits):
        raise SettingsError(
            "banned token {token} is outside the vocabulary, 0 to {last}; give ids of this "
            "model's vocabulary",
            token=max(banned),
            last=len(logits) - 1,
        )
    allowed = logits.copy()
    allowed[list(banned)] = -np.inf
    return allowed


def _check(logits: Logits) -> None:
    # max() is NaN when any logit is.
    highest = logits.max()
    if highest == -np.inf:
        raise SettingsError("all {count} tokens are banned; allow at least one", count=len(logits))
    if not np.isfinite(highest):
        raise RwkvError(
            "the model's logits hold {value}, so no token can be chosen; start a new "
            "conversation, or load the model with the strategy 'cpu fp32'",
            value=highest,
        )


def _kept_tokens(logits: Logits, top_p: float, top_k: int) -> Ids:
    """List the ids that top_p and then top_k leave, in no particular order."""
    probs = np.exp(logits - logits.max())
    probs /= probs.sum()
    if top_p >= 1:
        kept = np.flatnonzero(probs)
    else:
        # Tokens below (1 - top_p) / V hold less than 1 - top_p together, so the others reach
        # top_p: only those are sorted. Half of that bound leaves room for rounding.
        likely = np.flatnonzero(probs > 0.5 * (1 - top_p) / len(probs))
        ranked = np.sort(probs[likely])[::-1]
        last = int(np.searchsorted(np.cumsum(ranked, dtype=np.float64), top_p))
        kept = np.flatnonzero(probs >= ranked[min(last, len(ranked) - 1)])
    if 0 < top_k < len(kept):
        kept = kept[_top(probs[kept], top_k)]
    return kept


def _top(scores: Logits, count: int) -> Ids:
    """Find the indices of the `count` highest scores; of equal ones the first."""
    if count >= len(scores):
        return np.arange(len(scores))
    lowest = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > lowest)
    level = np.flatnonzero(scores == lowest)[: count - len(above)]
    return np.concatenate([above, level])


def _gumbel(seed: int, position: int, tokens: Ids) -> NDArray[np.float64]:
    """Compute standard Gumbel noise for each token, from a hash of (seed, position, token)."""
    stream = _splitmix64(_splitmix64(np.array([seed], np.uint64)) + np.uint64(position))
    # Its top 53 bits, moved off 0 and 1, are a uniform number.
    bits = _splitmix64(stream + tokens.astype(np.uint64)) >> np.uint64(11)
    noise: NDArray[np.float64] = -np.log(-np.log((bits + 0.5) * 2.0**-53))
    return noise


def _splitmix64(counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64-bit counters. Source: Steele, Lea, Flood 2014, "Fast splittable PRNGs"."""
    mixed = (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
