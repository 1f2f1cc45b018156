"""Which of many kept states is missed least: pure, it knows neither texts nor states."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

# How much denser the kept places are near the end of a text: a place is worth the tokens since
# the one before it, divided by this power of the tokens that follow it.
NEARNESS = 2

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Place(Generic[K]):
    """Where a kept state stands.

    Attributes:
        length: tokens read to get there.
        before: the longest other kept text that this one goes on from; None for none.
        nbytes: what it costs.
    """

    length: int
    before: K | None
    nbytes: int


def least_missed(places: Mapping[K, Place[K]]) -> K:
    """Choose the state to give up.

    Half of the bytes is for the ends of texts, least recently used out first. The other half is
    for places on the way there, the denser the nearer to an end: going back a few turns is
    instant even in a long text that is one of many, going back far costs some reading.

    Args:
        places: at least one; least recently used first.
    """
    # Where the longest kept text ends that goes on from each place; itself for an end.
    ends: dict[K, int] = {}
    for key in sorted(places, key=lambda key: places[key].length, reverse=True):
        end = ends.setdefault(key, places[key].length)
        if (before := places[key].before) is not None:
            ends[before] = max(ends.get(before, 0), end)
    last = [key for key in places if ends[key] == places[key].length]
    on_the_way = [key for key in places if ends[key] > places[key].length]
    nbytes_last, nbytes = (sum(places[key].nbytes for key in keys) for keys in (last, places))
    is_crowded = len(last) > 1 and 2 * nbytes_last > nbytes
    if is_crowded or not on_the_way:
        return last[0]

    def worth(key: K) -> float:
        here, before = places[key], places[key].before
        gap = here.length - (places[before].length if before is not None else 0)
        return gap / float((ends[key] - here.length) ** NEARNESS)

    return min(on_the_way, key=worth)
