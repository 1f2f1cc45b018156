"""Kernels are compiled once, kept, launched, and refused with reasons; the driver is emulated."""

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kernels import operators, reference
from kernels.build import BuildError
from kernels.cuda import device as device_module
from kernels.cuda import wkv
from kernels.cuda.device import Defines, Device, build_image, open_device, read_sources
from kernels.cuda.driver import Driver, LaunchError, load_driver
from tests.kernels.cuda.cases import draw_wkv4, draw_wkv6, draw_wkv7
from tests.kernels.cuda.emulator import Emulator
from tests.tolerances import assert_close

GPU = torch.device("cuda", 0)


class CountingCompiler:
    version = "1.2"

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, str | int]]] = []

    def compile(
        self,
        source: str,
        name: str,
        headers: Mapping[str, str],
        architecture: str,
        defines: Defines,
    ) -> bytes:
        assert "device.cuh" in headers
        self.calls.append((name, architecture, dict(defines)))
        return b"image of " + name.encode()


def test_a_program_is_compiled_once_for_each_architecture_and_macro(tmp_path: Path) -> None:
    compiler = CountingCompiler()
    wanted = [("sm_90", {"INPUT": "Half"}), ("sm_80", {"INPUT": "Half"}), ("sm_90", {})]
    for architecture, defines in [*wanted, *wanted]:
        image = build_image(compiler, "wkv4.cu", architecture, defines, tmp_path)
        assert image == b"image of wkv4.cu"
    assert [call[1:] for call in compiler.calls] == wanted


def test_another_source_or_compiler_means_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = CountingCompiler()
    build_image(compiler, "wkv4.cu", "sm_90", {}, tmp_path)
    sources = read_sources()
    changed = sources | {"device.cuh": sources["device.cuh"] + "// changed\n"}
    monkeypatch.setattr(device_module, "read_sources", lambda: changed)
    build_image(compiler, "wkv4.cu", "sm_90", {}, tmp_path)
    compiler.version = "1.3"
    build_image(compiler, "wkv4.cu", "sm_90", {}, tmp_path)
    assert len(compiler.calls) == 3


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    blocked, compiler = tmp_path / "cache", CountingCompiler()
    blocked.write_text("a file, not a folder")
    for _ in range(2):
        assert build_image(compiler, "wkv4.cu", "sm_90", {}, blocked)
    assert len(compiler.calls) == 2


def test_a_program_of_another_gpu_is_refused_in_the_drivers_words(
    emulator: Emulator, tmp_path: Path
) -> None:
    driver = Driver(emulator.library, 0)
    device = Device(
        torch.device("cpu"), driver, CountingCompiler(), "sm_90", cache=tmp_path, stream=lambda: 0
    )
    with pytest.raises(BuildError, match=r"driver says: .*image of.* \(200\)"):
        device.kernel("wkv4.cu", "wkv4_forward")


def test_an_unknown_kernel_and_a_wrong_launch_are_refused(emulated: Device) -> None:
    known = emulated.kernel("wkv4.cu", "wkv4_forward", INPUT="float")
    with pytest.raises(LaunchError, match="a block has 1 to 1024 threads"):
        emulated.launch(known, (1, 1), 2048)
    missing = emulated.kernel("wkv4.cu", "nothing", INPUT="float")
    with pytest.raises(LaunchError, match="no such kernel"):
        emulated.launch(missing, (1, 1), 32)
    emulated.launch(known, (0, 1), 128)  # no blocks: nothing to do


def test_a_gpu_that_is_not_there_is_refused(emulator: Emulator) -> None:
    with pytest.raises(BuildError, match=r"driver says: .*\(101\)"):
        Driver(emulator.library, 3)


def test_tensors_elsewhere_never_reach_a_kernel(emulated: Device) -> None:
    kernel = emulated.kernel("wkv4.cu", "wkv4_forward", INPUT="float")
    with pytest.raises(AssertionError):
        emulated.launch(kernel, (1, 1), 128, torch.empty(4, device="meta"))


def test_without_a_driver_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(BuildError, match=r"driver .* was not found; install it"):
        load_driver(0)


def test_a_pytorch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(BuildError, match="the build for the CPU alone"):
        open_device(GPU)


def test_a_gpu_that_pytorch_cannot_use_yet_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise RuntimeError("No CUDA GPUs are available\nsee the manual")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "current_device", refuse)
    with pytest.raises(BuildError, match=r"cannot use the GPU: No CUDA GPUs are available$"):
        open_device(torch.device("cuda"))


Select = Callable[[list[torch.device]], operators.Operator]
SELECT: dict[str, tuple[Select, Callable[[], list[Tensor]]]] = {
    "wkv7": (lambda devices: operators.select_wkv7(16, devices), lambda: draw_wkv7(1, 3, 2, 16)),
    "wkv6": (lambda devices: operators.select_wkv6(16, devices), lambda: draw_wkv6(1, 3, 2, 16)),
    "wkv4": (operators.select_wkv4, lambda: draw_wkv4(1, 3, 40)),
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, emulated: Device) -> Device:
    """Let the emulated GPU be the first one of PyTorch."""
    monkeypatch.setattr("kernels.operators.open_device", lambda device: emulated)
    return emulated


@pytest.mark.parametrize("name", SELECT)
def test_an_operator_on_a_gpu_equals_its_definition(name: str, opened: Device) -> None:
    select, draw = SELECT[name]
    operator, inputs = select([GPU]), draw()
    assert operator.name == "CUDA"
    assert "NVRTC" in operator.reason
    with torch.no_grad():
        made, measured = operator.run(*inputs), operator.run_measured(*inputs)
    expected = getattr(reference, f"{name}_measured")(*inputs)
    for mine, theirs in zip((*made, *measured), (*expected[:2], *expected), strict=True):
        scale = float(theirs.abs().max())
        assert_close(mine / scale, theirs / scale, torch.float32)


@pytest.mark.parametrize("name", SELECT)
def test_a_broken_toolchain_leaves_torch_and_its_reason(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(device: torch.device) -> Device:
        raise BuildError("NVRTC 13.0 failed on wkv.cu: wkv.cu(1): error: too hot")

    monkeypatch.setattr("kernels.operators.open_device", refuse)
    operator = SELECT[name][0]([GPU])
    assert operator.name == "torch"
    assert operator.reason.endswith("error: too hot")


def test_layers_on_several_devices_each_have_their_own(opened: Device) -> None:
    """The emulated GPU calls itself cpu, so the other one is a device without kernels."""
    operator = operators.select_wkv4([GPU, torch.device("meta")])
    assert operator.name == "CUDA and torch"
    assert operator.reason.startswith("cpu: CUDA kernels")
    assert operator.reason.endswith("; meta: there are no kernels for meta")
    inputs = draw_wkv4(1, 3, 40)
    y, _ = operator.run(*inputs)
    assert torch.equal(y, wkv.wkv4_forward(opened, tuple(inputs[:4]), inputs[4], measure=False)[0])
    meta = [x.to("meta") for x in inputs]
    assert operator.run(*meta)[0].device.type == "meta"


def test_layers_on_the_cpu_alone_are_chosen_as_ever() -> None:
    assert operators.select_wkv4([torch.device("cpu")]) == operators.select_wkv4()


def test_a_head_size_without_code_runs_on_torch_and_says_so(opened: Device) -> None:
    operator = operators.select_wkv7(40, [GPU])
    assert operator.name == "torch"
    assert "head size 40 has no compiled code" in operator.reason


def test_an_unknown_kind_of_device_runs_on_torch() -> None:
    operator = operators.select_wkv4([torch.device("meta")])
    assert (operator.name, operator.reason) == ("torch", "there are no kernels for meta")


@pytest.mark.cuda
@pytest.mark.parametrize("name", SELECT)
def test_on_a_gpu_operators_equal_their_definition(name: str) -> None:
    select, draw = SELECT[name]
    inputs = [x.cuda() for x in draw()]
    operator = select([inputs[0].device])
    assert operator.name == "CUDA", operator.reason
    with torch.no_grad():
        made, measured = operator.run(*inputs), operator.run_measured(*inputs)
    expected = getattr(reference, f"{name}_measured")(*inputs)
    for mine, theirs in zip((*made, *measured), (*expected[:2], *expected), strict=True):
        scale = float(theirs.abs().max())
        assert_close(mine.cpu() / scale, theirs.cpu() / scale, torch.float32)


@pytest.mark.cuda
def test_on_a_gpu_gradients_equal_those_of_the_definition() -> None:
    def gradients(operator: operators.Operator, inputs: list[Tensor]) -> tuple[Tensor, ...]:
        given = [x.cuda().requires_grad_() for x in inputs]
        y, state = operator.run(*given)
        return torch.autograd.grad((y.sin(), state.sin()), given, (torch.ones_like(y), state))

    inputs = draw_wkv7(2, 37, 3, 64)
    mine = gradients(operators.select_wkv7(64, [GPU]), inputs)
    theirs = gradients(operators.torch_wkv7("for the test"), inputs)
    for left, right in zip(mine, theirs, strict=True):
        scale = float(right.abs().max())
        assert_close(left.cpu() / scale, right.cpu() / scale, torch.float32)
