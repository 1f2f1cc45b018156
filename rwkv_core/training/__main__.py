"""Train an RWKV-7 on a prepared corpus: python -m rwkv_core.training --help."""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rwkv_core.config import Choice, ModelConfig
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.state import State
from rwkv_core.tokenizer import BpeTokenizer
from rwkv_core.training.batches import Batches, Source
from rwkv_core.training.heldout import bits_per_byte, read_documents
from rwkv_core.training.module import TrainingModule, TrainingSettings
from rwkv_core.training.teachers import open_teachers
from rwkv_core.training.wishes import mix, multiple, share

EVALUATED_DOCUMENTS = 200
HEAD_SIZE = 64
PRECISIONS = ("bf16-mixed", "32-true")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m rwkv_core.training", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of a prepared corpus")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument(
        "--mix", type=mix, required=True, help="sources and shares: stories=0.4,talk=0.6"
    )
    parser.add_argument("--weights", type=Path, help="begin a new run with this checkpoint's")
    parser.add_argument(
        "--teachers",
        type=Path,
        nargs="+",
        default=[],
        help="model files of the same vocabulary, any size: learn the mean of their probabilities",
    )
    parser.add_argument(
        "--teacher-share",
        type=share,
        default=0.9,
        help="how much of what is learned the teachers say; the text says the rest (default 0.9)",
    )
    parser.add_argument("--heldout", type=Path, help=".jsonl(.xz) with texts never trained on")
    parser.add_argument("--tokens", type=float, default=1e8, help="tokens to see (default 1e8)")
    parser.add_argument("--layers", type=multiple(1), default=6)
    parser.add_argument(
        "--embd", type=multiple(HEAD_SIZE), default=192, help="channels, a multiple of 64"
    )
    parser.add_argument("--batch", type=multiple(1), default=8, help="rows per step")
    parser.add_argument("--length", type=multiple(1), default=512, help="tokens per row")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak rate of AdamW")
    parser.add_argument("--muon-lr", type=float, default=4e-3, help="peak rate of Muon; 0: AdamW")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--decay-share", type=float, default=0.3, help="last part: rate falls")
    parser.add_argument("--precision", default="auto", choices=["auto", *PRECISIONS])
    parser.add_argument("--compile", action="store_true", help="fuse with torch.compile")
    parser.add_argument("--threads", type=multiple(1), default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--log-steps", type=multiple(1), default=50)
    return parser.parse_args(arguments)


class Saver(Callback):
    """Keeps last.ckpt fresh, so that a run that is cut off goes on where it was."""

    def __init__(self, path: Path, minutes: float) -> None:
        """Save to a path every so many minutes."""
        self._path, self._seconds, self._saved = path, 60 * minutes, time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Save when it is time."""
        if time.monotonic() - self._saved > self._seconds:
            self.save(trainer)

    def on_train_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Save the last step."""
        self.save(trainer)

    def save(self, trainer: lightning.Trainer) -> None:
        """Write beside the old file and rename, so that there always is a whole one."""
        new = self._path.with_suffix(".new")
        trainer.save_checkpoint(new)
        new.replace(self._path)
        self._saved = time.monotonic()


class ProgressLog(Callback):
    """Writes one JSON line to the terminal and to log.jsonl every so many steps."""

    def __init__(self, path: Path, every: int, tokens_per_step: int, evaluate: Any) -> None:
        """Log to a file; evaluate(module) gives figures for every tenth line."""
        self._path, self._every, self._tokens = path, every, tokens_per_step
        self._evaluate = evaluate
        self._means: dict[str, Tensor] = {}
        self._clock, self._counted = time.monotonic(), 0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: tuple[int, Tensor],
        batch_idx: int,
    ) -> None:
        """Smooth the losses, and write when it is time; only then a GPU is waited for."""
        assert isinstance(module, TrainingModule)
        figures = module.figures
        for name in ("loss", "text_loss"):
            if name in figures:
                value = torch.as_tensor(figures[name])
                self._means.setdefault(name, value.clone()).lerp_(value, 0.02)
        self._counted += 1
        step = batch[0] + 1
        if step % self._every:
            return
        losses = {name: round(float(mean), 4) for name, mean in self._means.items()}
        seconds = time.monotonic() - self._clock
        line = {
            "step": step,
            "tokens": step * self._tokens,
            **losses,
            "gradient_norm": round(float(figures["gradient_norm"]), 3),
            "rate": round(float(figures["rate"]), 4),
            "tokens_per_s": round(self._counted * self._tokens / seconds),
        }
        if step % (10 * self._every) == 0:
            line |= self._evaluate(module)
        text = json.dumps(line)
        print(text, flush=True)
        with self._path.open("a") as file:
            file.write(text + "\n")
        self._clock, self._counted = time.monotonic(), 0


def evaluator(corpus: Path, heldout: Path | None, vocab_size: int) -> Any:
    """Make a function from a module to its held-out figures (none without a file)."""
    if heldout is None:
        return lambda module: {}
    tokenizer = BpeTokenizer(corpus / "tokenizer.json", vocab_size)
    documents = read_documents(heldout)[:EVALUATED_DOCUMENTS]

    def evaluate(module: TrainingModule) -> dict[str, float]:
        def logits_of(tokens: Tensor) -> Tensor:
            tokens = tokens.to(module.device)
            state = State.zeros(module.network.config, tokens.shape[0], module.device)
            return module.network.logits(module.network(tokens, state, module.wkv7.run)[0])

        module.network.eval()
        figure = bits_per_byte(logits_of, tokenizer, documents)
        module.network.train()
        return {f"bits_per_byte_first_{len(documents)}": round(figure, 4)}

    return evaluate


def keep_freed_memory() -> None:
    """Ask glibc to reuse large buffers.

    Giving them back to the system and faulting them in again takes nearly half of a step.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        m_mmap_max, m_trim_threshold = -4, -1
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def choose_device(accelerator: str) -> torch.device:
    """Tell where Lightning will train."""
    return torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")


def choose_precision(wanted: str, accelerator: str) -> Choice:
    """Choose the type of matrix products, and say why."""
    if wanted != "auto":
        return Choice(wanted, "asked for by --precision")
    if (
        choose_device(accelerator).type == "cpu"
        and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        return Choice("32-true", "this processor would have to emulate bf16, ten times as slow")
    return Choice("bf16-mixed", "bf16 products are fast here; weights stay float32")


def make_batches(options: argparse.Namespace, steps: int) -> Batches:
    """Open the sources of the mix."""
    return Batches(
        [Source.load(options.corpus, name) for name in options.mix],
        list(options.mix.values()),
        batch=options.batch,
        length=options.length,
        steps=steps,
        seed=options.seed,
        is_pinned=choose_device(options.accelerator).type == "cuda",
    )


def make_module(options: argparse.Namespace, vocab_size: int) -> TrainingModule:
    """Make the network, its settings and its teachers."""
    of_step = options.batch * options.length
    steps = int(options.tokens / of_step)
    if steps < 1:
        raise InputError(
            f"--tokens {options.tokens:.0f} is less than a step's {of_step}, which is --batch times "
            "--length; give more tokens"
        )
    heads = options.embd // HEAD_SIZE
    config = ModelConfig(
        "7", vocab_size, options.layers, options.embd, 4 * options.embd, heads, HEAD_SIZE
    )
    settings = TrainingSettings(
        steps=steps,
        lr=options.lr,
        muon_lr=options.muon_lr,
        weight_decay=options.weight_decay,
        dropout=options.dropout,
        decay_share=options.decay_share,
        is_compiled=options.compile,
        teacher_share=options.teacher_share if options.teachers else 0.0,
    )
    device = choose_device(options.accelerator)
    teachers = open_teachers(options.teachers, vocab_size, device, is_compiled=options.compile)
    module = TrainingModule(config, settings, device, teachers)
    if options.weights:
        module.start_from(open_checkpoint(options.weights))
    return module


def vocab_size_of(corpus: Path) -> int:
    """Read the size of a prepared corpus's vocabulary.

    Raises:
        InputError: there is no such corpus.
    """
    try:
        return int(json.loads((corpus / "corpus.json").read_text())["vocab_size"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{corpus} holds no prepared corpus, whose corpus.json tells the vocabulary's size; "
            "make one with python -m rwkv_core.training.corpus"
        ) from error


def steps_done(checkpoint: Path, module: TrainingModule) -> int:
    """Read how far a run has come.

    Raises:
        InputError: it is one of another shape.
    """
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if {name: tensor.shape for name, tensor in saved.items()} != own:
        raise InputError(
            f"{checkpoint} is of a network of another shape; give the --layers and --embd that the "
            "run began with, or another folder as --run"
        )
    return int(saved["steps_done"])


def main() -> None:
    """Train, or continue the run found in --run; say in one line what is wrong with a wish."""
    options = parse_arguments()
    try:
        train(options)
    except RwkvError as error:
        sys.exit(f"python -m rwkv_core.training: {error}")


def train(options: argparse.Namespace) -> None:
    """Train, or continue the run found in options.run.

    Raises:
        RwkvError: the corpus, a teacher or a checkpoint cannot be used.
    """
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    lightning.seed_everything(options.seed)
    vocab_size = vocab_size_of(options.corpus)
    options.run.mkdir(parents=True, exist_ok=True)
    module = make_module(options, vocab_size)
    batches = make_batches(options, module.settings.steps)
    checkpoint = options.run / "last.ckpt"
    if checkpoint.exists():
        batches.first_step = steps_done(checkpoint, module)
    precision = choose_precision(options.precision, options.accelerator)
    plan = {
        "settings": asdict(module.settings),
        "epochs": batches.epochs(),
        "from_step": batches.first_step,
        "teachers": [str(path) for path in options.teachers],
        "kernel": module.wkv7.reason,
        "precision": precision,
    }
    print(json.dumps(plan))
    evaluate = evaluator(options.corpus, options.heldout, vocab_size)
    log = options.run / "log.jsonl"
    tokens_per_step = options.batch * options.length
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator=options.accelerator,
        devices=1,
        precision=precision.value,  # type: ignore[arg-type]  # one of PRECISIONS
        callbacks=[
            ProgressLog(log, options.log_steps, tokens_per_step, evaluate),
            Saver(checkpoint, options.save_minutes),
        ],
        enable_checkpointing=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    resumed = checkpoint if checkpoint.exists() else None
    trainer.fit(module, batches, ckpt_path=resumed, weights_only=True)


if __name__ == "__main__":
    main()
