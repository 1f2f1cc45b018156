from rwkv_core.tally import Tally, Times


def test_a_time_falls_into_the_first_bucket_that_holds_it() -> None:
    times = Times().with_time(0.05).with_time(0.06).with_time(99.0)
    assert (times.counts[0], times.counts[1], times.counts[-1]) == (1, 1, 1)
    assert sum(times.counts) == 3


def test_the_wait_is_estimated_from_what_texts_held_before() -> None:
    tally = Tally()
    assert tally.wait_s(5, 2) == 0
    tally.end("stop", first_token_s=0.1, held_s=4.0)
    assert tally.wait_s(3, 2) == 6.0
    tally.end("cancelled", first_token_s=0.0, held_s=0.0)
    assert tally.wait_s(3, 2) == 6.0
    assert dict(tally.ended) == {"stop": 1, "cancelled": 1}
