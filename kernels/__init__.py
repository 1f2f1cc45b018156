"""Operators on tensors; they know no models. Each is a torch definition plus fast code."""

from kernels.build import BuildError
from kernels.cuda.device import Device, open_device
from kernels.cuda.matrix import CudaMatrix
from kernels.cuda.program import CudaProgram, load_kernels
from kernels.operators import (
    CPU,
    Operator,
    select_wkv4,
    select_wkv6,
    select_wkv7,
    torch_wkv4,
    torch_wkv6,
    torch_wkv7,
)
from kernels.packed import PackedFormat, PackedMatrix, WeightMemory, packed_library, read_memory
from kernels.plan import Plan
from kernels.plan_parts import StoredMatrix, Value
from kernels.program import Program

__all__ = [
    "CPU",
    "BuildError",
    "CudaMatrix",
    "CudaProgram",
    "Device",
    "Operator",
    "PackedFormat",
    "PackedMatrix",
    "Plan",
    "Program",
    "StoredMatrix",
    "Value",
    "WeightMemory",
    "load_kernels",
    "open_device",
    "packed_library",
    "read_memory",
    "select_wkv4",
    "select_wkv6",
    "select_wkv7",
    "torch_wkv4",
    "torch_wkv6",
    "torch_wkv7",
]
