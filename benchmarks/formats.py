"""What number formats cost in accuracy: logits of random models, and real text.

Random weights of a released shape show every generation's rounding; they are drawn in bf16, as
released files are stored. The shipped model shows what it means for a text.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from presets.texts import public_text
from rwkv_core.models import Model, load_model
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.runtime import Kernel
from rwkv_core.tokenizer import Tokenizer
from rwkv_core.training.heldout import bits_per_byte
from tests.checkpoints import write_pth
from tests.foreign_formats import Kind, write_gguf
from tests.generations import RANDOM_WEIGHTS, REFERENCES, RELEASED_RANKS, as_numpy, random_tokens

STRATEGIES = {
    "fp32": "cpu fp32",
    "bf16": "cpu bf16",
    "fp16": "cpu fp16",
    "int8": "cpu int8",
    "int4": "cpu int4",
}
# Of the text: torch's path, and what runs if nothing else is asked for.
KERNELS: Mapping[str, Kernel] = {"bits_per_byte": "torch", "bits_per_byte_packed": "fastest"}
# Types of quantised files, and what such files run in.
FILES = (Kind.Q8_0, Kind.Q5_1, Kind.Q5_0, Kind.Q4_1, Kind.Q4_0)
FILE_STRATEGIES = ("fp32", "int8", "int4")
GENERATIONS = ("4", "5.1", "5.2", "6", "7", "7a")


@dataclass(frozen=True)
class Shape:
    """Sizes of the random models: those of the released 0.1B, but for a small vocabulary."""

    n_layer: int = 12
    n_embd: int = 768
    head_size: int = 64
    vocab_size: int = 4096


@dataclass(frozen=True)
class Amount:
    """How much is measured: tokens read by each random model, characters by the shipped one."""

    tokens: int = 24
    characters: int = 12_000


def errors(logits: Tensor, exact: Tensor) -> dict[str, float]:
    """Compare logits (T, V) with better ones.

    Returns:
        max_abs_over_std: the largest difference, in units of the better logits' spread.
        relative_l2: length of the difference, divided by that of the better logits.
        same_top: share of tokens whose likeliest successor is the same.
    """
    logits, exact = logits.double(), exact.double()
    difference = logits - exact
    same = (logits.argmax(-1) == exact.argmax(-1)).double().mean()
    return {
        "max_abs_over_std": float(f"{float(difference.abs().max() / exact.std()):.3g}"),
        "relative_l2": float(f"{float(difference.norm() / exact.norm()):.3g}"),
        "same_top": round(float(same), 4),
    }


def read_at_once(model: Model, tokens: Tensor) -> Tensor:
    """Read tokens (1, T) together; logits (T, V)."""
    return model.forward(tokens, all_logits=True)[0][0]


def read_one_by_one(model: Model, tokens: Tensor) -> Tensor:
    """Read tokens (1, T) each after the other; logits (T, V)."""
    state, rows = model.initial_state(), []
    for t in range(tokens.shape[1]):
        logits, state = model.forward(tokens[:, t : t + 1], state)
        rows.append(logits)
    return torch.cat(rows)


MODES: Mapping[str, Callable[[Model, Tensor], Tensor]] = {
    "at_once": read_at_once,
    "one_by_one": read_one_by_one,
}


def measure_generation(generation: str, shape: Shape, amount: Amount) -> dict[str, Any]:
    """Compare every format of one generation.

    Returns:
        format -> mode -> errors; fp32's against float64, the others' against fp32. Mode "packed" is
        that of the CPU's own kernels, which round other things than torch's path does.
    """
    sizes = asdict(shape) | RELEASED_RANKS.get(generation, {})
    weights = RANDOM_WEIGHTS[generation](**sizes, dtype=torch.bfloat16)
    tokens = random_tokens(1, amount.tokens, vocab_size=shape.vocab_size)
    exact = REFERENCES[generation](as_numpy(weights)).forward(tokens.numpy())[0]
    better = dict.fromkeys(MODES, torch.from_numpy(exact[0]))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = write_pth(Path(folder) / "random.pth", weights)
        del weights
        for name, strategy in STRATEGIES.items():
            print(f"RWKV-{generation} in {name}", file=sys.stderr)
            model = load_model(path, strategy, kernel="torch")
            logits = {mode: read(model, tokens) for mode, read in MODES.items()}
            results[name] = {mode: errors(logits[mode], better[mode]) for mode in MODES}
            packed = read_at_once(load_model(path, strategy), tokens)
            results[name]["packed"] = errors(packed, better["at_once"])
            if name == "fp32":
                better = logits
    return results


def measure_text(path: Path, tokenizer: Tokenizer, characters: int) -> dict[str, Any]:
    """Measure bits per byte of the public text's beginning with the model of a file."""
    text = public_text()[:characters]
    measured: dict[str, Any] = {"bytes": len(text.encode())}
    for kind, kernel in KERNELS.items():
        figures = measured[kind] = {}
        for name, strategy in STRATEGIES.items():
            figures[name] = bits_of(load_model(path, strategy, kernel=kernel), tokenizer, text)
    return measured


def bits_of(model: Model, tokenizer: Tokenizer, text: str) -> float:
    """Count bits per byte of a text, to five digits after the point."""
    read = lambda tokens: model.forward(tokens, all_logits=True)[0]  # noqa: E731
    return round(bits_per_byte(read, tokenizer, [text]), 5)


def measure_files(path: Path, tokenizer: Tokenizer, characters: int) -> dict[str, Any]:
    """Measure the same with quantised GGUF files of the model, an RWKV-7.

    Returns:
        type -> bits that a number takes in the file, and bits per byte of the text by strategy.
    """
    text, measured = public_text()[:characters], {}
    weights = dict(open_checkpoint(path).tensors.items())
    with tempfile.TemporaryDirectory() as folder:
        for kind in FILES:
            file = write_gguf(Path(folder) / "model.gguf", weights, generation="7", kind=kind)
            found = {"bits": round(open_checkpoint(file).tensors.bits, 2)}
            for name in FILE_STRATEGIES:
                found[name] = bits_of(load_model(file, STRATEGIES[name]), tokenizer, text)
            measured[kind.name] = found
    return measured


def measure_formats(
    path: Path, tokenizer: Tokenizer, shape: Shape | None = None, amount: Amount | None = None
) -> dict[str, Any]:
    """Measure every generation, then the text.

    Args:
        path: of the model that reads the text.
        tokenizer: of that model.
        shape: of the random models.
        amount: how much is measured.
    """
    shape, amount = shape or Shape(), amount or Amount()
    return {
        "shape": asdict(shape),
        "tokens": amount.tokens,
        "generations": {name: measure_generation(name, shape, amount) for name in GENERATIONS},
        "text": measure_text(path, tokenizer, amount.characters),
        "files": measure_files(path, tokenizer, amount.characters),
    }


def table(formats: dict[str, Any]) -> str:
    """Write the results as three Markdown tables."""
    rows = [
        "| RWKV | format | at once: max-abs / spread | relative | same top token "
        "| one by one: max-abs / spread | relative | same top token | packed: relative |",
        "|" + " --- |" * 9,
    ]
    for generation, measured in formats["generations"].items():
        for name, modes in measured.items():
            against = " (against float64)" if name == "fp32" else ""
            cells = [generation, name + against]
            for mode in MODES:
                error = modes[mode]
                cells += [f"{error['max_abs_over_std']:.1e}", f"{error['relative_l2']:.1e}"]
                cells.append(f"{error['same_top']:.0%}")
            cells.append(f"{modes['packed']['relative_l2']:.1e}")
            rows.append(f"| {' | '.join(cells)} |")
    rows += [
        "",
        "| format | bits per byte of the text | more than fp32 | packed | more than fp32 |",
    ]
    rows.append("|" + " --- |" * 5)
    for name in STRATEGIES:
        cells = [name]
        for kind in KERNELS:
            figures = formats["text"][kind]
            cells += [f"{figures[name]:.4f}", f"{figures[name] / figures['fp32'] - 1:+.2%}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", *_files_table(formats)])


def _files_table(formats: dict[str, Any]) -> list[str]:
    exact = formats["text"]["bits_per_byte_packed"]["fp32"]
    rows = [
        "| file | bits a number | as fp32: more than the model's fp32 | int8 | int4 |",
        "|" + " --- |" * 5,
    ]
    for kind, found in formats["files"].items():
        cells = [kind, str(found["bits"])]
        cells += [f"{found[name] / exact - 1:+.2%}" for name in FILE_STRATEGIES]
        rows.append(f"| {' | '.join(cells)} |")
    return rows
