"""Memory from the system, in pages as large as it has.

Large pages matter where a virtual machine translates addresses twice.
"""

from __future__ import annotations

import contextlib
import mmap


def take_pages(size: int) -> mmap.mmap:
    """Take memory that is all zeros, and not there before it is written to.

    Args:
        size: bytes.
    """
    # Private, or else Linux counts it as shared, and keeps pages small.
    private = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    area = mmap.mmap(-1, size, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A system without them says no, and that is all.
        with contextlib.suppress(OSError):
            area.madvise(mmap.MADV_HUGEPAGE)
    return area
