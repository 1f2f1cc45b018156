"""Operators on tensors; they know no models. Each is a torch definition plus fast code."""

from kernels.build import BuildError
from kernels.operators import Wkv7, select_wkv7, torch_wkv7

__all__ = ["BuildError", "Wkv7", "select_wkv7", "torch_wkv7"]
