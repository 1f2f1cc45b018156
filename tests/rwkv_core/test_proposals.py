from dataclasses import replace

from rwkv_core.memory import GB, plan_memory
from rwkv_core.proposals import propose
from tests.rwkv_core.test_memory import LARGE, SMALL


def test_the_most_exact_strategy_that_fits_is_proposed_with_the_reason() -> None:
    found = {
        gigabytes: propose(LARGE, {"cpu": gigabytes * GB}) for gigabytes in (6, 12, 24, 32, 48)
    }
    texts = [found[room].strategy.value for room in (12, 24, 32, 48)]
    assert texts == ["cpu int4", "cpu int8", "cpu fp32", "cpu fp32"]
    assert "too large for 24.0 GB: cpu fp32" in found[24].strategy.reason
    assert found[6].verdict.answer == "no"
    assert "even cpu int4 needs" in found[6].strategy.reason
    assert propose(SMALL, {"cpu": 16 * GB, "cuda": 8 * GB}).strategy.value == "cuda fp16"


def test_a_quantised_file_is_not_made_long_again_by_a_processor() -> None:
    quantised = replace(LARGE, bits=4.8)
    found = propose(quantised, {"cpu": 48 * GB})
    assert found.strategy.value == "cpu int8"
    assert "the file's own weights take 4.8 bits" in found.strategy.reason
    assert propose(quantised, {"cpu": 12 * GB}).strategy.value == "cpu int4"
    assert propose(quantised, {"cpu": 64 * GB, "cuda": 64 * GB}).strategy.value == "cuda fp16"


def test_what_no_card_holds_is_split_with_the_processor_and_the_other_way_is_named() -> None:
    found = propose(LARGE, {"cpu": 64 * GB, "cuda:0": 4 * GB})
    assert found.strategy.value == "cuda fp16 *4 -> cpu int8"
    assert found.verdict.answer == "fits"
    # One more layer would not leave a tenth of the card.
    more = plan_memory(LARGE, "cuda fp16 *5 -> cpu int8")
    assert found.plan.needs["cuda"].total <= 3.6 * GB < more.needs["cuda"].total
    for words in ("4 of 40 layers", "too large for 4.0 GB: cuda fp16", "cuda fp16 *4+"):
        assert words in found.strategy.reason


def test_several_cards_are_filled_one_after_the_other() -> None:
    found = propose(LARGE, {"cpu": 64 * GB, "cuda:0": 4 * GB, "cuda:1": 3 * GB})
    assert found.strategy.value == "cuda:0 fp16 *4 -> cuda:1 fp16 *3 -> cpu int8"
    assert "7 of 40 layers" in found.strategy.reason


def test_a_split_that_the_computer_cannot_hold_either_is_not_proposed() -> None:
    room = {"cpu": 12 * GB, "cuda:0": 2 * GB}
    assert propose(LARGE, room).strategy.value == "cuda int4 *2 -> cpu int4"
    found = propose(LARGE, room | {"cpu": 5 * GB})
    assert found.verdict.answer == "no"
    assert "choose a smaller model" in found.strategy.reason
