"""The training step of an RWKV-7, as a LightningModule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from kernels.operators import CPU, select_wkv7
from rwkv_core.config import ModelConfig
from rwkv_core.errors import CheckpointError
from rwkv_core.models.blocks import identity
from rwkv_core.models.loading import Checkpoint
from rwkv_core.models.rwkv7 import RWKV7
from rwkv_core.state import State
from rwkv_core.training.initialise import default_ranks, initialise
from rwkv_core.training.loss import head_loss
from rwkv_core.training.muon import Muon
from rwkv_core.training.teachers import Teacher


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        steps: optimiser steps in all.
        lr: peak learning rate of AdamW.
        muon_lr: peak learning rate of Muon, for the blocks' matrices; 0 uses AdamW for them.
        weight_decay: of matrices named `.weight`; nothing else decays.
        dropout: of both halves of each block.
        warmup: steps to the peak.
        decay_share: share of the steps, at the end, in which the rate falls.
        final: last rate over peak rate.
        clip: largest norm of the gradient.
        is_compiled: use torch.compile.
        teacher_share: of the teachers in what is learned, the text has the rest; 0 to 1.
    """

    steps: int
    lr: float = 3e-3
    muon_lr: float = 4e-3
    weight_decay: float = 0.1
    dropout: float = 0.1
    warmup: int = 50
    decay_share: float = 0.3
    final: float = 0.02
    clip: float = 1.0
    is_compiled: bool = False
    teacher_share: float = 0.0


class ByteDropout(nn.Module):
    """Dropout that decides by random bytes.

    torch draws 32 bits and a double for each number, which took a fifth of a training step
    on a CPU; the share is rounded to a 256th.
    """

    def __init__(self, share: float) -> None:
        """Drop this share of the numbers, 0 to 1, while training."""
        super().__init__()
        self.dropped = round(256 * share)

    def forward(self, x: Tensor) -> Tensor:
        """Zero a random share of x and scale the rest up, as nn.Dropout does."""
        if not self.training:
            return x
        words = -(-x.numel() // 8)
        bits = torch.randint(-(2**63), 2**63 - 1, (words,), device=x.device)
        kept = bits.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept * (256 / (256 - self.dropped))


def learning_rate_factor(step: int, settings: TrainingSettings) -> float:
    """Warm up, hold, and fall along a cosine over the last decay_share of the steps."""
    rise = min(1.0, 0.01 + 0.99 * step / settings.warmup)
    start = settings.steps * (1 - settings.decay_share)
    progress = min(1.0, max(0.0, (step - start) / max(1.0, settings.steps - start)))
    fall = settings.final + (1 - settings.final) * (1 + math.cos(math.pi * progress)) / 2
    return rise * fall


def parameter_groups(
    network: nn.Module, settings: TrainingSettings
) -> tuple[list[dict[str, Any]], list[nn.Parameter]]:
    """Split parameters as the official trainer does.

    Returns:
        Groups for AdamW (w0 at twice the rate; decay only for 2-D `.weight`), and the
        matrices that Muon trains.
    """
    muon: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain, w0 = [], []
    for name, parameter in network.named_parameters():
        if name.endswith("att.w0"):
            w0.append(parameter)
        elif parameter.dim() >= 2 and name.endswith(".weight"):
            is_muon = settings.muon_lr > 0 and name.startswith("blocks.")
            (muon if is_muon else decayed).append(parameter)
        else:
            plain.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay, "scale": 1.0},
        {"params": plain, "weight_decay": 0.0, "scale": 1.0},
        {"params": w0, "weight_decay": 0.0, "scale": 2.0},
    ]
    return groups, muon


class TrainingModule(lightning.LightningModule):
    """An RWKV-7 with its loss, its optimisers and its schedule.

    Attributes:
        figures: of the last step, by name. Lightning's own log would make a GPU wait.
    """

    steps_done: Tensor

    def __init__(
        self,
        config: ModelConfig,
        settings: TrainingSettings,
        device: torch.device = CPU,
        teachers: Sequence[Teacher] = (),
    ) -> None:
        """Make and initialise the network.

        Args:
            config: sizes.
            settings: how to train.
            device: where training will run; the recurrence is chosen for it.
            teachers: models to learn from beside the text, on that device.
        """
        super().__init__()
        self.save_hyperparameters({"config": asdict(config), "settings": asdict(settings)})
        self.automatic_optimization = False
        self.settings, self._teachers = settings, teachers
        self.figures: dict[str, Tensor | float] = {}
        dropout = ByteDropout(settings.dropout) if settings.dropout else identity
        self.network = RWKV7(config, default_ranks(config.n_embd), dropout=dropout)
        initialise(self.network)
        self.wkv7 = select_wkv7(config.head_size, [device])
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        if settings.is_compiled:
            # fallback_random: dropout draws from torch's own generator, which resume restores.
            self._stream = torch.compile(
                self._read, dynamic=False, options={"fallback_random": True}
            )
        else:
            self._stream = self._read

    def start_from(self, checkpoint: Checkpoint) -> None:
        """Replace the initial weights by a checkpoint's.

        Raises:
            CheckpointError: its sizes are not those of this run.
        """
        ours, theirs = self.network.config, checkpoint.config
        if theirs != ours:
            raise CheckpointError(
                f"{checkpoint.path.name} holds {theirs}, this run trains {ours}; give the same "
                "--layers and --embd, and a corpus with the same vocabulary"
            )
        self.network.load_state_dict(
            {name: tensor.float() for name, tensor in checkpoint.tensors.items()}
        )

    def _read(self, tokens: Tensor) -> Tensor:
        """Run the network over (B, T) tokens from the empty state; (B, T, C)."""
        state = State.zeros(self.network.config, tokens.shape[0], tokens.device)
        x, _ = self.network(tokens, state, self.wkv7.run)
        return x  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    @property
    def _is_bf16(self) -> bool:
        """Whether products run in bf16."""
        return "bf16" in str(self.trainer.precision)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Make AdamW, and Muon where it is wanted."""
        groups, matrices = parameter_groups(self.network, self.settings)
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=self.settings.lr, betas=(0.9, 0.99), eps=1e-18, fused=True)
        ]
        if matrices:
            optimizers.append(
                Muon(
                    matrices,
                    lr=self.settings.muon_lr,
                    weight_decay=self.settings.weight_decay,
                    dtype=torch.bfloat16 if self._is_bf16 else torch.float32,
                )
            )
        return optimizers

    def training_step(self, batch: tuple[int, Tensor], _: int) -> None:
        """Take one optimiser step on (step, (B, T + 1) tokens)."""
        step, tokens = batch
        factor = learning_rate_factor(step, self.settings)
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        for optimizer, peak in zip(
            optimizers, (self.settings.lr, self.settings.muon_lr), strict=False
        ):
            for group in optimizer.param_groups:
                group["lr"] = peak * group.get("scale", 1.0) * factor
            optimizer.zero_grad()
        inputs = tokens[:, :-1]
        x = self._stream(inputs)
        loss, text_loss = head_loss(
            x.flatten(0, 1),
            self.network.head.weight,
            tokens[:, 1:].flatten(),
            dtype=torch.bfloat16 if self._is_bf16 else torch.float32,
            lessons=[(one.stream(inputs).flatten(0, 1), one.head) for one in self._teachers],
            share=self.settings.teacher_share,
            is_compiled=self.settings.is_compiled,
        )
        self.manual_backward(loss)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        for optimizer in optimizers:
            optimizer.step()
        self.steps_done.fill_(step + 1)
        self.figures = {"loss": loss.detach(), "gradient_norm": norm, "rate": factor}
        if self._teachers:
            self.figures["text_loss"] = text_loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random generators, which dropout draws from."""
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["random_states"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the random generators once training starts."""
        self._random_states = checkpoint["random_states"]
        # Batches know their own place, by steps_done; Lightning's count would stop us early.
        checkpoint.pop("loops", None)

    def on_train_start(self) -> None:
        """Continue with the random numbers of the checkpoint."""
        states: dict[str, Tensor] = getattr(self, "_random_states", {})
        if "cpu" in states:
            torch.set_rng_state(states["cpu"].cpu())
        if "cuda" in states and self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"].cpu(), self.device)
