"""Run the PyPI package rwkv, in a process of its own: it reads the environment at import.

    RWKV_V7_ON=1 python -m tests.references.pypi_rwkv MODEL.pth IDS RESULT.npz

IDS is a comma-separated prompt; a semicolon separates each further single step. The result
holds `logits` (one row per part) and `wkv` (L, H, V, K) after the last.
"""

import sys
from pathlib import Path

import numpy as np
from rwkv.model import RWKV


def main(model_path: str, parts: str, result_path: str) -> None:
    """Read the parts in order and write the result."""
    # The package appends .pth by itself.
    model = RWKV(model=model_path.removesuffix(".pth"), strategy="cpu fp32")
    rows, state = [], model.generate_zero_state()
    for part in parts.split(";"):
        logits, state = model.forward([int(token) for token in part.split(",")], state)
        rows.append(logits.numpy().copy())
    wkv = np.stack([matrix.numpy() for matrix in state[1::3]])
    np.savez(Path(result_path), logits=np.stack(rows), wkv=wkv)


if __name__ == "__main__":
    main(*sys.argv[1:])
