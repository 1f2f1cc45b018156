"""What the inspector needs to know about one reading of a text, and what may be asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rwkv_core.config import ModelConfig
from rwkv_core.state import State

Array = NDArray[np.float32]
Ids = NDArray[np.int64]

# A recording never takes more than this, whatever is asked for; layers are left out first.
MAX_RECORDING_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Wanted:
    """What to keep of a reading besides its norms, which cost next to nothing.

    Attributes:
        inputs_tokens: of how many tokens, the last ones, to keep what each recurrence was given.
        layers: of which layers; None: as many as fit, evenly spread.
        spectra: at how many moments to take the singular values of every head.
        lens_tokens: for how many tokens, the last ones, to ask every layer what comes next.
        activity: whether to measure gates and the channel mix.
    """

    inputs_tokens: int = 0
    layers: tuple[int, ...] | None = None
    spectra: int = 0
    lens_tokens: int = 0
    activity: bool = False


# The norms alone, and all that a closer look shows.
GLANCE = Wanted()
CLOSE_LOOK = Wanted(inputs_tokens=512, spectra=32, lens_tokens=512, activity=True)


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """What one layer's recurrence was given for T consecutive tokens, as in kernels.reference.

    Everything about these tokens follows from it: states, what was read, how long it lasted.

    Attributes:
        first: position of the first of these tokens in the text.
        state: S before that token, (H, V, K); for RWKV-4 (3, C).
        k: (T, H, K) keys; for RWKV-4 (T, C).
        v: (T, H, V) values; for RWKV-4 (T, C).
        log_decay: (T, H, K), or (H, K) where it never changes; for RWKV-4 (C,). Nats, <= 0.
        r: (T, H, K) receptance; None for RWKV-4, which reads its mean as it is.
        u: bonus of the current token, (H, K), for RWKV-4 (C,); None where there is none.
        kk: (T, H, K) removal key; None for generations that never erase.
        a: (T, H, K) in-context learning rate; None likewise.
    """

    first: int
    state: Array
    k: Array
    v: Array
    log_decay: Array
    r: Array | None = None
    u: Array | None = None
    kk: Array | None = None
    a: Array | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(part.nbytes for part in vars(self).values() if isinstance(part, np.ndarray))


@dataclass(frozen=True, eq=False)
class Spectra:
    """Singular values of every head's matrix at some moments.

    Attributes:
        positions: (P,) after which tokens.
        values: (P, L, H, K), falling along K.
    """

    positions: Ids
    values: Array


@dataclass(frozen=True, eq=False)
class Lens:
    """What every layer would say comes next, if the layers after it were left out.

    Attributes:
        first: position of the first of N tokens asked at.
        top: (L, N) the likeliest next token.
        top_probability: (L, N) its probability.
        told_probability: (L, N) that of the token that did come next; NaN where none did.
    """

    first: int
    top: Ids
    top_probability: Array
    told_probability: Array


@dataclass(frozen=True, eq=False)
class Recording:
    """Measures taken while a model read T tokens; numpy, no per-token states.

    Attributes:
        tokens: (T,) the ids read.
        state_norm: (L, T) Frobenius norm of all heads' wkv state after each token.
        change_norm: (L, T) norm of the difference each token made to it. That difference is
            what was written, less what faded, less what was erased; three norms follow.
        fade_norm: (L, T) of S (1 - diag(decay)); for RWKV-4 of what the mean gave up.
        erase_norm: (L, T) of (S kk)(kk ∘ a)ᵀ; zero for generations that never erase.
        write_norm: (L, T) of v kᵀ; for RWKV-4 of what the newest value brought to the mean.
        head_norm: (L, H) Frobenius norm of each head's wkv state after the last token.
        log_decay: (L, H, K) mean log decay per channel over the text, nats per token, <= 0.
        surprise_bits: (T,) -log2 p(token | before); NaN where nothing came before it.
        logits: (V,) logits after the last token.
        state: the state after the last token, B = 1, on the CPU.
        layers: inputs by layer, where wanted.
        spectra: where wanted and the memory is made of matrices.
        lens: where wanted.
        activity: (L, T) each, where wanted: "receptance" (root mean square), "opening" (mean of
            RWKV-4's receptance, 0 to 1), "gate" (mean size of the output gate), "rate" (mean
            in-context learning rate), "active" (share of the channel mix's units above zero),
            "channel gate" (mean of its gate). A generation without a part has no such entry.
    """

    tokens: Ids
    state_norm: Array
    change_norm: Array
    fade_norm: Array
    erase_norm: Array
    write_norm: Array
    head_norm: Array
    log_decay: Array
    surprise_bits: Array
    logits: Array
    state: State
    layers: Mapping[int, LayerInputs] = field(default_factory=dict)
    spectra: Spectra | None = None
    lens: Lens | None = None
    activity: Mapping[str, Array] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays and the state."""
        parts = (*vars(self).values(), *self.activity.values())
        parts += tuple(vars(self.spectra).values()) if self.spectra else ()
        parts += tuple(vars(self.lens).values()) if self.lens else ()
        arrays = sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
        return arrays + self.state.nbytes + sum(kept.nbytes for kept in self.layers.values())


def layers_kept(config: ModelConfig, wanted: Wanted, tokens: int, arrays: int) -> tuple[int, ...]:
    """Choose whose inputs are kept, so that a recording stays within its limit.

    Args:
        config: sizes.
        wanted: what is asked for.
        tokens: length of the text.
        arrays: (T, C) arrays that the recurrence of one layer takes.

    Returns:
        Layers in rising order, evenly spread where not all fit; the last one is among them.
    """
    window = min(wanted.inputs_tokens, tokens)
    if window == 0:
        return ()
    each = 4 * (window * arrays * config.n_embd + math.prod(config.wkv_shape))
    asked = range(config.n_layer) if wanted.layers is None else sorted(set(wanted.layers))
    # The norms and the rest take little; an eighth of the limit is theirs.
    fitting = min(len(asked), max(1, MAX_RECORDING_BYTES * 7 // 8 // each))
    places = np.linspace(len(asked) - 1, 0, fitting).round().astype(int)[::-1]
    return tuple(asked[place] for place in places)
