"""Logits to one token, in the order of the official pipeline; numpy on one (V,) row.

Ban and penalties -> softmax -> top_p -> top_k -> temperature -> draw. Two things differ from
the PyPI package: top_p = 1 keeps every token (there it turns greedy when rounding keeps the
sum below 1), and the given logits are never changed.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.tokenizer import Tokenizer

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]

_COMPARED = 64  # scores that are compared before the highest ones are sought
_FIRST = 256  # tokens that noise is made for before the others

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
        return _edited(logits, self.tokens, self.of_tokens(logits))

    def of_tokens(self, logits: Logits) -> Logits:
        """Compute the penalised logits of `tokens` alone, (n,)."""
        penalties = (
            self.settings.presence_penalty + self.occurrences * self.settings.frequency_penalty
        )
        return (logits[self.tokens] - penalties).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Weighed:
    """Logits and their softmax, computed once for all that is asked of them.

    Attributes:
        logits: (V,), not changed.
        reference: what weights are relative to.
        weights: (V,) exp(logits - reference).
        total: sum of the weights.
    """

    logits: Logits
    reference: np.float32
    weights: Logits
    total: np.float32

    def log_prob(self, token: int) -> float:
        """Compute the model's own log probability of a token, in nats."""
        return float(self.logits[token] - self.reference - np.log(self.total))

    def edited(self, ids: Ids, values: Logits) -> Weighed:
        """Put other logits in the place of some, without weighing all the others again."""
        logits = _edited(self.logits, ids, values)
        if values.max(initial=-np.inf) <= self.reference:
            weights = self.weights.copy()
            weights[ids] = np.exp(values - self.reference)
            total = weights.sum()
            # Below that, weights of what is left would have lost digits.
            if total > 1e-6:
                return Weighed(logits, self.reference, weights, total)
        return weigh(logits)


def weigh(logits: Logits) -> Weighed:
    """Compute the softmax of logits (V,).

    Raises:
        SettingsError: all are -infinity.
        RwkvError: logits hold NaN or +infinity.
    """
    highest = _check(logits)
    weights = logits - highest
    np.exp(weights, out=weights)
    return Weighed(logits, highest, weights, weights.sum())


def occurrence_weight(text: str) -> float:
    """Say how much one occurrence of a token with this text counts for the frequency penalty.

    Blanks and digits count 0, so that numbers and indented code can repeat; they still get
    the presence penalty. Source: `PIPELINE.generate` of the PyPI package, same substring test.
    """
    return 0.0 if text in " \t0123456789" else 1.0


def sample(
    scores: Logits | Weighed,
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
        scores: logits (V,) float32, not changed.
        settings: its seed is not used.
        seed: 0 to 2**64 - 1.
        position: index of the new token in its whole text, prompt included.
        penalties: of the tokens written so far; None for none.

    Raises:
        SettingsError: a banned id is outside the vocabulary, or everything is banned.
        RwkvError: logits hold NaN or +infinity.
    """
    logits = scores.logits if isinstance(scores, Weighed) else scores
    ids, values = _edits(logits, settings, penalties)
    if settings.temperature == 0:
        logits = _edited(logits, ids, values)
        _check(logits)
        return int(np.argmax(logits))
    weighed = scores if isinstance(scores, Weighed) else weigh(scores)
    if len(ids):
        weighed = weighed.edited(ids, values)
    kept = _kept_tokens(weighed, settings.top_p, settings.top_k)
    if len(kept) == 1:
        return int(kept[0])
    chances = weighed.logits[kept] / np.float64(settings.temperature)
    return int(kept[_winner(chances, _uniform(seed, position, kept))])


def log_probs(logits: Logits) -> Logits:
    """Turn logits (V,) into the model's own log probabilities (V,), in nats, before settings.

    Raises:
        RwkvError: logits hold NaN or +infinity.
    """
    weighed = weigh(logits)
    normalised: Logits = logits - weighed.reference - np.log(weighed.total)
    return normalised


def most_likely(scores: Logits, count: int) -> Ids:
    """List the ids of the `count` highest scores (V,), best first, lower id first on ties."""
    best = _top(scores, count)
    order: Ids = best[np.lexsort((best, -scores[best]))]
    return order


def _edits(
    logits: Logits, settings: SamplingSettings, penalties: Penalties | None
) -> tuple[Ids, Logits]:
    """List the tokens that get other logits than the model's, and these."""
    ids, values = np.empty(0, np.int64), np.empty(0, np.float32)
    if penalties is not None:
        ids, values = penalties.tokens, penalties.of_tokens(logits)
    if settings.banned:
        if max(settings.banned) >= len(logits):
            raise SettingsError(
                "banned token {token} is outside the vocabulary, 0 to {last}; give ids of this "
                "model's vocabulary",
                token=max(settings.banned),
                last=len(logits) - 1,
            )
        # The last value of an id counts.
        ids = np.concatenate([ids, np.array(settings.banned, np.int64)])
        values = np.concatenate([values, np.full(len(settings.banned), -np.inf, np.float32)])
    return ids, values


def _edited(logits: Logits, ids: Ids, values: Logits) -> Logits:
    if not len(ids):
        return logits
    edited = logits.copy()
    edited[ids] = values
    return edited


def _check(logits: Logits) -> np.float32:
    """Return the highest one, if it is a number."""
    # max() is NaN when any logit is.
    highest: np.float32 = logits.max()
    if highest == -np.inf:
        raise SettingsError("all {count} tokens are banned; allow at least one", count=len(logits))
    if not math.isfinite(highest):
        raise RwkvError(
            "the model's logits hold {value}, so no token can be chosen; start a new "
            "conversation, or load the model with the strategy 'cpu fp32'",
            value=highest,
        )
    return highest


def _kept_tokens(weighed: Weighed, top_p: float, top_k: int) -> Ids:
    """List the ids that top_p and then top_k leave, in no particular order."""
    weights, total = weighed.weights, weighed.total
    if top_p >= 1:
        kept = np.flatnonzero(weights > 0)
    else:
        # Tokens below (1 - top_p) / V hold less than 1 - top_p together, so the others reach
        # top_p: only those are sorted. Half of that bound leaves room for rounding.
        likely = np.flatnonzero(weights > 0.5 * (1 - top_p) / len(weights) * total)
        few = weights[likely]
        ranked = np.sort(few)[::-1]
        last = int(np.searchsorted(np.cumsum(ranked, dtype=np.float64), top_p * float(total)))
        kept = likely[few >= ranked[min(last, len(ranked) - 1)]]
    if 0 < top_k < len(kept):
        kept = kept[_top(weights[kept], top_k)]
    return kept


def _top(scores: NDArray[Any], count: int) -> Ids:
    """Find the indices of the `count` highest scores; of equal ones the first."""
    if count >= len(scores):
        return np.arange(len(scores))
    near = np.arange(len(scores))
    if (columns := len(scores) // _COMPARED) > count:
        # As many scores as there are columns are at least their column's highest, so the
        # count-th highest of these is a score that no chosen one is below.
        highest = scores[: columns * _COMPARED].reshape(_COMPARED, columns).max(axis=0)
        near = np.flatnonzero(scores >= np.partition(highest, columns - count)[columns - count])
    some = scores[near]
    lowest = np.partition(some, len(some) - count)[len(some) - count]
    above = near[some > lowest]
    level = near[some == lowest][: count - len(above)]
    return np.concatenate([above, level])


def _winner(chances: NDArray[np.float64], uniform: NDArray[np.float64]) -> int:
    """Find the highest of chances (n,) plus the noise that uniform numbers (n,) stand for.

    Two logarithms for each of 65,536 tokens take as long as a small model. So the likeliest come
    first; of the others, none has noise enough whose number is below what the first of them needs.
    """
    if len(chances) <= _FIRST:
        return int(np.argmax(chances + _gumbel(uniform)))
    first = _top(chances, _FIRST)
    highest = (chances[first] + _gumbel(uniform[first])).max()
    needed = np.exp(-np.exp(chances[first].min() - highest))
    # A little less, for rounding.
    able = np.union1d(first, np.flatnonzero(uniform >= needed - 1e-12))
    return int(able[np.argmax(chances[able] + _gumbel(uniform[able]))])


def _gumbel(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn uniform numbers between 0 and 1 into standard Gumbel noise."""
    noise: NDArray[np.float64] = -np.log(-np.log(uniform))
    return noise


def _uniform(seed: int, position: int, tokens: Ids) -> NDArray[np.float64]:
    """Compute a uniform number for each token, from a hash of (seed, position, token)."""
    stream = _splitmix64(_splitmix64(np.array([seed], np.uint64)) + np.uint64(position))
    # Its top 53 bits, moved off 0 and 1.
    bits = _splitmix64(stream + tokens.astype(np.uint64)) >> np.uint64(11)
    uniform: NDArray[np.float64] = (bits + np.float64(0.5)) * 2.0**-53
    return uniform


def _splitmix64(counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64-bit counters. Source: Steele, Lea, Flood 2014, "Fast splittable PRNGs"."""
    mixed = counters + np.uint64(1)
    # In place: new memory takes longer than the arithmetic.
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
