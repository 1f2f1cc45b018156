"""How far two computations of one thing may differ, stated once per dtype of the weights."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray


class Tolerance(NamedTuple):
    """Both limits must hold."""

    max_abs: float  # largest difference of one element, logits having a spread of about 1
    relative: float  # length of the difference vector, divided by that of the expected one


TOLERANCES = {
    # Measured 9e-6 and 2e-6, against references and between ways of computing one thing.
    torch.float32: Tolerance(max_abs=3e-5, relative=5e-6),
    # Measured 0.03 and 0.007; bf16 keeps 8 bits, so one rounding is up to 0.4 % of a value.
    torch.bfloat16: Tolerance(max_abs=0.1, relative=0.02),
    # Measured 0.007 and 0.003, against the PyPI package in fp16; fp16 keeps 11 bits.
    torch.float16: Tolerance(max_abs=0.02, relative=0.004),
}
# Where products of packed weights round their inputs, by kernels.packed.INPUTS; measured 0.21 and 0.03
# for int8 by 32 at random weights of 96 channels, where nothing averages out. Pairs
# keep within less.
PACKED_INPUTS = {
    "int8 by 32": Tolerance(max_abs=0.3, relative=0.04),
    "int8 by 32 for int4": Tolerance(max_abs=0.3, relative=0.04),
    "int8 by 64 in pairs": Tolerance(max_abs=0.2, relative=0.03),
}
# The next two are of float32 logits at 12 layers of 768 channels, max_abs in units of their spread.
# Measured at most 8.2e-6 and 1.5e-6, of RWKV-6; see benchmarks/results/formats.json.
EXACT_AT_RELEASED_WIDTH = Tolerance(max_abs=1e-5, relative=4e-6)
# Two float32 programs, each with roundings of its own: the PyPI package is up to 8.7e-6 from
# float64, we are 5.4e-6 (RWKV-7, 65536 tokens, AVX2), both 1.2e-5 and 1.9e-6 from each other.
PEER_AT_RELEASED_WIDTH = Tolerance(max_abs=1e-4, relative=1e-5)


def assert_close(
    actual: torch.Tensor | ArrayLike,
    expected: torch.Tensor | ArrayLike,
    limit: torch.dtype | Tolerance,
) -> None:
    """Compare within a tolerance, or the dtype's; shapes must agree, NaN never does."""
    left, right = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    _assert_within(left, right, limit if isinstance(limit, Tolerance) else TOLERANCES[limit])


def assert_logits_close(
    actual: torch.Tensor | ArrayLike, expected: torch.Tensor | ArrayLike, limit: Tolerance
) -> None:
    """Compare logits, both measured in the spread of what is expected."""
    left, right = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    spread = right.std()
    _assert_within(left / spread, right / spread, limit)


def _assert_within(left: NDArray[np.float64], right: NDArray[np.float64], limit: Tolerance) -> None:
    assert left.shape == right.shape
    difference = left - right
    max_abs = float(np.abs(difference).max())
    relative = float(np.linalg.norm(difference) / np.linalg.norm(right))
    assert max_abs <= limit.max_abs, f"max-abs {max_abs:.2e} exceeds {limit.max_abs:.2e}"
    assert relative <= limit.relative, f"relative {relative:.2e} exceeds {limit.relative:.2e}"
