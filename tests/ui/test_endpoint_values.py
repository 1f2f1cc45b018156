from collections.abc import Callable

import pytest

from rwkv_core.errors import InputError
from ui.endpoint_values import exchanges, stops_value, text_value, whole_value


def test_what_fits_passes() -> None:
    assert text_value("a", "text") == "a"
    assert [whole_value(value, "seed") for value in (3, 3.0, -1)] == [3, 3, -1]
    assert exchanges([["a", "b"]]) == [("a", "b")]
    assert (exchanges(None), stops_value(None), stops_value(["x"])) == ([], (), ("x",))


@pytest.mark.parametrize(
    ("check", "value"),
    [
        *((lambda v: text_value(v, "text"), value) for value in (None, 1, ["a"], {"a": 1})),
        *(
            (lambda v: whole_value(v, "seed"), value)
            for value in (None, True, "3", 1.5, float("nan"), float("inf"), [3])
        ),
        *((exchanges, value) for value in ("ab", [1], [["a"]], [["a", 1]], [["a", "b"]] * 1001)),
        *((stops_value, value) for value in ("x", [1], {"a": 1})),
    ],
)
def test_any_other_json_gets_one_sentence_that_does_not_repeat_it(
    check: Callable[[object], object], value: object
) -> None:
    with pytest.raises(InputError) as caught:
        check(value)
    assert len(str(caught.value)) < 100
