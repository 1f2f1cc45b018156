import pytest
import torch

from rwkv_core.errors import StrategyError
from rwkv_core.strategy import EXAMPLES, RUNNABLE, Placement, choose_strategy, parse_strategy

CPU = torch.device("cpu")


@pytest.mark.parametrize("text", ["cpu fp32", " cpu fp32 ", "cpu fp32 *12"])
def test_fp32_on_the_cpu_is_read(text: str) -> None:
    assert parse_strategy(text) == Placement(CPU, torch.float32)


def test_bf16_on_the_cpu_is_read() -> None:
    assert parse_strategy("cpu bf16") == Placement(CPU, torch.bfloat16)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("mps fp32", "mps"),
        ("dml fp16", "dml"),
        ("cpu fp16", "fp16"),
        ("cpu fp32i8", "i8"),
        ("cpu fp32i4", "i4"),
        ("cpu fp32 *0+", "streaming"),
        ("cuda fp16 *10 -> cpu bf16", "2 stages"),
        ("cpu fp32->cpu bf16->cpu fp32", "3 stages"),
    ],
)
def test_what_cannot_run_is_refused_by_name(text: str, missing: str) -> None:
    with pytest.raises(StrategyError, match=missing) as caught:
        parse_strategy(text)
    assert "use cpu fp32 or cpu bf16" in str(caught.value)
    assert "cannot read" not in str(caught.value)


@pytest.mark.parametrize("has_gpu", [True, False])
@pytest.mark.parametrize("text", ["cuda fp16", "cuda:1 bf16"])
def test_cuda_is_refused_with_and_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, text: str, has_gpu: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    with pytest.raises(StrategyError, match="not supported yet") as caught:
        parse_strategy(text)
    assert ("no CUDA GPU" in str(caught.value)) != has_gpu


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
        ("cpu fp32 * 10", "^^^^"),
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


def test_every_example_is_in_the_grammar() -> None:
    for example in EXAMPLES:
        if example in RUNNABLE:
            parse_strategy(example)
        else:
            with pytest.raises(StrategyError, match="cannot run"):
                parse_strategy(example)


@pytest.mark.parametrize("has_gpu", [True, False])
def test_chosen_strategy_runs_and_says_why(monkeypatch: pytest.MonkeyPatch, has_gpu: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    value, reason = choose_strategy()
    assert parse_strategy(value).device == CPU
    assert ("GPU" in reason) == has_gpu
