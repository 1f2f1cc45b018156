"""Run the PyPI package rwkv, in a process of its own: it reads the environment at import.

    RWKV_V7_ON=1 python -m tests.references.pypi_rwkv MODEL.pth IDS RESULT.npz STRATEGY

IDS is a comma-separated prompt; a semicolon separates each further part. RWKV_V7_ON must be 1
for RWKV-7 and must not be for RWKV-4, 5 and 6. The result holds `logits` (one row per part)
and the state after the last: `time_mix_shift` (L, C), `wkv` (L, H, V, K), or (L, 3, C) for
RWKV-4, and `channel_mix_shift` (L, C).
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]


def run_package(
    model_path: Path,
    parts: Sequence[Sequence[int]],
    result: Path,
    *,
    strategy: str = "cpu fp32",
    **switches: str,
) -> dict[str, NDArray[np.float32]]:
    """Read the parts in order in a process of its own.

    Args:
        model_path: a .pth file.
        parts: ids, at least one in each.
        result: a file to write.
        strategy: as the package takes it.
        switches: environment variables, such as RWKV_V7_ON="1", which is "0" if not given.

    Returns:
        What the module's docstring says.
    """
    text = ";".join(",".join(map(str, part)) for part in parts)
    defaults = {"RWKV_V7_ON": "0", "RWKV_CUDA_ON": "0", "RWKV_JIT_ON": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.references.pypi_rwkv", model_path, text, result, strategy],
        cwd=ROOT,
        env=os.environ | defaults | switches,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(result))


def main(model_path: str, parts: str, result_path: str, strategy: str) -> None:
    """Read the parts in order and write the result."""
    # Imported here: the package compiles itself at import, in the process that asked for it.
    from rwkv.model import RWKV

    # The package appends .pth by itself.
    model = RWKV(model=model_path.removesuffix(".pth"), strategy=strategy)
    is_v7 = os.environ["RWKV_V7_ON"] == "1"
    rows, state = [], model.generate_zero_state() if is_v7 else None
    for part in parts.split(";"):
        logits, state = model.forward([int(token) for token in part.split(",")], state)
        rows.append(logits.float().numpy().copy())
    assert state is not None
    results = as_ours([part.float().numpy() for part in state], is_v7) | {"logits": np.stack(rows)}
    np.savez(Path(result_path), **results)


def as_ours(state: list[NDArray[np.float32]], is_v7: bool) -> dict[str, NDArray[np.float32]]:
    """Bring the package's flat list, 3 or 5 tensors per layer, into our shapes."""
    # RWKV-4's second tensor is a vector, the others' a matrix per head.
    per_layer = 5 if state[1].ndim == 1 else 3
    first, *middle, last = (np.stack(state[part::per_layer]) for part in range(per_layer))
    wkv = np.stack(middle, axis=1) if per_layer == 5 else middle[0]
    if per_layer == 3 and not is_v7:
        # Rows are keys there.
        wkv = np.swapaxes(wkv, -1, -2)
    return {"time_mix_shift": first, "wkv": wkv, "channel_mix_shift": last}


if __name__ == "__main__":
    main(*sys.argv[1:])
