from itertools import pairwise

from rwkv_core.thinning import Place, least_missed


def chain(*lengths: int, nbytes: int = 1) -> dict[int, Place[int]]:
    """Places of one text, each going on from the one before, named by their lengths."""
    befores = (None, *lengths)
    return {
        length: Place(length, before, nbytes)
        for length, before in zip(lengths, befores, strict=False)
    }


def thinned(places: dict[int, Place[int]], count: int) -> list[int]:
    """What stays when all but so many have been given up."""
    left = dict(places)
    while len(left) > count:
        gone = left.pop(least_missed(left))
        for key, place in left.items():
            if place.before == gone.length:
                left[key] = Place(place.length, gone.before, place.nbytes)
    return sorted(left)


def test_places_are_the_denser_the_nearer_to_the_end() -> None:
    left = thinned(chain(*range(10, 1010, 10)), 8)
    assert left[-3:] == [980, 990, 1000]
    gaps = [after - before for before, after in pairwise(left)]
    assert gaps == sorted(gaps, reverse=True)
    assert left[0] < 900


def test_an_end_goes_only_where_ends_take_more_than_half() -> None:
    places = chain(1, 2, 3)
    places |= {100 + n: Place(4, 3, 1) for n in range(2)}
    assert least_missed(places) == 1
    places |= {100 + n: Place(4, 3, 1) for n in range(5)}
    assert least_missed(places) == 100


def test_the_only_end_outlives_the_way_there_however_large_it_is() -> None:
    assert least_missed({1: Place(1, None, 1), 2: Place(2, 1, 99)}) == 1
    assert least_missed({1: Place(1, None, 1)}) == 1
