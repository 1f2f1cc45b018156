import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rwkv_core.errors import StrategyError
from rwkv_core.strategy import (
    EXAMPLES,
    Place,
    Placement,
    Stage,
    choose_strategy,
    explain,
    parse_strategy,
)
from tests.checkpoints import write_pth
from tests.checkpoints_v4 import random_weights
from tests.references.pypi_pipeline import COLLECT_NOTHING

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
N_LAYER = 12
# Texts that the package takes too; the last two places are where rounding down matters.
ALLOCATED = [
    "cpu fp32",
    "cpu bf16 *3",
    "cpu fp32 *3 -> cpu bf16 *4",
    "cpu fp32 -> cpu bf16 -> cpu fp32",
    "cpu fp32 *3 -> cpu bf16 -> cpu fp32 *1",
    "cpu fp32 *20",
    "cpu fp32 *5 -> cpu bf16 *20 -> cpu fp32",
    "cpu fp32 -> cpu bf16 *13",
    "cuda:0 fp16 *10 -> cuda:1 fp16 -> cpu fp32",
    "cuda fp16 *2->cuda:1 bf16",
    "cuda fp16 *4+",
    "cuda fp16 *0+ -> cpu fp32 *1",
    "cpu fp32 *2 -> cuda fp16 *3+ -> cpu fp32",
    "cuda fp16 *20+",
    "cuda fp16i8 *6 -> cpu fp32i8 ",
    "mps fp16 -> cpu bf16i8 *2",
]
# Prints one line of the package's own account of every strategy, whose devices it then misses.
ALLOCATE = f"""{COLLECT_NOTHING}
import contextlib, io, os, sys
os.environ |= {{"RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0", "RWKV_V7_ON": "0"}}
from rwkv.model import RWKV
for strategy in sys.argv[2:]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
        RWKV(model=sys.argv[1], strategy=strategy)
    print(next(line for line in said.getvalue().splitlines() if line.startswith("0-")))
"""


@pytest.fixture
def every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two CUDA GPUs and an Apple one, as far as torch can be asked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.fixture(scope="module")
def packages_places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Where the package puts 12 layers and the head, by strategy."""
    weights = random_weights(n_layer=N_LAYER, n_embd=32, head_size=32, vocab_size=20)
    path = write_pth(tmp_path_factory.mktemp("allocated") / "v4.pth", weights)
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE, path, *ALLOCATED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    return dict(zip(ALLOCATED, lines, strict=True))


@pytest.mark.usefixtures("every_device")
@pytest.mark.parametrize("text", ALLOCATED)
def test_layers_go_where_the_pypi_package_puts_them(
    packages_places: dict[str, list[str]], text: str
) -> None:
    ours = [
        _as_the_package_prints(number, place)
        for number, place in enumerate(parse_strategy(text).allocate(N_LAYER))
    ]
    assert ours == packages_places[text]


def _as_the_package_prints(number: int, place: Place) -> str:
    dtype = str(place.dtype).removeprefix("torch.")
    weights = "uint8" if place.format == "int8" else dtype
    return f"{number}-{place.device}-{dtype}-{weights}{'-stream' if place.is_streamed else ''}"


@pytest.mark.parametrize("text", ["cpu fp32", " cpu fp32 ", "cpu fp32 *12"])
def test_fp32_on_the_cpu_is_read(text: str) -> None:
    assert set(parse_strategy(text).allocate(12)) == {Place(CPU, torch.float32)}


@pytest.mark.usefixtures("every_device")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu int8", Stage(CPU, torch.float32, "int8")),
        ("cpu int4", Stage(CPU, torch.float32, "int4")),
        ("cuda int8", Stage(torch.device("cuda"), torch.float16, "int8")),
        ("cpu bf16i8", Stage(CPU, torch.bfloat16, "int8")),
        ("cpu fp32i4", Stage(CPU, torch.float32, "int4")),
        ("cuda:1 fp16 *3+", Stage(torch.device("cuda:1"), torch.float16, "float", 3, True)),
    ],
)
def test_a_stage_is_read(text: str, expected: Stage) -> None:
    assert parse_strategy(text).stages == (expected,)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("mps fp32", "no Apple GPU"),
        ("dml fp16", "DirectML"),
        ("cpu fp32i3", "i3"),
        ("cuda fp16", "torch sees no CUDA GPU here"),
        ("cpu fp32 *2 -> cuda fp16", "torch sees no CUDA GPU here"),
        ("cpu fp32 *1+ -> cpu bf16 *1+", "only one stage can stream"),
    ],
)
def test_what_cannot_run_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str, missing: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(StrategyError, match=re.escape(missing)) as caught:
        parse_strategy(text)
    assert "use 'cpu fp32', or 'cpu int8'" in str(caught.value)
    assert "cannot read" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(StrategyError, match="torch sees CUDA GPUs up to cuda:0 here, not cuda:1"):
        parse_strategy("cuda:1 fp16")


@pytest.mark.parametrize(
    ("text", "underlined"),
    [
        ("", "^"),
        ("xpu fp32", "^^^"),
        ("CPU fp32", "^^^"),
        ("cpu", "^"),
        ("cpux fp32", "^^^^"),
        ("cpu  fp32", "^^^^"),
        ("cpu fp64", "^^^^"),
        ("cpu fp32i9", "^^^^^^"),
        ("cpu int8i8", "^^^^^^"),
        ("cpu fp32 * 10", "^^^^"),
        ("cpu fp32 *9999999", "^^^^^^^^"),
        ("cpu fp32 *3 cpu", "^^^^^^"),
        ("cpu fp32 *3 -> cup bf16", "^^^"),
        ("cpu fp32 ->", "^"),
    ],
)
def test_unreadable_text_is_underlined_with_three_examples(text: str, underlined: str) -> None:
    with pytest.raises(StrategyError) as caught:
        parse_strategy(text)
    lines = str(caught.value).splitlines()
    assert lines[1] == f"  {text}"
    assert lines[2].strip() == underlined
    assert all(example in lines[3] for example in EXAMPLES)


@pytest.mark.parametrize(
    ("text", "place"), [("cpu fp32 *3 -> cup bf16", "cup"), ("cpu  fp32", "fp32")]
)
def test_underline_stands_below_the_mistake(text: str, place: str) -> None:
    with pytest.raises(StrategyError) as caught:
        parse_strategy(text)
    assert str(caught.value).splitlines()[2].index("^") == 2 + text.index(place)


@pytest.mark.usefixtures("every_device")
def test_every_example_can_run() -> None:
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        parse_strategy(example)


@pytest.mark.parametrize("has_gpu", [True, False])
def test_chosen_strategy_runs_and_says_why(monkeypatch: pytest.MonkeyPatch, has_gpu: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    value, reason = choose_strategy()
    assert parse_strategy(value) == Placement((Stage(CPU, torch.float32),))
    assert ("GPU" in reason) == has_gpu


def test_weights_of_few_bits_are_not_made_long_again() -> None:
    value, reason = choose_strategy(8.5)
    assert value == "cpu int8"
    assert "take 8.5 bits" in reason
    assert choose_strategy(16).value == choose_strategy(12).value == "cpu fp32"


@pytest.mark.usefixtures("every_device")
def test_every_choice_has_a_reason_of_its_own() -> None:
    placement = parse_strategy("cuda:0 fp16i8 *10 -> cuda:1 fp16 *1+ -> cpu fp32 *1")
    choices = explain(placement, N_LAYER, "asked for")
    assert choices["device"].value == "cuda:0 and cuda:1 and cpu"
    assert choices["device"].reason == (
        "asked for: layers 1-10 cuda:0 fp16 with int8 weights; layer 11 cuda:1 fp16; "
        "layer 12 cuda:1 fp16, streamed; head cpu fp32"
    )
    assert choices["dtype"].value == "float16 and float32"
    assert "65,504" in choices["dtype"].reason
    assert choices["weights"].value == "int8 and float"
    assert "weights" not in explain(parse_strategy("cpu fp32"), N_LAYER, "asked for")
