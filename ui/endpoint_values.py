"""What programs send arrives as any JSON: each value is checked before it is used."""

from rwkv_core.errors import InputError

MAX_EXCHANGES = 1000


def text_value(value: object, name: str) -> str:
    """Check that a value is a text.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} is {kind_of(value)}, but must be a text; send a string")
    return value


def whole_value(value: object, name: str) -> int:
    """Check that a value is a whole number.

    Raises:
        InputError: it is not.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (isinstance(value, int) or value.is_integer())
    ):
        raise InputError(f"{name} is {kind_of(value)}, but must be whole; send a whole number")
    return int(value)


def exchanges(value: object) -> list[tuple[str, str]]:
    """Check earlier exchanges: [[message, answer], ...].

    Raises:
        InputError: they are something else, or too many.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(pair, list) and [type(part) for part in pair] == [str, str] for pair in value
    ):
        raise InputError("history must be a list of [message, answer] pairs of texts; correct it")
    if len(value) > MAX_EXCHANGES:
        raise InputError(
            f"history has {len(value)} exchanges, the limit is {MAX_EXCHANGES}; leave out the oldest"
        )
    return [(said, answered) for said, answered in value]


def stops_value(value: object) -> tuple[str, ...]:
    """Check texts that end an answer; their number and length are checked with the settings.

    Raises:
        InputError: they are something else.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InputError("stop must be a list of texts; correct it or leave it out")
    return tuple(value)


def kind_of(value: object) -> str:
    """Say what a value is without repeating it."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    if value is None:
        return "missing"
    return names.get(type(value), "a number")
