from benchmarks.serving import Seen, percentile, summary


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (51.0, 96.0)
    assert (percentile([2.0], 0.95), percentile([], 0.5)) == (2.0, None)


def test_what_the_clients_saw_is_summed_up() -> None:
    one, other = Seen([0.1, 0.3], [1.0, 2.0]), Seen([0.2], [3.0], busy=1)
    other.errors["AppError: broken"] += 1
    told = summary([one, other], 0.5)
    assert (told["answers"], told["answers_per_s"], told["answers_of_a_client_least"]) == (
        3,
        0.1,
        1,
    )
    assert (told["busy_share"], told["errors"]) == (0.2, {"AppError: broken": 1})
