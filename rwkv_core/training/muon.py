"""Muon: momentum whose directions are made orthogonal, for the matrices of the blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ_STEPS = 5
# Keller Jordan's quintic: it moves every singular value near 1, not exactly there.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# Update of the size that AdamW's would have: 0.2 per element (Moonlight, arXiv 2502.16982).
ADAMW_RMS = 0.2


def orthogonalise(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Replace the singular values of each matrix by numbers near 1.

    Args:
        matrices: (N, rows, columns).
        dtype: to multiply in; bf16 is enough where the processor has it.

    Returns:
        (N, rows, columns) in that dtype.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(dtype)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """Stochastic descent along the orthogonalised Nesterov momentum, with decoupled decay.

    torch.optim.Muon does the same one matrix at a time and always in bf16, which costs most of
    a training step where the processor has to emulate bf16.

    Args:
        matrices: 2-D parameters.
        lr: rate, comparable to AdamW's.
        weight_decay: share of each weight taken off per step, times the rate.
        momentum: 0 to 1.
        dtype: of the orthogonalisation.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            sorted(matrices, key=lambda matrix: tuple(matrix.shape)),
            {"lr": lr, "weight_decay": weight_decay, "momentum": momentum},
        )
        self._dtype = dtype

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            trained = [matrix for matrix in group["params"] if matrix.grad is not None]
            # Equal shapes are neighbours, and one batched product serves them all.
            for shape, alike in itertools.groupby(trained, key=lambda matrix: matrix.shape):
                with torch.no_grad():
                    self._update(list(alike), shape, group)

    def _update(
        self, matrices: list[nn.Parameter], shape: torch.Size, group: dict[str, float]
    ) -> None:
        for matrix in matrices:
            if "momentum" not in self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        # A GPU runs each of these as one launch for all matrices.
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        directions = torch._foreach_lerp(gradients, momenta, group["momentum"])
        turned = orthogonalise(torch.stack(directions), self._dtype).to(matrices[0].dtype)
        size = ADAMW_RMS * math.sqrt(max(shape))
        weights: list[Tensor] = list(matrices)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, turned.unbind(), alpha=-group["lr"] * size)
