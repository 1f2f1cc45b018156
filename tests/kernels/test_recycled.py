"""Memory that is used again belongs to one tensor at a time."""

import gc

import torch

from kernels.recycled import LEAST_BYTES, Layout, Recycled

LARGE = (LEAST_BYTES // 4, 2)


def test_tensors_have_their_shapes_side_by_side() -> None:
    first, second = Recycled().empty(Layout.of((2, 3), LARGE))
    assert first.shape == (2, 3)
    assert second.shape == LARGE
    assert second.data_ptr() == first.data_ptr() + 4 * 6
    assert first.dtype == second.dtype == torch.float32


def test_memory_is_used_again_once_nobody_holds_it() -> None:
    recycled = Recycled()
    (first,) = recycled.empty(Layout.of(LARGE))
    address = first.data_ptr()
    del first
    (second,) = recycled.empty(Layout.of(LARGE))
    assert second.data_ptr() == address


def test_a_view_keeps_memory_from_being_used_again() -> None:
    recycled = Recycled()
    (first,) = recycled.empty(Layout.of(LARGE))
    first.fill_(7)
    view = first[3:4].T
    del first
    gc.collect()
    for _ in range(3):
        (other,) = recycled.empty(Layout.of(LARGE))
        other.fill_(1)
    assert (view == 7).all()


def test_little_more_than_the_largest_area_is_kept() -> None:
    recycled, rows = Recycled(), LARGE[0]
    many = [recycled.empty(Layout.of((rows, columns)))[0] for columns in (1, 2, 8, 2, 8, 1, 2)]
    while many:
        many.pop(0)
    sizes = [len(area) // (4 * rows) for area in recycled._free]
    assert sizes == [8, 1, 2]


def test_a_smaller_batch_takes_the_memory_of_a_larger_one() -> None:
    recycled, rows = Recycled(), LARGE[0]
    (first,) = recycled.empty(Layout.of((rows, 8)))
    address = first.data_ptr()
    del first
    (second,) = recycled.empty(Layout.of((rows, 7)))
    assert second.data_ptr() == address
    assert second.shape == (rows, 7)
    del second
    (tiny,) = recycled.empty(Layout.of((rows, 1)))
    assert tiny.data_ptr() != address
    (third,) = recycled.empty(Layout.of((rows, 8)))
    assert third.data_ptr() == address


def test_other_sizes_get_memory_of_their_own() -> None:
    recycled = Recycled()
    (first,) = recycled.empty(Layout.of(LARGE))
    del first
    (second,) = recycled.empty(Layout.of((LARGE[0], 3)))
    second.fill_(1)
    assert second.numel() == LARGE[0] * 3
    assert second.sum() == LARGE[0] * 3


def test_what_is_kept_outlives_its_maker() -> None:
    (kept,) = Recycled().empty(Layout.of(LARGE))
    gc.collect()
    kept.fill_(2)
    assert kept.sum() == 2 * kept.numel()
