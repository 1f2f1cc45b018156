"""Memory that is used again belongs to one tensor at a time."""

import gc

import torch

from kernels.recycled import KEPT, LEAST_BYTES, Layout, Recycled

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


def test_only_a_few_areas_are_kept() -> None:
    recycled = Recycled()
    many = [recycled.empty(Layout.of(LARGE))[0] for _ in range(KEPT + 5)]
    many.clear()
    assert len(recycled._free) == KEPT


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
