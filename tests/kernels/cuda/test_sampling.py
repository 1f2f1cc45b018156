"""Tokens chosen by CUDA code, run by the emulator, are those that rwkv_core/sampling.py chooses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kernels.cuda.device import Device
from kernels.cuda.sampling import ALL_BANNED, NOT_FINITE, TokenChoice, sample_tokens
from rwkv_core.sampling import SamplingSettings, sample

PLAIN = TokenChoice(1.0, 1.0, 0, seed=7, position=3)
V = 300


def choose(
    device: Device, logits: np.ndarray[tuple[int], np.dtype[np.float32]], choice: TokenChoice
) -> int:
    return int(sample_tokens(device, torch.from_numpy(logits)[None], [choice])[0])


def expected(logits: np.ndarray[tuple[int], np.dtype[np.float32]], choice: TokenChoice) -> int:
    given = logits.astype(np.float64)
    for token, amount in choice.adjustments.items():
        given[token] -= amount
    settings = SamplingSettings(choice.temperature, choice.top_p, choice.top_k)
    return sample(given.astype(np.float32), settings, seed=choice.seed, position=choice.position)


CHOICES = [
    PLAIN,
    replace(PLAIN, temperature=0),
    replace(PLAIN, temperature=1.7, top_p=0.85),
    replace(PLAIN, top_p=0.3, seed=2**64 - 1, position=10**9),
    replace(PLAIN, top_p=0.0),
    replace(PLAIN, top_k=1),
    replace(PLAIN, top_k=40, top_p=0.9),
    replace(PLAIN, temperature=10, top_k=250, top_p=0.999),
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_same_tokens_are_chosen_as_by_numpy(emulated: Device, choice: TokenChoice) -> None:
    draw = np.random.default_rng(1)
    for seed in range(3):
        logits = (3 * draw.standard_normal(V)).astype(np.float32)
        adjusted = replace(
            choice,
            seed=(choice.seed + seed) % 2**64,
            adjustments={int(logits.argmax()): 1.25, 17: float("inf"), V - 1: -2.0},
        )
        assert choose(emulated, logits, adjusted) == expected(logits, adjusted)


def test_of_equal_tokens_top_k_keeps_the_first(emulated: Device) -> None:
    logits = np.zeros(V, np.float32)
    logits[100:] = 1
    for seed in range(4):
        choice = replace(PLAIN, top_k=5, seed=seed)
        found = choose(emulated, logits, choice)
        assert 100 <= found < 105
        assert found == expected(logits, choice)


def test_every_conversation_has_its_own_settings(emulated: Device) -> None:
    logits = torch.randn(4, V)
    choices = [replace(PLAIN, seed=seed, adjustments={seed: 50.0}) for seed in range(4)]
    found = sample_tokens(emulated, logits, choices).tolist()
    assert found == [expected(row.numpy(), c) for row, c in zip(logits, choices, strict=True)]


def test_logits_that_are_no_numbers_and_banned_vocabularies_are_told(emulated: Device) -> None:
    broken = np.zeros(V, np.float32)
    for bad in (np.nan, np.inf):
        broken[V // 2] = bad
        for choice in (PLAIN, replace(PLAIN, temperature=0)):
            assert choose(emulated, broken, choice) == NOT_FINITE
    banned = replace(PLAIN, adjustments=dict.fromkeys(range(V), float("inf")))
    assert choose(emulated, np.zeros(V, np.float32), banned) == ALL_BANNED


def test_logits_stay_as_they_were(emulated: Device) -> None:
    logits = torch.randn(1, V)
    kept = logits.clone()
    sample_tokens(emulated, logits, [replace(PLAIN, adjustments={3: 1.0})])
    assert torch.equal(logits, kept)


@pytest.mark.cuda
def test_on_a_gpu_the_same_tokens_are_chosen() -> None:
    from kernels.cuda.device import open_device

    logits = 3 * torch.randn(8, 65536)
    choices = [replace(PLAIN, top_p=0.85, top_k=100 * (row % 2), seed=row) for row in range(8)]
    found = sample_tokens(open_device(torch.device("cuda")), logits.cuda(), choices).tolist()
    assert found == [expected(row.numpy(), c) for row, c in zip(logits, choices, strict=True)]
