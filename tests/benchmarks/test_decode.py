import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.decode import paired

ROOT = Path(__file__).parent.parent.parent


def test_neighbours_are_compared_and_the_first_pair_only_warms_up() -> None:
    order: list[str] = []
    # Starts and ends: 9 and 9 seconds to warm up, then 1 and 2, 2 and 8, 1 and 3.
    times = iter([0, 9, 18, 20, 21, 23, 30, 32, 40, 50, 51, 54])
    result = paired(
        lambda: order.append("ours"),
        lambda: order.append("theirs"),
        6,
        rounds=3,
        clock=lambda: next(times),
    )
    assert order == ["ours", "theirs"] * 4
    assert result["ratios"] == [2.0, 4.0, 3.0]
    assert result["ratio"] == 3.0
    assert (result["ours_tokens_per_s"], result["rwkv_tokens_per_s"]) == (6.0, 2.0)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_both_runtimes_compute_the_same_on_a_tiny_shape(dtype: str) -> None:
    # A process of its own: the package rwkv reads the environment when it is imported.
    program = (
        "from benchmarks.decode import Shape, Work, run\n"
        f"found = run(Shape(2, 64, 50), Work(2, 3, 1), ['{dtype}'])['{dtype}']\n"
        "print(found['logits_apart'] / found['logits_size'], found['prefill']['ratio'] > 0)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    apart, is_timed = done.stdout.splitlines()[-1].split()
    assert float(apart) < {"fp32": 1e-4, "bf16": 0.05}[dtype]
    assert is_timed == "True"
