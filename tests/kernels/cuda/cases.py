"""Inputs of the recurrences, for tests with and without sanitizers."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def draw_wkv7(B: int, T: int, H: int, N: int) -> list[Tensor]:
    """r, log_decay, k, v, kk, a and a state that is not zero."""
    r, k, v, kk = (torch.randn(B, T, H, N) for _ in range(4))
    log_decay, a = -0.6065 * torch.rand(B, T, H, N), torch.rand(B, T, H, N)
    return [r, log_decay, k, v, normalize(kk, dim=-1), a, torch.randn(B, H, N, N)]


def draw_wkv6(B: int, T: int, H: int, N: int, *, is_constant: bool = False) -> list[Tensor]:
    """r, log_decay, k, v, u and a state that is not zero."""
    r, k, v = (torch.randn(B, T, H, N) for _ in range(3))
    log_decay = -torch.randn(H, N).exp() if is_constant else -torch.randn(B, T, H, N).exp()
    return [r, log_decay, k, v, torch.randn(H, N), torch.randn(B, H, N, N)]


def draw_wkv4(B: int, T: int, C: int) -> list[Tensor]:
    """log_decay, u, k, v and a state that is not empty."""
    state = torch.randn(B, 3, C)
    state[:, 1] = state[:, 1].abs()
    k, v = torch.randn(B, T, C), torch.randn(B, T, C)
    return [-torch.randn(C).exp(), torch.randn(C), k, v, state]
