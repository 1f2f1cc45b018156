import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed import by_size, bytes_read, in_turn, summed_up, table
from kernels.packed import PackedFormat, PackedMatrix
from rwkv_core.models import load_model
from tests.checkpoints import random_weights, write_pth
from tests.tolerances import PACKED_INPUTS

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


def test_batches_are_compared_with_the_first_within_a_round() -> None:
    seconds = {"ours 2": [1.0, 2.0, 4.0], "ours 8": [2.0, 2.0, 2.0], "torch 8": [6.0, 4.0, 8.0]}
    found = by_size({**seconds, "torch 2": [3.0, 3.0, 3.0]}, (2, 8))
    assert found["8"]["times_batch_of_2_each"] == [2.0, 4.0, 8.0]
    assert (found["8"]["times_batch_of_2"], found["2"]["times_batch_of_2"]) == (4.0, 1.0)
    assert (found["8"]["times_torch"], found["8"]["ours_tokens_per_s"]) == (3.0, 4.0)


def test_a_token_reads_the_weights_and_the_state(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "m.pth", random_weights(n_layer=2, n_embd=64, head_size=64))
    model = load_model(path, "cpu fp32")
    packed = [tensor for tensor in model.network.buffers() if tensor.dtype == torch.uint8]
    weights = sum(tensor.nbytes for tensor in packed)
    state = 2 * 4 * (64 * 64 + 2 * 64)
    assert bytes_read(model, 0.0) == weights + state


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


PRECISIONS = ["fp32", "bf16", "int8", "int4"]
# A process of its own: the package rwkv reads the environment when it is imported.
PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.speed import Work, run
from tests.checkpoints import random_weights, write_pth
path = write_pth(Path(sys.argv[1]), random_weights(n_layer=2, n_embd=64, head_size=64))
print(json.dumps(run(path, Work(2, 5, 1, (2,)), sys.argv[2:])["precisions"]))
"""


@pytest.fixture(scope="module")
def by_precision(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the benchmarks found of a tiny shape."""
    path = tmp_path_factory.mktemp("speed") / "m.pth"
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), *PRECISIONS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_runtimes_compute_the_same_on_a_tiny_shape(
    by_precision: Any, precision: PackedFormat
) -> None:
    found = by_precision[precision]
    names = {"torch", "rwkv"} if precision in ("fp32", "bf16") else {"torch"}
    assert found["logits_apart"].keys() == names
    # torch rounds products of bf16, and packed weights of few bits their inputs.
    inputs = PackedMatrix(1, 1, precision, threads=1).inputs
    limit = PACKED_INPUTS[inputs].relative if inputs.startswith("int8") else 1e-4
    limit = 0.05 if precision == "bf16" else limit
    assert max(found["logits_apart"].values()) < limit
    read, whole = (found["decode"][name] for name in ("bytes_read_per_token", "bytes_of_all_rows"))
    # Half of the channel mix's values are zero, which are too few to leave weights out.
    assert 0 < read == whole
    assert found["prefill"]["times_torch"] > 0
    assert found["batch"]["2"]["times_torch"] > 0
