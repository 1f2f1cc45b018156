from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as JsonTokenizer
from tokenizers import decoders, models, pre_tokenizers

from rwkv_core.errors import CheckpointError, InputError, SettingsError, TokenizerError
from rwkv_core.pipeline import PIPELINE, PIPELINE_ARGS, RWKV
from tests.checkpoints import random_weights, write_pth

VOCAB_SIZE = 260


@pytest.fixture(scope="module")
def rwkv(tmp_path_factory: pytest.TempPathFactory) -> RWKV:
    path = tmp_path_factory.mktemp("model") / "tiny.pth"
    write_pth(path, random_weights(vocab_size=VOCAB_SIZE))
    # The PyPI package takes the path without its suffix.
    return RWKV(model=str(path.with_suffix("")), strategy="cpu fp32")


@pytest.fixture
def pipeline(rwkv: RWKV, tmp_path: Path) -> PIPELINE:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<|endoftext|>", *alphabet])}
    tokenizer = JsonTokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(tmp_path / "20B_tokenizer.json"))
    return PIPELINE(rwkv, str(tmp_path / "20B_tokenizer.json"))


def test_a_list_goes_in_and_a_vector_comes_out(rwkv: RWKV) -> None:
    logits, state = rwkv.forward([5, 6, 7], None)
    assert (logits.shape, logits.dtype) == ((VOCAB_SIZE,), torch.float32)
    every, _ = rwkv.forward([5, 6, 7], None, full_output=True)
    assert every.shape == (3, VOCAB_SIZE)
    torch.testing.assert_close(every[-1], logits)
    assert state.batch_size == 1


def test_one_id_is_a_list_of_one(rwkv: RWKV) -> None:
    _, state = rwkv.forward([5, 6], None)
    torch.testing.assert_close(rwkv.forward(7, state)[0], rwkv.forward([5, 6, 7], None)[0])


def test_the_given_state_stays_valid(rwkv: RWKV) -> None:
    _, state = rwkv.forward([5], None)
    first, _ = rwkv.forward([6, 7], state)
    torch.testing.assert_close(rwkv.forward([6, 7], state)[0], first, rtol=0, atol=0)


def test_a_loaded_model_is_taken_as_it_is(rwkv: RWKV) -> None:
    assert RWKV(rwkv.model).model is rwkv.model


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        RWKV(model=str(tmp_path / "missing"), strategy="cpu fp32")


def test_defaults_are_those_of_the_pypi_package() -> None:
    assert vars(PIPELINE_ARGS()) == {
        "temperature": 1.0,
        "top_p": 0.85,
        "top_k": 0,
        "alpha_frequency": 0.2,
        "alpha_presence": 0.2,
        "alpha_decay": 0.996,
        "token_ban": [],
        "token_stop": [],
        "chunk_len": 256,
    }


def test_text_encodes_and_decodes(pipeline: PIPELINE) -> None:
    ids = pipeline.encode("a 世\n")
    assert len(ids) == 6
    assert pipeline.decode(ids) == "a 世\n"


def test_the_world_vocabulary_goes_by_its_name(rwkv: RWKV) -> None:
    assert PIPELINE(rwkv, "rwkv_vocab_v20230424").encode("User:") == [24281, 59]


def test_an_unknown_vocabulary_is_refused(rwkv: RWKV) -> None:
    with pytest.raises(TokenizerError, match=r"no vocabulary 'cl100k_base'; give 'rwkv_vocab"):
        PIPELINE(rwkv, "cl100k_base")


def test_the_callback_gets_the_text_in_pieces(pipeline: PIPELINE) -> None:
    pieces: list[str] = []
    text = pipeline.generate("hello", token_count=30, callback=pieces.append)
    assert text == "".join(pieces)
    assert len(pieces) > 1
    assert "" not in pieces


def test_numpys_seed_repeats_a_text(pipeline: PIPELINE) -> None:
    texts = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        texts.append(pipeline.generate("hello", 20))
    assert texts[0] == texts[1] != texts[2]


def test_arguments_reach_the_sampler(pipeline: PIPELINE) -> None:
    greedy = PIPELINE_ARGS(temperature=0, alpha_frequency=0, alpha_presence=0)
    logits, _ = pipeline.model.forward(pipeline.encode("hello"), None)
    first, second = logits.topk(2).indices.tolist()
    assert pipeline.generate("hello", 1, greedy) == pipeline.decode([first])
    greedy.token_ban = [first]
    assert pipeline.generate("hello", 1, greedy) == pipeline.decode([second])
    greedy.token_stop = [second]
    assert pipeline.generate("hello", 5, greedy) == ""


def test_generation_goes_on_from_a_state_and_leaves_it(pipeline: PIPELINE) -> None:
    greedy = PIPELINE_ARGS(temperature=0, chunk_len=2)
    _, state = pipeline.model.forward(pipeline.encode("hel"), None)
    before = state.wkv.clone()
    assert pipeline.generate("lo", 9, greedy, state=state) == pipeline.generate("hello", 9, greedy)
    torch.testing.assert_close(state.wkv, before, rtol=0, atol=0)


def test_an_empty_context_is_refused(pipeline: PIPELINE) -> None:
    with pytest.raises(InputError, match="0 tokens to continue"):
        pipeline.generate("")


def test_too_many_tokens_are_refused(pipeline: PIPELINE) -> None:
    with pytest.raises(SettingsError, match="max_tokens is 5000, but must be 1 to 4096"):
        pipeline.generate("a", 5000)


def test_sampling_leaves_the_logits_and_does_not_turn_greedy(pipeline: PIPELINE) -> None:
    logits = torch.randn(VOCAB_SIZE)
    before = logits.clone()
    # PyPI code passes top_p above 1 to mean "all".
    drawn = {pipeline.sample_logits(logits, top_p=2.0) for _ in range(40)}
    assert len(drawn) > 20
    assert {pipeline.sample_logits(logits, temperature=0) for _ in range(5)} == {
        int(logits.argmax())
    }
    assert int(logits.argmax()) == pipeline.sample_logits(logits, top_k=1)
    torch.testing.assert_close(logits, before, rtol=0, atol=0)
