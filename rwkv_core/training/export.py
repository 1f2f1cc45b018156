"""Turn a training checkpoint into a model folder: python -m rwkv_core.training.export --help."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def network_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Read the network's weights from a training checkpoint, in official names."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {
        name.removeprefix("network."): tensor
        for name, tensor in saved["state_dict"].items()
        if name.startswith("network.")
    }


def export_model(checkpoint: Path, tokenizer: Path, folder: Path) -> Path:
    """Write model.safetensors in bf16 and tokenizer.json beside it.

    The weights are renamed into place at the end, so that a page that has the old file
    open keeps it.

    Returns:
        The weights file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: x.bfloat16() for name, x in network_weights(checkpoint).items()}
    target = folder / "model.safetensors"
    save_file(weights, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    return target


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rwkv_core.training.export", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path, help="last.ckpt of a run")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args()
    target = export_model(options.checkpoint, options.tokenizer, options.out)
    sys.stdout.write(f"{target}: {target.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
