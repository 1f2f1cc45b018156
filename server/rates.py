"""How often someone may ask: one bucket of requests for each, refilled evenly."""

import time
from collections import OrderedDict
from collections.abc import Callable


class Rates:
    """A minute's requests may come at once; then they come back one by one.

    Not safe to use from several threads: it lives on the server's event loop.

    Args:
        per_minute: requests of one key.
        max_keys: of more the one that asked longest ago is forgotten.
        clock: seconds, monotonic; tests give their own.
    """

    def __init__(
        self, per_minute: int, max_keys: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_minute, self._max_keys, self._clock = per_minute, max_keys, clock
        # Key -> requests left and when that was; who asked longest ago stands first.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Count a request; 0 when it may pass, else seconds until the next one may."""
        now = self._clock()
        left, at = self._left.pop(key, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        is_allowed = left >= 1
        self._left[key] = (left - 1 if is_allowed else left, now)
        while len(self._left) > self._max_keys:
            self._left.popitem(last=False)
        return 0.0 if is_allowed else (1 - left) * 60 / self._per_minute
