from dataclasses import replace

from rwkv_core.streams import StreamResult
from ui.completion.frames import outcome

RESULT = StreamResult("stop", None, (1, 2), "Hi you", 7, 40, 3, 0.1, 0.25, 1.0, 1234.5)


def test_the_status_line_says_speed_memory_seed_and_what_was_read_again() -> None:
    line = outcome(RESULT, 1, 304_128, "en")
    for fact in ("1,234 tokens/s", "first word after 0.25 s", "memory 304 kB, unchanged",
                 "re-read 1 tokens", "seed 7"):  # fmt: skip
        assert fact in line


def test_a_stopped_text_without_words_claims_no_speed() -> None:
    line = outcome(replace(RESULT, reason="cancelled", generated_ids=()), 0, 1, "en")
    assert "Stopped." in line
    assert "tokens/s" not in line


def test_a_text_that_has_ended_says_so_in_the_visitors_language() -> None:
    ended = replace(RESULT, reason="end_of_text", generated_ids=())
    assert "nothing to add" in outcome(ended, 0, 1, "en")
    assert "对模型来说" in outcome(ended, 0, 1, "zh")
