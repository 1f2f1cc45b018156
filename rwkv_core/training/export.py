"""Turn a training checkpoint into a model folder: python -m rwkv_core.training.export --help."""

from __future__ import annotations

import argparse
import math
import pickle
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from rwkv_core.errors import CheckpointError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.training.wishes import share


def network_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Read a network's weights, in official names, from a run's last.ckpt or a .safetensors.

    Raises:
        CheckpointError: it is neither.
    """
    if checkpoint.suffix == ".safetensors":
        return dict(open_checkpoint(checkpoint).tensors.items())
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return {
            name.removeprefix("network."): tensor
            for name, tensor in saved["state_dict"].items()
            if name.startswith("network.")
        }
    except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[0] if isinstance(error, OSError) else "it holds no run"
        raise CheckpointError(
            f"{checkpoint} cannot be exported ({why}); give a run's last.ckpt or a .safetensors"
        ) from error


def scale_logits(weights: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Multiply all logits by one number: below 1, a model becomes less sure of itself.

    The final norm takes the factor, as it has the fewest numbers to round again.
    """
    final = ("ln_out.weight", "ln_out.bias")
    return {name: x.float() * scale if name in final else x for name, x in weights.items()}


def blend_weights(
    weights: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Average two networks of which one began as the other: (1 - share) weights + share other.

    Training a little further on some new text costs what the text before had given; between the
    two lie weights that have most of both.

    Raises:
        CheckpointError: they are of different sizes.
    """
    sizes, others = ({name: x.shape for name, x in some.items()} for some in (weights, other))
    if sizes != others:
        raise CheckpointError(
            "the weights to blend are of another size; give two of the same model, of which one "
            "began as the other"
        )
    return {
        name: (1 - share) * x.float() + share * other[name].float() for name, x in weights.items()
    }


def export_model(
    checkpoint: Path,
    tokenizer: Path,
    folder: Path,
    *,
    logit_scale: float = 1.0,
    blend: Path | None = None,
    blend_share: float = 0.5,
) -> Path:
    """Write model.safetensors in bf16 and tokenizer.json beside it.

    The weights are renamed into place at the end, so that a page that has the old file
    open keeps it.

    Args:
        checkpoint: as of `network_weights`.
        tokenizer: to copy.
        folder: to write to, made where it is missing.
        logit_scale: what all logits are multiplied by.
        blend: another checkpoint to average with, see `blend_weights`.
        blend_share: how much of that one.

    Returns:
        The weights file.
    """
    blended = network_weights(checkpoint)
    if blend is not None:
        blended = blend_weights(blended, network_weights(blend), blend_share)
    scaled = scale_logits(blended, logit_scale)
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
    weights = {name: x.bfloat16() for name, x in scaled.items()}
    target = folder / "model.safetensors"
    save_file(weights, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)
    return target


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rwkv_core.training.export", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path, help="last.ckpt of a run, or .safetensors")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--logit-scale", type=float, default=1.0, help="below 1: less sure of itself (default 1)"
    )
    parser.add_argument("--blend", type=Path, help="a second checkpoint, to average with")
    parser.add_argument(
        "--blend-share", type=share, default=0.5, help="how much of the second (default 0.5)"
    )
    options = parser.parse_args()
    if not 0 < options.logit_scale < math.inf:
        parser.error(f"--logit-scale is {options.logit_scale}; give a number above 0")
    try:
        target = export_model(
            options.checkpoint,
            options.tokenizer,
            options.out,
            logit_scale=options.logit_scale,
            blend=options.blend,
            blend_share=options.blend_share,
        )
    except (CheckpointError, OSError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{target}: {target.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
