"""Seeded synthetic recordings for tests that need no model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rwkv_core.recording import Array, LayerInputs, Lens, Recording, Spectra
from rwkv_core.state import State


def make_recording(
    tokens: int = 40, *, n_layer: int = 3, n_head: int = 2, head_size: int = 4, seed: int = 0
) -> Recording:
    """Make a recording whose memory fills up while surprise and change go together.

    Args:
        tokens: T.
        n_layer: L.
        n_head: H.
        head_size: K and V.
        seed: same seed, same recording.
    """
    rng = np.random.default_rng(seed)
    steps = np.arange(1, tokens + 1)
    speed = np.linspace(5, 40, n_layer)[:, None]
    state_norm = (1 - np.exp(-steps / speed)) * np.linspace(4, 12, n_layer)[:, None]
    bits = rng.gamma(2.0, 2.5, tokens)
    change = state_norm * (0.02 + 0.02 * bits * rng.uniform(0.5, 1.5, (n_layer, tokens)))
    bits[0] = np.nan
    shares = rng.dirichlet(np.ones(n_head), n_layer)
    rate = np.exp(rng.normal(-3, 2, (n_layer, n_head, head_size)))
    wkv = torch.from_numpy(rng.normal(size=(n_layer, 1, n_head, head_size, head_size)))
    shift = torch.zeros(n_layer, 1, n_head * head_size)
    return Recording(
        tokens=np.arange(tokens, dtype=np.int64),
        state_norm=state_norm.astype(np.float32),
        change_norm=change.astype(np.float32),
        fade_norm=(0.6 * change).astype(np.float32),
        erase_norm=(0.3 * change).astype(np.float32),
        write_norm=(0.9 * change).astype(np.float32),
        head_norm=(np.sqrt(shares) * state_norm[:, -1:]).astype(np.float32),
        log_decay=-np.clip(rate, 2e-4, 0.6065).astype(np.float32),
        surprise_bits=bits.astype(np.float32),
        logits=rng.normal(size=16).astype(np.float32),
        state=State(shift, wkv.float(), shift),
    )


def make_close_recording(tokens: int, layers: Sequence[int]) -> Recording:
    """Make a recording with all that a closer look needs, of three layers and two heads."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    heads = (tokens, 2, 4)
    kk = draw(*heads)
    inputs = LayerInputs(
        first=0,
        state=np.zeros((2, 4, 4), np.float32),
        k=draw(*heads),
        v=draw(*heads),
        log_decay=-np.abs(draw(*heads)),
        r=draw(*heads),
        kk=kk / np.linalg.norm(kk, axis=-1, keepdims=True),
        a=np.full(heads, 0.5, np.float32),
    )
    chance = rng.random((3, tokens)).astype(np.float32)
    told = chance / 2
    told[:, -1] = np.nan
    return replace(
        make_recording(tokens),
        layers=dict.fromkeys(layers, inputs),
        spectra=Spectra(np.array([0, tokens - 1]), np.sort(np.abs(draw(2, 3, 2, 4)))[..., ::-1]),
        lens=Lens(0, rng.integers(0, 50, (3, tokens)), chance, told.astype(np.float32)),
        activity={"active": chance, "gate": chance},
    )


def make_texts(tokens: int) -> list[str]:
    """Name the tokens: an empty first one, words, and a line break in every tenth place."""
    words = ["The", " dragon", " sat", " by", " the", " river", " and", " sang", "."]
    texts = ["\n" if i % 10 == 0 else words[i % len(words)] for i in range(tokens)]
    return ["", *texts[1:]]
