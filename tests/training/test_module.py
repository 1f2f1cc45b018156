"""The training step: schedule, parameter groups, backends, and exact resume."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from kernels import operators
from rwkv_core.config import ModelConfig
from rwkv_core.errors import CheckpointError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.training.batches import Batches, Source
from rwkv_core.training.module import (
    ByteDropout,
    TrainingModule,
    TrainingSettings,
    learning_rate_factor,
    parameter_groups,
)
from rwkv_core.training.teachers import Teacher, open_teachers
from tests.checkpoints import random_weights, write_safetensors

CONFIG = ModelConfig("7", vocab_size=60, n_layer=2, n_embd=64, n_ffn=256, n_head=1, head_size=64)
SETTINGS = TrainingSettings(steps=12, warmup=2, dropout=0.1)


def make_batches(steps: int = 12) -> Batches:
    rng = np.random.default_rng(5)
    tokens = rng.integers(1, 60, 400).astype(np.uint16)
    starts = np.arange(0, 400, 40)
    tokens[starts] = 0
    source = Source("noise", tokens, starts)
    return Batches([source], [1.0], batch=2, length=19, steps=steps, seed=1)


def make_trainer(steps: int) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=1,
        limit_train_batches=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fit(
    module: TrainingModule, batches: Batches, steps: int, checkpoint: Path | None = None
) -> lightning.Trainer:
    trainer = make_trainer(steps)
    trainer.fit(module, batches, ckpt_path=checkpoint, weights_only=True)
    return trainer


pytestmark = pytest.mark.filterwarnings(
    "ignore:The 'train_dataloader' does not have many workers",
    "ignore:You're resuming from a checkpoint that ended before the epoch ended",
)


def make_module(
    settings: TrainingSettings = SETTINGS, teachers: Sequence[Teacher] = ()
) -> TrainingModule:
    torch.manual_seed(3)
    return TrainingModule(CONFIG, settings, teachers=teachers)


def make_teachers(folder: Path) -> list[Teacher]:
    """Two models of the student's vocabulary, one of another width."""
    paths = []
    for n_embd in (64, 128):
        weights = random_weights(seed=n_embd, vocab_size=60, n_embd=n_embd, head_size=64)
        paths.append(write_safetensors(folder / f"{n_embd}.safetensors", weights))
    return open_teachers(paths, 60, torch.device("cpu"))


def test_the_rate_rises_holds_and_falls_to_its_last_share() -> None:
    settings = TrainingSettings(steps=100, warmup=10, decay_share=0.5, final=0.1)
    factors = [learning_rate_factor(step, settings) for step in range(101)]
    assert factors[0] == pytest.approx(0.01)
    assert factors[10:50] == [1.0] * 40
    assert factors[75] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)


def test_parameters_are_grouped_as_in_the_official_trainer() -> None:
    module = make_module()
    names = {id(p): name for name, p in module.network.named_parameters()}
    groups, matrices = parameter_groups(module.network, SETTINGS)
    decayed, plain, w0 = ([names[id(p)] for p in group["params"]] for group in groups)
    assert sorted(decayed) == ["emb.weight", "head.weight"]
    assert all(name.endswith("att.w0") for name in w0)
    assert groups[2]["scale"] == 2.0
    assert groups[1]["weight_decay"] == groups[2]["weight_decay"] == 0.0
    assert "blocks.1.att.w1" in plain
    assert "blocks.0.ln1.weight" in plain
    assert {names[id(p)].split(".")[-2] for p in matrices} == {
        "receptance", "key", "value", "output",
    }  # fmt: skip
    everything = [p for group in groups for p in group["params"]] + matrices
    assert len(everything) == len(names)


def test_without_muon_adamw_takes_the_matrices() -> None:
    module = make_module()
    groups, matrices = parameter_groups(module.network, replace(SETTINGS, muon_lr=0.0))
    assert not matrices
    assert len(groups[0]["params"]) == 2 + 6 * CONFIG.n_layer


def test_a_new_network_is_initialised_everywhere_and_starts_uncertain() -> None:
    module = make_module(replace(SETTINGS, dropout=0.0))
    for name, parameter in module.network.named_parameters():
        assert torch.isfinite(parameter).all(), name
    x = module._read(torch.randint(0, 60, (2, 7)))
    loss = torch.nn.functional.cross_entropy(
        module.network.logits(x).flatten(0, 1), torch.randint(0, 60, (14,))
    )
    assert loss.item() == pytest.approx(np.log(60), abs=0.5)


def test_twenty_steps_on_the_compiled_kernel_equal_twenty_in_plain_torch() -> None:
    if operators.select_wkv7(64).name != "C++":
        pytest.skip(operators.select_wkv7(64).reason)
    # Without Muon: its bf16 iterations turn the last bit of a gradient into a per mille.
    settings = replace(SETTINGS, steps=20, dropout=0.0, muon_lr=0.0)
    weights = []
    for operator in (operators.select_wkv7(64), operators.torch_wkv7("for the test")):
        module = make_module(settings)
        module.wkv7 = operator
        fit(module, make_batches(20), 20)
        assert int(module.steps_done) == 20
        weights.append(torch.cat([p.detach().flatten() for p in module.network.parameters()]))
    assert torch.linalg.norm(weights[0] - weights[1]) < 1e-5 * torch.linalg.norm(weights[1])


@pytest.mark.parametrize("is_taught", [False, True])
def test_a_resumed_run_ends_in_the_same_weights_as_an_unbroken_one(
    tmp_path: Path, is_taught: bool
) -> None:
    settings = replace(SETTINGS, teacher_share=0.9 if is_taught else 0.0)
    teachers = make_teachers(tmp_path) if is_taught else []
    unbroken = make_module(settings, teachers)
    torch.manual_seed(9)
    fit(unbroken, make_batches(), 12)

    first = make_module(settings, teachers)
    torch.manual_seed(9)
    trainer = fit(first, make_batches(), 5)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, batches = make_module(settings, teachers), make_batches()
    batches.first_step = 5
    torch.manual_seed(77)
    fit(resumed, batches, 12, tmp_path / "last.ckpt")

    assert int(resumed.steps_done) == 12
    for mine, theirs in zip(
        resumed.network.parameters(), unbroken.network.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_teachers_are_heard_but_neither_trained_nor_saved(tmp_path: Path) -> None:
    teachers = make_teachers(tmp_path)
    heads = [teacher.head.clone() for teacher in teachers]
    alone = make_module()
    taught = make_module(replace(SETTINGS, teacher_share=0.9), teachers)
    assert [name for name, _ in taught.named_parameters()] == [
        name for name, _ in alone.named_parameters()
    ]
    fit(alone, make_batches(), 3)
    trainer = fit(taught, make_batches(), 3)
    assert not torch.equal(alone.network.head.weight, taught.network.head.weight)
    assert "text_loss" not in alone.figures
    assert taught.figures["text_loss"] != taught.figures["loss"]
    assert all(
        torch.equal(teacher.head, head) for teacher, head in zip(teachers, heads, strict=True)
    )
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["state_dict"].keys() == alone.state_dict().keys()


def test_byte_dropout_drops_its_share_and_keeps_the_mean() -> None:
    dropout, x = ByteDropout(0.125), torch.ones(3, 1001, 7)
    dropped = dropout(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 256 / 224])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.125, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(dropout.eval()(x), x)


def test_a_run_can_start_from_a_checkpoint_of_its_own_sizes(tmp_path: Path) -> None:
    trained = make_module()
    with torch.no_grad():
        for parameter in trained.network.parameters():
            parameter.add_(0.25)
    path = write_safetensors(tmp_path / "m.safetensors", trained.network.state_dict())
    module = TrainingModule(CONFIG, SETTINGS)
    module.start_from(open_checkpoint(path))
    pairs = zip(module.network.parameters(), trained.network.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)

    other = TrainingModule(replace(CONFIG, n_layer=3), SETTINGS)
    with pytest.raises(CheckpointError, match=r"n_layer=2.*this run trains.*n_layer=3"):
        other.start_from(open_checkpoint(path))
