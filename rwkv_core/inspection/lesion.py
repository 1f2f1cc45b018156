"""Which layer or head an answer hangs on: each one's memory is emptied in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.comparison import kl_bits
from rwkv_core.inspection.editing import ZeroHead, ZeroLayer, apply_edit
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text, log2_probabilities
from rwkv_core.state import State

# Damaged copies that read the cue together.
BATCH = 16
MAX_LESIONS = 4096


@dataclass(frozen=True, eq=False)
class Lesions:
    """What the loss of each part does to the next word.

    Attributes:
        kl_bits: (L,) or (L, H), KL(whole || damaged) in bits; NaN where not yet measured.
        likeliest: of the same shape, the token that the damaged memory finds likeliest.
        chance: of the same shape, that token's probability, 0 to 1.
        whole_likeliest: the token that the whole memory finds likeliest.
        whole_chance: its probability.
    """

    kl_bits: Floats
    likeliest: NDArray[np.int64]
    chance: Floats
    whole_likeliest: int
    whole_chance: float


def lesion(lab: Lab, text: Text, cue: Sequence[int], *, by_head: bool = False) -> Steps[Lesions]:
    """Empty the wkv memory of each layer, or head, in turn, and compare the next word.

    Token shifts, which hold the last token's trace, stay.

    Args:
        lab: what to read with.
        text: whose memory is damaged.
        cue: what is read afterwards; where empty, the text's last token is held back for it.
        by_head: each head instead of each layer.

    Raises:
        SettingsError: RWKV-4 has no heads, or there are too many.
        InputError: nothing is left to read after the damage.
    """
    config = lab.model.config
    L, H = config.n_layer, config.n_head
    if by_head and config.has_exponents:
        raise SettingsError("RWKV-4 has no heads: each layer is one; choose layers")
    if by_head and L * H > MAX_LESIONS:
        raise SettingsError(
            "this model has {count:,} heads, the limit is {limit:,}; choose layers",
            count=L * H,
            limit=MAX_LESIONS,
        )
    if not cue:
        text, cue = text._replace(ids=text.ids[:-1]), text.ids[-1:]
    if not cue or not (text.ids or text.root):
        raise InputError("there is nothing to read after the damage; give a longer text, or a cue")
    before = yield from lab.read(text)
    done = len(text.ids)
    whole, _ = yield from lab.read_together(before.state, cue, done)
    parts: list[ZeroLayer | ZeroHead] = [ZeroLayer(layer) for layer in range(L)]
    if by_head:
        parts = [ZeroHead(layer, head) for layer, head in np.ndindex(L, H)]
    found = _unknown((L, H) if by_head else (L,), log2_probabilities(whole[0]))
    for at in range(0, len(parts), BATCH):
        some = parts[at : at + BATCH]
        damaged = State.stack([apply_edit(before.state, part) for part in some])
        logits, _ = yield from lab.read_together(damaged, cue, done + (1 + at) * len(cue))
        _fill(found, slice(at, at + len(some)), whole[0], logits)
        yield Progress(done + (1 + at + len(some)) * len(cue), _copy(found))
    return found


def tokens_of(n_layer: int, n_head: int, ids: int, cue: int, *, by_head: bool) -> int:
    """Count what `lesion` reads."""
    return ids + max(cue, 1) * (1 + n_layer * (n_head if by_head else 1))


def _unknown(shape: tuple[int, ...], whole: Floats) -> Lesions:
    best = int(whole.argmax())
    nothing = np.full(shape, np.nan)
    return Lesions(
        nothing, np.zeros(shape, np.int64), nothing.copy(), best, float(np.exp2(whole[best]))
    )  # fmt: skip


def _fill(found: Lesions, at: slice, whole: NDArray[np.float32], logits: Floats) -> None:
    chances = log2_probabilities(logits)
    best = chances.argmax(axis=-1)
    found.kl_bits.ravel()[at] = kl_bits(whole[None], logits.astype(np.float32))
    found.likeliest.ravel()[at] = best
    found.chance.ravel()[at] = np.exp2(np.take_along_axis(chances, best[:, None], 1)[:, 0])


def _copy(found: Lesions) -> Lesions:
    return Lesions(
        found.kl_bits.copy(), found.likeliest.copy(), found.chance.copy(),
        found.whole_likeliest, found.whole_chance,
    )  # fmt: skip


def strongest(found: Lesions) -> tuple[int, ...]:
    """Find the layer, or layer and head, whose loss changes the next word most."""
    flat = int(np.nanargmax(found.kl_bits))
    return tuple(int(i) for i in np.unravel_index(flat, found.kl_bits.shape))
