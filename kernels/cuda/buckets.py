"""Batch sizes that have a recorded graph of launches, and the graphs themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable

import torch

# Sizes between 1 and 960 that a batch is rounded up to: a graph is recorded once for each that
# occurs. Kernels leave out the rows that are not there; only cuBLAS computes them.
BUCKETS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256,
           288, 320, 384, 448, 512, 640, 768, 960)  # fmt: skip


def bucket_of(batch: int) -> int:
    """Round a batch size, 1 to 960, up to one that has a graph."""
    return BUCKETS[bisect_left(BUCKETS, batch)]


class Graphs:
    """Records what is launched for a bucket and replays it, in one call instead of hundreds.

    Attributes:
        why_not: why nothing is recorded; empty while graphs are used.
    """

    def __init__(self, device: torch.device) -> None:
        """Begin without any; on another device than a GPU there never are."""
        self.why_not = "" if device.type == "cuda" else f"{device} records no graphs"
        self._device = device
        self._has_run: set[Hashable] = set()
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}

    def clear(self) -> None:
        """Forget all: the memory that they use is another now."""
        self._has_run.clear()
        self._graphs.clear()

    def run(self, bucket: Hashable, launch: Callable[[], None]) -> None:
        """Launch, or replay what was launched for this bucket.

        The first time is a plain launch, which loads what is not loaded yet; the second is
        recorded. Addresses must stay the same from then on.
        """
        if self.why_not or bucket not in self._has_run:
            launch()
            self._has_run.add(bucket)
            return
        if bucket not in self._graphs:
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads of the process may go on with their own work meanwhile.
                with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    launch()
            except RuntimeError as error:
                self.why_not = f"recording failed: {error}"
                self.clear()
                launch()
                return
            self._graphs[bucket] = graph
        self._graphs[bucket].replay()
