"""A GPU played by the CPU, for every test in this folder."""

from collections.abc import Generator

import pytest

from kernels.build import BuildError
from kernels.cuda.device import Device
from tests.kernels.cuda.emulator import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    try:
        return Emulator(tmp_path_factory.mktemp("emulator"))
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def emulated(emulator: Emulator) -> Device:
    return emulator.device()


@pytest.fixture(scope="session")
def without_tensor_cores(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Device:
    """A GPU whose tensor cores know too little."""
    return Emulator(tmp_path_factory.mktemp("old"), ("-DTENSOR_CORES=0",)).device()


@pytest.fixture(params=[0, 1, 2, 3], ids=["ascending", "descending", "mixed", "by warp"])
def order(emulator: Emulator, request: pytest.FixtureRequest) -> Generator[int]:
    """The turns that a block's threads take: results must not depend on them."""
    emulator.set_order(request.param)
    yield request.param
    emulator.set_order(0)
