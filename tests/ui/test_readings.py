from dataclasses import replace

import numpy as np
import pytest

from rwkv_core.recording import Recording
from tests.ui.recordings import make_recording, make_texts
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


def test_the_words_that_fill_an_empty_memory_are_not_compared() -> None:
    change = [[0.1] * 11]
    change[0][1], change[0][2], change[0][10] = 5.0, 0.02, 0.2
    recording = recording_of([np.nan, *([1.0] * 10)], change)
    norms = np.array([[0.1, 0.2, *([1.0] * 9)]], dtype=np.float32)
    text = readings.change_reading(replace(recording, state_norm=norms), TEXTS)
    assert "Grey bars are the first 2 tokens" in text
    assert "Most was changed by “ten”: 20 %." in text


def test_a_text_without_a_filling_part_compares_all_its_words() -> None:
    recording = recording_of([np.nan, 2.0, 3.0], [[1.0, 0.5, 0.25]])
    text = readings.change_reading(recording, TEXTS[:3])
    assert "Most was changed by “one”: 50 %. Too few tokens (2)" in text
    assert "Grey" not in text


def test_one_token_alone_is_told_apart() -> None:
    recording = recording_of([np.nan], [[1.0]])
    assert "alone" in readings.surprise_reading(recording, [""])
    assert "alone" in readings.change_reading(recording, [""])
    assert readings.findings(recording, [""]).startswith("1 token read. Half of")


def test_surprise_is_told_in_bits_and_in_choices() -> None:
    recording = recording_of([np.nan, 3.0, 9.0], [[1.0, 1.0, 1.0]])
    text = readings.surprise_reading(recording, TEXTS[:3])
    assert "On average 6.0 bits, like guessing among 64" in text
    assert "“two” with 9.0 bits (1 in 510)" in text


@pytest.mark.parametrize(
    ("sign", "expected"), [(1, "clearly more"), (-1, "clearly less"), (0, "hardly go together")]
)
def test_the_correlation_is_told_with_its_sign(sign: int, expected: str) -> None:
    steps = np.arange(200.0)
    change = steps if sign else np.random.default_rng(0).permutation(steps)
    bits = [np.nan, *(sign or 1) * steps]
    recording = recording_of(bits, [[1.0, *(change + 1)]])
    assert expected in readings.correlation_reading(recording)


def test_filling_names_the_first_and_the_last_layer_to_fill() -> None:
    norms = np.array([[0.1, 0.5, 1.0], [0.95, 0.9, 1.0]], dtype=np.float32)
    recording = replace(make_recording(3, n_layer=2), state_norm=norms)
    text = readings.filling_reading(recording)
    assert "Layer 2 reaches 90 % of its peak first, after 1 token; layer 1 last, after 3" in text
    assert "every 8th token" in readings.filling_reading(recording, stride=8)


def test_layers_and_heads_are_counted_from_one() -> None:
    norms = np.array([[3.0, 4.0], [6.0, 8.0]])
    assert "Layer 2 holds the most (norm 10), layer 1 the least (5), 2.0 times less" in (
        readings.layers_reading(norms)
    )
    assert "Head 2 of layer 2 is the fullest: 51 %" in readings.heads_reading(norms)
    assert "an even split over 4 heads would give 25 %" in readings.heads_reading(norms)


def test_forgetting_counts_the_channels_that_outlast_a_page() -> None:
    half_lives = np.array([[[2.0, 2.0], [2.0, 500.0]], [[20.0, 20.0], [20.0, 20.0]]])
    text = readings.forgetting_reading(-np.log(2) / half_lives, is_erasing=True)
    assert "within 20 tokens" in text
    assert "12 % keep half of it for more than a page" in text
    assert "Layer 2 keeps the longest (median 20 tokens), layer 1 the shortest (2.0 tokens)" in text


def test_sizes_say_when_the_transformer_outgrows_the_memory() -> None:
    text = readings.size_reading(304_128, 6, 192, 100)
    assert "304 kB" in text
    assert "461 kB for these 100 tokens" in text
    # 66 * 4608 bytes are the memory's size exactly; one more token outgrows it.
    assert "outgrows it at token 67" in text


def test_a_word_is_put_together_from_its_tokens() -> None:
    texts = ["", " dra", "gon", ",", " it", "'", "s", "\n", " "]
    assert [readings.word_at(texts, i) for i in (0, 1, 2, 3, 7, 8)] == [
        "the start", "“dragon”", "“dragon”", "“,”", "a line break", "a space",
    ]  # fmt: skip


def test_a_piece_of_a_character_shows_as_its_bytes() -> None:
    assert readings.token_text("日".encode()[:2]) == "\\xe6\\x97"
    assert readings.token_text(" né".encode()) == " né"


def test_every_sentence_of_a_plain_recording_ends_like_one() -> None:
    recording, texts = make_recording(40), make_texts(40)
    for text in (
        readings.findings(recording, texts),
        readings.surprise_reading(recording, texts),
        readings.change_reading(recording, texts),
        readings.filling_reading(recording),
        readings.layers_reading(recording.head_norm),
        readings.heads_reading(recording.head_norm),
        readings.forgetting_reading(recording.log_decay, is_erasing=True),
    ):
        assert text.endswith(".")
        assert "nan" not in text


def test_a_model_without_heads_or_erasing_is_described_as_such() -> None:
    text = readings.heads_reading(np.array([[1.0], [2.0]]))
    assert "no heads" in text
    assert "Layer 2 is the fullest: 80 %" in text
    half_lives = np.full((2, 1, 4), 10.0)
    text = readings.forgetting_reading(-np.log(2) / half_lives, is_erasing=False)
    assert text.endswith("Fading is this model's only way to forget.")
