from server.rates import Rates
from tests.rwkv_core.clock import Clock


def test_a_minute_of_requests_may_come_at_once_and_then_comes_back_evenly() -> None:
    clock = Clock()
    rates = Rates(3, clock=clock)
    assert [rates.wait_s("a") for _ in range(4)] == [0, 0, 0, 20]
    clock.now += 19
    assert round(rates.wait_s("a")) == 1
    clock.now += 1
    assert [rates.wait_s("a"), rates.wait_s("b")] == [0, 0]


def test_who_asked_longest_ago_is_forgotten() -> None:
    rates = Rates(1, max_keys=2, clock=Clock())
    assert [rates.wait_s(key) > 0 for key in "aabca"] == [False, True, False, False, False]
