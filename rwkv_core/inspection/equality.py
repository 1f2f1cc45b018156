"""The same text read at once and word by word: how far the two ways of computing agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.lab import Lab, Progress, Steps
from rwkv_core.state import State


@dataclass(frozen=True, eq=False)
class Equality:
    """Reading T tokens in pieces at once ("GPT mode") beside one by one ("RNN mode").

    Attributes:
        difference: (T,) the largest absolute difference of a token's logits.
        logit_spread: standard deviation of all logits, to measure differences in.
        same_likeliest: for how many tokens both find the same next token likeliest.
        memory_difference: (L,) ||S_gpt - S_rnn|| / ||S_rnn|| of the wkv state at the end.
        shift_difference: (L,) the same of both token shifts.
        piece_tokens: the most tokens read at once.
        gpt_s: seconds of reading at once, the model alone.
        rnn_s: seconds of reading one by one.
    """

    difference: Floats
    logit_spread: float
    same_likeliest: int
    memory_difference: Floats
    shift_difference: Floats
    piece_tokens: int
    gpt_s: float
    rnn_s: float


def compare_modes(
    lab: Lab, ids: Sequence[int], *, clock: Callable[[], float] = time.perf_counter
) -> Steps[Equality]:
    """Read a text both ways and compare every token's logits and the memory at the end.

    Args:
        lab: what to read with.
        ids: T tokens.
        clock: seconds.
    """
    at_once, one_by_one = lab.start, lab.start
    differences, same, moments = [], 0, np.zeros(3)
    times = [0.0, 0.0]
    for at in range(0, len(ids), lab.chunk_tokens):
        piece = list(ids[at : at + lab.chunk_tokens])
        begun = clock()
        every, at_once = lab.model.forward(torch.tensor([piece]), at_once, all_logits=True)
        times[0] += clock() - begun
        yield Progress(2 * at + len(piece))
        for index, token in enumerate(piece):
            begun = clock()
            logits, one_by_one = lab.model.forward([token], one_by_one)
            times[1] += clock() - begun
            both = torch.stack([every[0, index], logits[0]]).double().cpu().numpy()
            differences.append(float(np.abs(both[0] - both[1]).max()))
            same += int(both[0].argmax() == both[1].argmax())
            moments += (both[1].size, both[1].sum(), np.square(both[1]).sum())
            yield Progress(2 * at + len(piece) + index + 1)
    assert at_once is not None
    assert one_by_one is not None
    count, total, squares = moments
    memory, shift = state_differences(at_once, one_by_one)
    return Equality(
        np.array(differences), float(np.sqrt(max(0.0, squares / count - (total / count) ** 2))),
        same, memory, shift, min(lab.chunk_tokens, len(ids)), times[0], times[1],
    )  # fmt: skip


def state_differences(a: State, b: State) -> tuple[Floats, Floats]:
    """Compare two states layer by layer, relative to the second; B = 1.

    Returns:
        (L,) of the wkv states (RWKV-4: of the remembered means), and (L,) of the token shifts;
        0 where both are empty.
    """
    memory = relative_difference(_rows(a.memory), _rows(b.memory))
    shifts = [torch.cat([s.time_mix_shift, s.channel_mix_shift], dim=-1) for s in (a, b)]
    return memory, relative_difference(*(_rows(part) for part in shifts))


def relative_difference(a: Floats, b: Floats) -> Floats:
    """Compute ||a - b|| / ||b|| for each row of (L, N) arrays; 0 where both are all zeros."""
    size, apart = np.linalg.norm(b, axis=1), np.linalg.norm(a - b, axis=1)
    found = np.where(apart > 0, np.inf, 0.0)
    np.divide(apart, size, out=found, where=size > 0)
    return found


def _rows(part: torch.Tensor) -> Floats:
    array: Floats = part.detach().cpu().double().numpy().reshape(len(part), -1)
    return array
