from typing import Any

import numpy as np
import pytest

from benchmarks.peers_report import (
    bandwidth_share,
    bytes_of_token,
    disagreements,
    most_over,
    relative_l2,
    summarise,
    table,
)


def turn(task: str, **tokens_per_s: float) -> dict[str, Any]:
    beside = {name: 20.0 if name == "rwkv" else 40.0 for name in tokens_per_s}
    return {"task": task, "tokens_per_s": tokens_per_s, "bandwidth_gb_s": beside}


ROUNDS = [
    turn("decode", ours=10.0, rwkv=5.0),
    turn("batch", ours=30.0),
    turn("decode", ours=90.0, rwkv=30.0),
    turn("decode", ours=20.0, rwkv=2.0),
]


def results(**off: float) -> dict[str, Any]:
    memory = {"rss_mib": 100.0, "peak_rss_mib": 200.0, "own_rss_mib": 50.0}
    engine = {"load_s": 1.5, "memory": memory, "logits_off": {"decode": 0.0, "prefill": 0.0} | off}
    engines = {"ours": engine, "rwkv": engine}
    found = {"engines": engines, "medians": summarise(ROUNDS), "rounds": ROUNDS}
    found["share_of_memory"], found["most_over_it"] = {"ours": 0.75}, {"rwkv": 4.0}
    return {"precisions": {"int8": found}}


def test_ratios_are_taken_within_a_round_before_their_median() -> None:
    rwkv = summarise(ROUNDS)["decode"]["rwkv"]
    # 20 / 5, the ratio of the medians, would be 4.
    assert rwkv == {"tokens_per_s": 5.0, "ours_over_it": 3.0, "low": 2.0, "high": 10.0}


def test_ours_has_no_ratio_and_an_engine_may_lack_a_task() -> None:
    found = summarise(ROUNDS)
    assert found["decode"]["ours"] == {"tokens_per_s": 20.0}
    assert list(found["batch"]) == ["ours"]


def test_weights_that_meet_a_zero_do_not_count_as_read() -> None:
    facts = {"bytes_per_token": 10**9, "skippable_bytes": 4 * 10**8, "skipped_from": 0.4}
    assert bytes_of_token(facts, zeros=0.5) == pytest.approx(0.8e9)
    # So few are read all the same.
    assert bytes_of_token(facts, zeros=0.3) == 1e9


def test_writing_is_compared_with_the_read_beside_it() -> None:
    # 20 tokens a second of 0.8 GB where a plain read gives 40 GB/s.
    assert bandwidth_share(ROUNDS, "ours", 0.8e9) == pytest.approx(0.4)


def test_at_most_memory_could_feed_ours_beside_each_engine() -> None:
    # 20 GB/s of 0.8 GB are 25 tokens a second, beside 5.
    assert most_over(ROUNDS, 0.8e9) == {"rwkv": 5.0}
    assert most_over([turn("batch", ours=1.0)], 1.0) == {}


def test_logits_are_compared_relative_to_their_length() -> None:
    expected, found = np.array([[3, 4], [3, 5]], dtype=np.float32)
    assert relative_l2(found, expected) == pytest.approx(0.2)


def test_the_table_has_a_row_for_each_engine_and_the_bandwidth() -> None:
    head, _, ours, rwkv, _, note = table(results(decode=0.02)).splitlines()
    columns = (
        "| precision | engine | decode tok/s | ours / it | at most | prefill tok/s | ours / it |"
    )
    assert head.startswith(columns)
    assert ours.startswith(
        "| int8 | ours | 20.0 |  |  |  |  | 30.0 |  | 0.75 | 100, 200 | 1.5 | 2.0e-02 /"
    )
    assert rwkv.startswith("| int8 | rwkv | 5.0 | 3.00 | 4.00 |")
    assert note == "int8: bandwidth 20.0 to 40.0 GB/s, median 40.0"


@pytest.mark.parametrize(("off", "expected"), [(0.09, 0), (0.11, 2), (float("nan"), 2)])
def test_logits_further_off_than_the_format_allows_are_named(off: float, expected: int) -> None:
    found = disagreements(results(prefill=off))
    assert len(found) == expected
    assert all("prefill" in line and "0.1" in line for line in found)
