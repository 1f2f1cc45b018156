import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rwkv_core.recording import Recording
from tests.ui.recordings import make_recording
from ui import readings


def recording_of(bits: list[float], change: list[list[float]]) -> Recording:
    """Make a recording whose memory has norm 1 everywhere, so that change is relative."""
    changes = np.array(change, dtype=np.float32)
    return replace(
        make_recording(len(bits), n_layer=len(change)),
        surprise_bits=np.array(bits, dtype=np.float32),
        state_norm=np.ones_like(changes),
        change_norm=changes,
    )


WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TEXTS = ["", *(f" {word}" for word in WORDS)]


def test_findings_name_the_words_and_the_layer_that_stand_out() -> None:
    bits = [np.nan, *([1.0] * 10)]
    bits[3] = 9.0
    change = [[0.1] * 11, [0.1] * 11]
    change[1][9] = 0.8
    text = readings.findings(recording_of(bits, change), TEXTS)
    assert text.startswith("11 tokens read: “three” surprised the model most")
    assert "“nine” changed its memory most, above all in layer 2" in text


def said_of_change(recording: Recording, texts: list[str], *, is_mean: bool = False) -> str:
    return readings.change_words(recording, texts, is_mean=is_mean).text


def test_the_words_that_fill_an_empty_memory_are_not_compared() -> None:
    change = [[0.1] * 11]
    change[0][1], change[0][2], change[0][10] = 5.0, 3.0, 0.2
    recording = recording_of([np.nan, *([1.0] * 10)], change)
    norms = np.array([[0.1, 0.2, *([1.0] * 9)]], dtype=np.float32)
    text = said_of_change(replace(recording, state_norm=norms), TEXTS)
    assert "Pale bars are the first 3 tokens" in text
    assert "Most was changed by “ten”: 20 % of the memory" in text


def test_a_text_without_a_filling_part_compares_all_its_words() -> None:
    recording = recording_of([np.nan, 2.0, 3.0], [[1.0, 0.5, 0.25]])
    text = said_of_change(recording, TEXTS[:3])
    assert "Most was changed by “one”: 50 % of the memory" in text
    assert "Too few tokens (2)" in text
    assert "Pale" not in text


def test_parts_of_a_change_are_told_apart_and_their_names_fit_the_generation() -> None:
    recording = replace(
        recording_of([np.nan, 2.0, 3.0], [[1.0, 0.5, 0.3]]),
        write_norm=np.array([[1.0, 0.5, 0.5]], np.float32),
        fade_norm=np.array([[0.0, 0.2, 0.2]], np.float32),
        erase_norm=np.zeros((1, 3), np.float32),
    )
    text = said_of_change(recording, TEXTS[:3])
    assert "writes 50 % and lets fade 20 % of the memory on average" in text
    assert "the memory changes by 40 %" in text
    assert "brings 50 % and gives up 20 %" in said_of_change(recording, TEXTS[:3], is_mean=True)


def test_one_token_alone_is_told_apart() -> None:
    recording = recording_of([np.nan], [[1.0]])
    assert "alone" in readings.surprise_words(recording, [""]).text
    assert "alone" in said_of_change(recording, [""])
    assert readings.findings(recording, [""]).startswith("1 token read. Half of")


def test_surprise_is_told_in_bits_and_in_choices() -> None:
    recording = recording_of([np.nan, 0.5, 3.0, 9.0], [[1.0] * 4])
    text = readings.surprise_words(recording, TEXTS[:4]).text
    assert "On average 4.2 bits a token, like guessing among 18." in text
    assert "“three” with 9.0 bits (1 in 510)" in text
    assert "1 of 3 tokens came as good as certain" in text


@pytest.mark.parametrize(
    ("sign", "expected"), [(1, "clearly more"), (-1, "clearly less"), (0, "hardly go together")]
)
def test_the_correlation_is_told_with_its_sign(sign: int, expected: str) -> None:
    steps = np.arange(200.0)
    change = steps if sign else np.random.default_rng(0).permutation(steps)
    bits = [np.nan, *(sign or 1) * steps]
    recording = recording_of(bits, [[1.0, *(change + 1)]])
    assert expected in readings.correlation_sentence(recording)


def test_filling_names_the_first_and_the_last_layer_to_fill() -> None:
    norms = np.array([[0.1, 0.5, 1.0], [0.95, 0.9, 1.0]], dtype=np.float32)
    recording = replace(make_recording(3, n_layer=2), state_norm=norms)
    text = readings.filling_words(recording).text
    assert "Layer 2 reaches 90 % of its peak first, after 1 token." in text
    assert "Layer 1 does so last, after 3 tokens." in text
    assert "At the end layer 1 is fullest for its kind: 1.87 times its average." in text
    assert "every 8th token" in readings.filling_words(recording, stride=8).text


def test_layers_and_heads_are_counted_from_one() -> None:
    text = readings.heads_words(np.array([[3.0, 4.0], [6.0, 8.0]])).text
    assert "Layer 2 holds the most (norm 10), layer 1 the least (5)" in text
    assert "Head 2 of layer 2 is the fullest: 51 %" in text
    assert "an even split over 4 heads would give 25 %" in text


def test_forgetting_counts_the_channels_that_outlast_a_page() -> None:
    half_lives = np.array([[[2.0, 2.0], [2.0, 500.0]], [[20.0, 20.0], [20.0, 20.0]]])
    words = readings.forgetting_words(
        -np.log(2) / half_lives, is_erasing=True, aged=["“river”", ""]
    )
    assert "within 20 tokens" in words.text
    assert "12 % keep half of it for more than a page" in words.text
    assert "Layer 2 keeps the longest (median 20 tokens), layer 1 the shortest (2.0" in words.text
    assert "In layer 1, half of what was held at “river” has faded" in words.text


def test_sizes_say_when_the_transformer_outgrows_the_memory() -> None:
    text = readings.size_words(304_128, 6, 192, 100).text
    assert "304 kB" in text
    assert "461 kB for 100 tokens" in text
    # 66 * 4608 bytes are the memory's size exactly; one more token outgrows it.
    assert "outgrows this memory at token 67" in text


def test_a_word_is_put_together_from_its_tokens() -> None:
    texts = ["", " dra", "gon", ",", " it", "'", "s", "\n", " "]
    assert [readings.word_at(texts, i) for i in (0, 1, 2, 3, 7, 8)] == [
        "the start", "“dragon”", "“dragon”", "“,”", "a line break", "a space",
    ]  # fmt: skip


def test_a_character_of_several_tokens_stands_in_the_first_of_them() -> None:
    pieces = [
        b"",
        *(bytes([byte]) for byte in "我a".encode()),
        b"\xe7\x8c",
        b"\xab\n\xe6",
        b"\x88\x91",
    ]
    texts = readings.token_texts(pieces)
    on = readings.PIECE
    assert texts == ["", "我", on, on, "a", "猫", "\n我", on]
    quoted = [readings.word_at(texts, i) for i in (1, 2, 3, 4, 5, 7)]
    assert quoted == ["“我”"] * 3 + ["“a”", "“猫”", "“我”"]


def test_no_character_is_lost_however_a_text_is_cut() -> None:
    rng = random.Random(5)
    for _ in range(500):
        text = "".join(rng.choice("ae é我😀\n") for _ in range(rng.randrange(1, 8)))
        data = text.encode()
        cuts = sorted(rng.sample(range(len(data) + 1), rng.randrange(min(4, len(data)))))
        pieces = [data[a:b] for a, b in pairwise([0, *cuts, len(data)])]
        assert "".join(readings.token_texts(pieces)).replace(readings.PIECE, "") == text


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([b"\xe6\x88", b"ab"], ["\\xe6\\x88", "ab"]),
        ([b"a", b"\xe6", b"\x88"], ["a", "\\xe6", "\\x88"]),
        ([b"\xff", "我".encode()], ["\\xff", "我"]),
        ([], []),
    ],
)
def test_what_is_no_character_shows_as_its_bytes(pieces: list[bytes], texts: list[str]) -> None:
    assert readings.token_texts(pieces) == texts


def test_a_long_word_is_quoted_by_its_ends() -> None:
    key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    assert readings.word_at([key[:20], key[20:]], 1) == "“9f86d081884c7d65…b0f00a08”"
    assert readings.word_at([key[:32]], 0) == f"“{key[:32]}”"


def test_a_piece_of_a_character_shows_as_its_bytes() -> None:
    assert readings.token_text("日".encode()[:2]) == "\\xe6\\x97"
    assert readings.token_text(" né".encode()) == " né"


def test_a_model_without_heads_or_erasing_is_described_as_such() -> None:
    text = readings.layers_words(np.array([[1.0], [2.0]])).text
    assert "no heads" in text
    assert "Layer 2 is the fullest: 80 %" in text
    half_lives = np.full((2, 1, 4), 10.0)
    text = readings.forgetting_words(-np.log(2) / half_lives, is_erasing=False).text
    assert "Fading is this model's only way to forget." in text


def test_the_half_of_a_words_trace_is_found() -> None:
    left = np.array([1.0, 0.8, 0.49, 0.2])
    text = readings.life_words(left, np.stack([left, left / 2]), "“river”", 2).text
    assert "Half of its trace in layer 3 is gone after 2 tokens." in text
    assert "After the last word 20 % of it is left." in text
    assert "Head 1 keeps it best: 20 % at the end." in text
    lasting = readings.life_words(np.array([1.0, 0.9]), np.ones((1, 2)), "“river”", 0).text
    assert "more than half of its trace in layer 1 is left" in lasting


def test_the_words_that_are_read_are_named_by_their_weight() -> None:
    weights = np.array([0.1, -0.6, 0.2, 0.1])
    text = readings.reading_words(weights, ["“a”", "“b”", "“c”", "“d”"], "“d”", 0, 1, 0.25).text
    assert "Head 2 of layer 1 draws most from “b”, “c”, " in text
    assert "10 % of all weight is on the word itself." in text
    assert "adds 25 % of the size" in text


def test_the_lens_counts_right_guesses_by_layer() -> None:
    chance = np.array([[0.1, 0.1, 0.2], [0.7, 0.2, 0.9]])
    guesses = [["x", "y", "z"], ["a", "y", "·end"]]
    text = readings.lens_words(chance, guesses, ["a", "b", None], 4).text
    assert "The last layer has 1 of 2 words right, layer 1 has 0." in text
    assert "The right word gains the most in layer 2." in text
    assert "Asked after token 7, the last layer says “end”." in text
