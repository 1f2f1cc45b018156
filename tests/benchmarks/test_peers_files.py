from pathlib import Path

import pytest
import torch
from gguf import GGUFReader

from benchmarks import peers_files
from benchmarks.peers_files import LLAMA_VERSION, draw_model, prepare_llama, quantise
from benchmarks.peers_protocol import PeerError
from rwkv_core.models.loading import open_checkpoint
from tests.checkpoints import TINY_RANKS

TINY = {"n_layer": 2, "n_embd": 64, "ranks": TINY_RANKS}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peers_files, "SHAPES", {"tiny": TINY})
    monkeypatch.setattr(peers_files, "VOCAB_SIZE", 50)
    return draw_model(tmp_path, "tiny")


def test_both_files_hold_the_same_weights(model: Path) -> None:
    official = open_checkpoint(model).tensors
    converted = open_checkpoint(model.with_name("model-F32.gguf")).tensors
    unused = {f"blocks.0.att.v{number}" for number in range(3)}
    assert set(official) - unused == set(converted) - unused
    for name in set(official) - unused:
        expected = official[name].float()
        assert torch.equal(converted[name].float().reshape(expected.shape), expected), name


def test_the_gguf_file_says_what_llama_cpp_asks_for(model: Path) -> None:
    fields = GGUFReader(model.with_name("model-F32.gguf")).fields
    sizes = {
        "vocab_size": 50,
        "embedding_length": 64,
        "block_count": 2,
        "feed_forward_length": 256,
        "wkv.head_size": 64,
        "attention.head_count": 0,
        "attention.decay_lora_rank": TINY_RANKS.w,
        "attention.iclr_lora_rank": TINY_RANKS.a,
        "attention.value_residual_mix_lora_rank": TINY_RANKS.v,
        "attention.gate_lora_rank": TINY_RANKS.g,
    }
    assert {name: fields[f"rwkv7.{name}"].contents() for name in sizes} == sizes
    assert fields["tokenizer.ggml.model"].contents() == "none"


def test_f32_is_taken_as_it_is(model: Path) -> None:
    source = model.with_name("model-F32.gguf")
    assert quantise(Path("no python"), source, "F32", 1) == source


def test_what_the_quantiser_says_is_passed_on(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such type >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(PeerError, match=r"status 3(.|\n)*no such type"):
        quantise(python, tmp_path / "model-F32.gguf", "Q9_9", 1)


@pytest.mark.parametrize(
    ("processor", "folder"), [("native", "llama.cpp"), ("avx2", "llama.cpp-avx2")]
)
def test_a_llama_cpp_that_is_there_is_used(tmp_path: Path, processor: str, folder: str) -> None:
    python = tmp_path / folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {LLAMA_VERSION}\n")
    python.chmod(0o755)
    assert prepare_llama(tmp_path, processor) == python
