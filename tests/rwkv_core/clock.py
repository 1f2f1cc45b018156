"""A clock that tests move by hand."""


class Clock:
    """Seconds since anything; starts at 0."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
