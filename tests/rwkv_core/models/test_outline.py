from pathlib import Path

import pytest
import torch

from rwkv_core.errors import SettingsError
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import Sizes, inventory_of_file, inventory_of_sizes, outline
from tests.checkpoints import Ranks, write_safetensors
from tests.generations import RANDOM_WEIGHTS

V7 = (("w", 6), ("a", 5), ("v", 3), ("g", 7))
TINY = {
    "4": Sizes("4", 3, 32, 50, head_size=8),
    "5.0": Sizes("5.0", 3, 32, 50, head_size=8),
    "5.1": Sizes("5.1", 3, 32, 50, ffn=96, head_size=8),
    "5.2": Sizes("5.2", 3, 32, 50, ffn=96, head_size=8),
    "6": Sizes("6", 3, 32, 50, ffn=96, ranks=(("mix", 3), ("decay", 5)), head_size=8),
    "7": Sizes("7", 3, 32, 50, ranks=V7, head_size=8),
}


@pytest.mark.parametrize("generation", TINY)
def test_a_few_sizes_tell_every_tensor(generation: str, tmp_path: Path) -> None:
    weights = RANDOM_WEIGHTS[generation](vocab_size=50, dtype=torch.bfloat16)
    made = outline(TINY[generation])
    expected = {
        name: tuple(value.shape)
        for name, value in weights.items()
        if not name.startswith("blocks.0.att.v") or name.endswith("value.weight")
    }
    assert {name: tuple(p.shape) for name, p in made.named_parameters()} == expected
    path = write_safetensors(tmp_path / "tiny.safetensors", weights)
    assert inventory_of_file(open_checkpoint(path)) == inventory_of_sizes(TINY[generation])


def test_kinds_are_told_apart() -> None:
    found = inventory_of_sizes(TINY["7"])
    assert [entry.kind for entry, _ in found.tables] == ["table"]
    assert {entry.kind: entry.shape for entry, _ in found.layers[1]}["sparse"] == (32, 128)
    low = {entry.shape for entry, _ in found.layers[1] if entry.kind == "low_rank"}
    assert low == {(32, r) for r in Ranks(6, 5, 3, 7)} | {(r, 32) for r in Ranks(6, 5, 3, 7)}
    assert {entry.kind for entry, _ in found.last} == {"matrix", "vector"}


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (Sizes("8", 3, 64, 50), "'8' is none of 4"),
        (Sizes("4", 0, 64, 50), "0 layers"),
        (Sizes("4", 3, 65, 50), "65 channels"),
        (Sizes("4", 3, 64, 50, ranks=(("w", 8),)), "ranks none, not w"),
        (Sizes("7", 3, 64, 50), "ranks a, g, v, w, not none"),
    ],
)
def test_sizes_that_make_no_model_are_refused(sizes: Sizes, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        outline(sizes)


def test_a_model_of_one_layer_has_one() -> None:
    found = inventory_of_sizes(Sizes("4", 1, 64, 50))
    assert len(found.layers) == 1
    assert found.parameters == sum(p.numel() for p in outline(Sizes("4", 1, 64, 50)).parameters())
