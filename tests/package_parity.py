"""Compare a model with the PyPI package rwkv, logits and state."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rwkv_core.models import load_model
from tests.checkpoints import write_pth
from tests.references.pypi_rwkv import run_package
from tests.tolerances import assert_close

VOCAB = 300
# The shape of the released 0.1B models but for the vocabulary, to be quick.
RELEASED_SHAPE = {"n_layer": 12, "n_embd": 768, "head_size": 64, "vocab_size": 1000}


def assert_agrees_with_the_package(
    random_weights: Callable[..., dict[str, Tensor]], folder: Path, **sizes: int
) -> None:
    """Compare a prompt at once, further tokens one by one, and the state after them.

    Args:
        random_weights: draws a checkpoint of given sizes.
        folder: where to write it for a while.
        sizes: of the model; a small one where not given.
    """
    sizes = {"n_embd": 128, "head_size": 64, "vocab_size": VOCAB} | sizes
    path = write_pth(folder / "compared.pth", random_weights(**sizes))
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(0, sizes["vocab_size"], (23,), generator=draw).tolist()
    parts = [ids[:20], ids[20:21], ids[21:22], ids[22:]]
    expected = run_package(path, parts, folder / "result.npz")
    model, state, rows = load_model(path, "cpu fp32"), None, []
    path.unlink()
    for part in parts:
        logits, state = model.forward(part, state)
        rows.append(logits)
    assert state is not None
    assert_close(torch.cat(rows), expected["logits"], torch.float32)
    # The state carries larger numbers than the logits, so it is compared by length alone.
    for name, value in vars(state).items():
        difference = value[:, 0].numpy() - expected[name]
        assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(expected[name]), name
