"""How far two computations of one thing may differ, stated once per dtype of the weights."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike


class Tolerance(NamedTuple):
    """Both limits must hold."""

    max_abs: float  # largest difference of one element, logits having a spread of about 1
    relative: float  # length of the difference vector, divided by that of the expected one


TOLERANCES = {
    # Measured 9e-6 and 2e-6, the larger part at the 0.1B shape against the PyPI package.
    torch.float32: Tolerance(max_abs=3e-5, relative=5e-6),
    # Measured 0.03 and 0.007; bf16 keeps 8 bits, so one rounding is up to 0.4 % of a value.
    torch.bfloat16: Tolerance(max_abs=0.1, relative=0.02),
    # Measured 0.007 and 0.003, against the PyPI package in fp16; fp16 keeps 11 bits.
    torch.float16: Tolerance(max_abs=0.02, relative=0.004),
}


def assert_close(
    actual: torch.Tensor | ArrayLike, expected: torch.Tensor | ArrayLike, dtype: torch.dtype
) -> None:
    """Compare within the dtype's tolerance; shapes must agree, NaN never does."""
    left, right = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert left.shape == right.shape
    limit = TOLERANCES[dtype]
    difference = left - right
    max_abs = float(np.abs(difference).max())
    relative = float(np.linalg.norm(difference) / np.linalg.norm(right))
    assert max_abs <= limit.max_abs, f"max-abs {max_abs:.2e} exceeds {limit.max_abs:.2e}"
    assert relative <= limit.relative, f"relative {relative:.2e} exceeds {limit.relative:.2e}"
