import random
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from rwkv_core.errors import RwkvError, SettingsError
from rwkv_core.sampling import (
    Logits,
    Penalties,
    SamplingSettings,
    _uniform,
    _winner,
    draw_seed,
    log_probs,
    most_likely,
    occurrence_weight,
    sample,
    weigh,
)
from tests.rwkv_core.fakes import FakeTokenizer

PLAIN = SamplingSettings(presence_penalty=0, frequency_penalty=0)
# Chi-square that chance exceeds once in 10,000 times, for 1 to 15 degrees of freedom.
CHI_SQUARE_LIMIT = [
    *(15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88, 31.83),
    *(33.72, 35.56, 37.37, 39.13, 40.87, 42.58, 44.26),
]


def random_logits(size: int, seed: int = 0, scale: float = 1.5) -> Logits:
    logits = scale * np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
    logits.flags.writeable = False
    return logits


def official_probabilities(
    logits: Logits, temperature: float, top_p: float, top_k: int
) -> NDArray[np.float64]:
    """The order of `sample_logits` in the PyPI package, step by step in float64."""
    probs = np.exp(logits.astype(np.float64))
    probs /= probs.sum()
    order = np.argsort(probs, kind="stable")
    ranked = probs[order][::-1]
    if top_p < 1:
        probs[probs < ranked[np.argmax(np.cumsum(ranked) >= top_p)]] = 0
    if 0 < top_k < len(probs):
        probs[order[:-top_k]] = 0
    probs = probs ** (1 / temperature)
    normalised: NDArray[np.float64] = probs / probs.sum()
    return normalised


def splitmix64(counter: int) -> int:
    """The n-th number of the generator seeded with 0, in Python's own integers."""
    mixed = (counter + 1) * 0x9E3779B97F4A7C15 % 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
    return mixed ^ mixed >> 31


def assert_drawn_from(tokens: list[int], expected: NDArray[np.float64]) -> None:
    """Compare the counts of drawn tokens with expected probabilities."""
    counts = np.bincount(tokens, minlength=len(expected))
    assert not counts[expected == 0].any()
    counts, wanted = counts[expected > 0], expected[expected > 0] * len(tokens)
    if len(counts) > 1:
        assert ((counts - wanted) ** 2 / wanted).sum() < CHI_SQUARE_LIMIT[len(counts) - 2]


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"),
    [(1, 1, 0), (1, 0.85, 0), (2, 0.85, 0), (0.5, 0.5, 0), (1.5, 0.9, 3), (1, 1, 4), (1, 0.1, 9)],
)
def test_tokens_are_drawn_as_the_official_order_says(
    temperature: float, top_p: float, top_k: int
) -> None:
    logits = random_logits(12)
    settings = SamplingSettings(temperature=temperature, top_p=top_p, top_k=top_k)
    tokens = [sample(logits, settings, seed=7, position=i) for i in range(5000)]
    assert_drawn_from(tokens, official_probabilities(logits, temperature, top_p, top_k))


@pytest.mark.parametrize("seed", [0, 1])
def test_tokens_that_are_kept_match_the_official_set_in_a_large_vocabulary(seed: int) -> None:
    logits = random_logits(3000, seed)
    expected = np.flatnonzero(official_probabilities(logits, 1, 0.3, 0))
    settings = SamplingSettings(temperature=10, top_p=0.3)
    drawn = {sample(logits, settings, seed=0, position=i) for i in range(3000)}
    assert 50 < len(expected) < 250
    assert drawn == set(expected.tolist())


def test_seeds_draw_like_positions() -> None:
    logits = random_logits(12)
    tokens = [sample(logits, PLAIN, seed=i, position=3) for i in range(5000)]
    assert_drawn_from(tokens, official_probabilities(logits, 1, 0.85, 0))


def test_neighbouring_positions_are_independent() -> None:
    logits = random_logits(4, scale=0.5)
    tokens = [sample(logits, PLAIN, seed=5, position=i) for i in range(16000)]
    probs = official_probabilities(logits, 1, 0.85, 0)
    pairs = [4 * first + second for first, second in zip(tokens[::2], tokens[1::2], strict=True)]
    assert_drawn_from(pairs, np.outer(probs, probs).ravel())


def test_top_p_one_does_not_turn_greedy() -> None:
    logits = random_logits(65536)
    settings = SamplingSettings(top_p=1)
    assert len({sample(logits, settings, seed=1, position=i) for i in range(50)}) > 40


@pytest.mark.parametrize("top_p", [0, 0.5, 0.85, 0.999999])
def test_65536_equal_tokens_can_be_sampled(top_p: float) -> None:
    logits = np.zeros(65536, np.float32)
    settings = SamplingSettings(top_p=top_p)
    assert len({sample(logits, settings, seed=1, position=i) for i in range(9)}) == 9


def test_tokens_as_likely_as_the_last_kept_one_are_kept() -> None:
    logits = np.array([0, 1, 1, 1, -1], np.float32)
    settings = SamplingSettings(top_p=0.1)
    assert {sample(logits, settings, seed=1, position=i) for i in range(60)} == {1, 2, 3}


def test_top_k_keeps_no_more_than_k_of_equal_tokens() -> None:
    logits = np.array([0, 1, 1, 1, 2], np.float32)
    settings = SamplingSettings(top_p=1, top_k=3)
    assert {sample(logits, settings, seed=1, position=i) for i in range(60)} == {4, 1, 2}


def test_temperature_zero_is_the_first_of_the_most_likely() -> None:
    settings = SamplingSettings(temperature=0, top_p=1)
    logits = np.array([0, 3, 1, 3], np.float32)
    assert {sample(logits, settings, seed=i, position=i) for i in range(20)} == {1}


def test_a_tiny_temperature_does_not_overflow() -> None:
    settings = SamplingSettings(temperature=1e-6, top_p=1)
    assert sample(random_logits(99), settings, seed=1, position=1) == np.argmax(random_logits(99))


def test_one_seed_gives_one_text_for_ever() -> None:
    # Of equal tokens the one with the largest hash wins; 0 and 2**64 - 1 are the seed's ends.
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    for seed, position in [(0, 0), (42, 1), (2**64 - 1, 10**9)]:
        stream = splitmix64(splitmix64(seed) + position)
        expected = max(range(300), key=lambda token: splitmix64(stream + token))
        logits = np.zeros(300, np.float32)
        assert sample(logits, PLAIN, seed=seed, position=position) == expected


def test_seeds_give_different_texts() -> None:
    logits = random_logits(500)
    texts = {
        tuple(sample(logits, PLAIN, seed=seed, position=i) for i in range(8))
        for seed in (0, 1, 2**32, 2**63, 2**64 - 1)
    }
    assert len(texts) == 5


def test_a_token_stays_chosen_when_others_leave_the_kept_set() -> None:
    logits = random_logits(2000)
    for position in range(50):
        wide = sample(logits, SamplingSettings(top_p=1), seed=3, position=position)
        rank = int((logits > logits[wide]).sum()) + 1
        narrow = SamplingSettings(top_p=1, top_k=rank)
        assert sample(logits, narrow, seed=3, position=position) == wide
        others = tuple(i for i in range(0, 2000, 3) if i != wide)
        assert wide == sample(
            logits, SamplingSettings(top_p=1, banned=others), seed=3, position=position
        )


def test_banned_tokens_are_never_chosen() -> None:
    logits = np.array([9, 0, 9, 0], np.float32)
    settings = SamplingSettings(banned=(0, 2), top_p=1)
    assert {sample(logits, settings, seed=1, position=i) for i in range(40)} == {1, 3}
    greedy = SamplingSettings(temperature=0, banned=(0,))
    assert sample(logits, greedy, seed=1, position=0) == 2


def test_the_given_logits_never_change() -> None:
    logits = random_logits(600)
    before = logits.copy()
    penalties = Penalties(SamplingSettings(), FakeTokenizer()).after(66)
    settings = SamplingSettings(banned=(3,), top_k=5)
    sample(logits, settings, seed=1, position=0, penalties=penalties)
    log_probs(logits)
    # random_logits are read-only as well: a write would have raised.
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_broken_logits_are_refused_with_the_next_step(bad: float, temperature: float) -> None:
    logits = np.array([0, bad, 1], np.float32)
    with pytest.raises(RwkvError, match=rf"hold {bad}.*'cpu fp32'"):
        sample(logits, SamplingSettings(temperature=temperature), seed=1, position=0)
    with pytest.raises(RwkvError, match=f"hold {bad}"):
        log_probs(logits)


def test_impossible_bans_are_refused() -> None:
    logits = np.zeros(3, np.float32)
    with pytest.raises(SettingsError, match="all 3 tokens are banned; allow at least one"):
        sample(logits, SamplingSettings(banned=(0, 1, 2)), seed=1, position=0)
    with pytest.raises(SettingsError, match="banned token 3 is outside the vocabulary, 0 to 2"):
        sample(logits, SamplingSettings(banned=(3,)), seed=1, position=0)


@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [
        ("temperature", -0.1, "0.0 to 10.0"),
        ("temperature", float("nan"), "0.0 to 10.0"),
        ("temperature", 10.5, "0.0 to 10.0"),
        ("top_p", 1.01, "0.0 to 1.0"),
        ("top_p", None, "0.0 to 1.0"),
        ("top_k", -1, "0 to 65536"),
        ("presence_penalty", 11, "-10.0 to 10.0"),
        ("frequency_penalty", -11, "-10.0 to 10.0"),
        ("penalty_decay", 1.1, "0.0 to 1.0"),
        ("seed", -1, f"0 to {2**64 - 1}"),
        ("seed", 2**64, f"0 to {2**64 - 1}"),
    ],
)
def test_settings_out_of_range_name_value_and_limit(
    name: str, value: float | None, limits: str
) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is {value}, but must be {limits}; choose"):
        SamplingSettings(**{name: value})  # type: ignore[arg-type]  # values come as a table


def test_a_negative_banned_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="banned token -2 is below 0"):
        SamplingSettings(banned=(5, -2))


def test_drawn_seeds_differ_and_are_valid() -> None:
    seeds = {draw_seed() for _ in range(20)}
    assert len(seeds) == 20
    assert all(SamplingSettings(seed=seed).seed == seed for seed in seeds)


@pytest.mark.parametrize("text", ["", " ", "\t", " \t", "0", "7", "01", "89", "0123456789"])
def test_blanks_and_digits_count_no_occurrence(text: str) -> None:
    assert occurrence_weight(text) == 0


@pytest.mark.parametrize("text", ["a", "\n", "  ", "10", "00", "\t ", " 0", "\ufffd"])
def test_other_texts_count_one_occurrence(text: str) -> None:
    assert occurrence_weight(text) == 1


def test_penalties_follow_the_official_loop() -> None:
    settings = SamplingSettings(presence_penalty=0.4, frequency_penalty=0.3, penalty_decay=0.9)
    tokenizer = FakeTokenizer()
    penalties = Penalties(settings, tokenizer)
    occurrence: dict[int, float] = {}
    logits = random_logits(tokenizer.vocab_size)
    for token in random.Random(0).choices([*tokenizer.encode("ab 1\n"), 0, 200], k=60):
        for seen in occurrence:
            occurrence[seen] *= 0.9
        weight = 0 if tokenizer.decode([token]) in " \t0123456789" else 1
        occurrence[token] = occurrence.get(token, 0) + weight
        penalties = penalties.after(token)
        expected = logits.copy()
        for seen, count in occurrence.items():
            expected[seen] -= 0.4 + count * 0.3
        np.testing.assert_allclose(penalties.apply(logits), expected, rtol=1e-6, atol=1e-6)


def test_a_blank_or_digit_gets_the_presence_penalty_once() -> None:
    tokenizer = FakeTokenizer()
    penalties = Penalties(SamplingSettings(), tokenizer)
    for _ in range(5):
        penalties = penalties.after(tokenizer.encode("1")[0])
    counter = Counter(penalties.apply(np.zeros(tokenizer.vocab_size, np.float32)).tolist())
    assert counter == {0.0: 256, float(np.float32(-0.2)): 1}


def test_earlier_penalties_stay_as_they_were() -> None:
    first = Penalties(SamplingSettings(), FakeTokenizer()).after(66)
    logits = random_logits(300)
    before = first.apply(logits)
    first.after(66).after(67)
    np.testing.assert_array_equal(first.apply(logits), before)


def test_penalties_change_the_choice() -> None:
    tokenizer = FakeTokenizer()
    logits = np.zeros(tokenizer.vocab_size, np.float32)
    logits[66], logits[67] = 1, 0.9
    settings = SamplingSettings(temperature=0)
    penalties = Penalties(settings, tokenizer)
    assert sample(logits, settings, seed=1, position=0, penalties=penalties) == 66
    assert sample(logits, settings, seed=1, position=1, penalties=penalties.after(66)) == 67


@pytest.mark.parametrize("gap", [1, 30, 95])
@pytest.mark.parametrize("value", [-500, -3, 40])
def test_edited_logits_weigh_what_they_would_weigh_anew(gap: float, value: float) -> None:
    """Also where the likeliest token goes and the others' weights had no digits beside it."""
    logits = random_logits(500, scale=1) - gap
    logits[7] = 0
    ids, values = np.array([7, 11]), np.array([value, -gap], np.float32)
    edited = weigh(logits).edited(ids, values)
    anew = logits.copy()
    anew[ids] = values
    np.testing.assert_array_equal(edited.logits, anew)
    expected = weigh(anew)
    np.testing.assert_allclose(
        edited.weights / edited.total, expected.weights / expected.total, rtol=1e-5, atol=1e-30
    )


def test_log_probs_are_those_of_the_model() -> None:
    logits = random_logits(65536, scale=4)
    exact = logits.astype(np.float64)
    exact -= exact.max()
    exact -= np.log(np.exp(exact).sum())
    np.testing.assert_allclose(log_probs(logits), exact, rtol=1e-6, atol=1e-5)


def test_most_likely_lists_best_first_and_lower_ids_on_ties() -> None:
    scores = np.array([1, 5, 5, -np.inf, 9, 1], np.float32)
    assert most_likely(scores, 1).tolist() == [4]
    assert most_likely(scores, 4).tolist() == [4, 1, 2, 0]
    assert most_likely(scores, 99).tolist() == [4, 1, 2, 0, 5, 3]


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("size", [200, 256, 257, 5000, 65536])
def test_the_winner_is_the_highest_of_all_with_their_noise(size: int, spread: float) -> None:
    random = np.random.default_rng(size)
    for seed in range(40):
        chances = random.normal(scale=spread, size=size)
        uniform = _uniform(seed, 3, np.arange(size))
        assert _winner(chances, uniform) == np.argmax(chances - np.log(-np.log(uniform)))


def test_a_token_wins_by_noise_alone() -> None:
    chances, uniform = np.zeros(5000), np.full(5000, 0.5)
    chances[:4000], uniform[4321] = 9.0, 1 - 2.0**-40
    assert _winner(chances, uniform) == 4321
