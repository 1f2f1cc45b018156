import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed import in_turn, summed_up, table
from tests.tolerances import INT4_INPUTS

ROOT = Path(__file__).parent.parent.parent


def test_all_take_turns_and_the_first_round_only_warms_up() -> None:
    order: list[str] = []
    # Starts and ends: 9 and 9 seconds to warm up, then 1 and 2, 2 and 8, 1 and 3.
    times = iter([0, 9, 9, 18, 20, 21, 21, 23, 30, 32, 32, 40, 50, 51, 51, 54])
    seconds = in_turn(
        {"ours": lambda: order.append("ours"), "theirs": lambda: order.append("theirs")},
        rounds=3,
        clock=lambda: next(times),
    )
    assert order == ["ours", "theirs"] * 4
    assert seconds == {"ours": [1, 2, 1], "theirs": [2, 8, 3]}


def test_ratios_are_those_of_neighbours() -> None:
    result = summed_up({"ours": [1, 2, 1], "theirs": [2, 8, 3]}, 6)
    assert result["times_theirs_each"] == [2.0, 4.0, 3.0]
    assert result["times_theirs"] == 3.0
    assert (result["ours_tokens_per_s"], result["theirs_tokens_per_s"]) == (6.0, 2.0)


def test_a_task_is_one_table() -> None:
    decode = {"ours_tokens_per_s": 6.0, "times_rwkv": 3.0, "times_rwkv_each": [2.0, 4.0]}
    batch = {"2": {"ours_tokens_per_s": 9.0}, "8": {"ours_tokens_per_s": 20.0}}
    results = {"precisions": {"int8": {"decode": decode, "batch": batch}}}
    assert table(results, "decode").splitlines() == [
        "| precision | ours, tokens/s | times rwkv |",
        "| --- | --- | --- |",
        "| int8 | 6.0 | 3.0 |",
    ]
    assert table(results, "batch").splitlines()[2:] == ["| int8 | 2 | 9.0 |", "| int8 | 8 | 20.0 |"]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int4"])
def test_all_runtimes_compute_the_same_on_a_tiny_shape(precision: str, tmp_path: Path) -> None:
    # A process of its own: the package rwkv reads the environment when it is imported.
    program = (
        "import json\n"
        "from pathlib import Path\n"
        "from benchmarks.speed import Work, run\n"
        "from tests.checkpoints import random_weights, write_pth\n"
        f"path = write_pth(Path('{tmp_path}') / 'm.pth', random_weights(n_layer=2, n_embd=64, head_size=64))\n"
        f"found = run(path, Work(2, 5, 1, (2,)), ['{precision}'])['precisions']['{precision}']\n"
        "print(json.dumps(found))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    names = {"torch", "rwkv"} if precision in ("fp32", "bf16") else {"torch"}
    assert found["logits_apart"].keys() == names
    # torch rounds products of bf16, and packed int4 its inputs.
    limits = {"bf16": 0.05, "int4": INT4_INPUTS.relative}
    assert max(found["logits_apart"].values()) < limits.get(precision, 1e-4)
    read, whole = (found["decode"][name] for name in ("bytes_read_per_token", "weight_bytes"))
    # Half of the channel mix's values are zero, which int8 does not skip for.
    assert 0 < read <= whole
    assert (read == whole) == (precision == "int8")
    assert found["prefill"]["times_torch"] > 0
    assert found["batch"]["2"]["times_torch"] > 0
