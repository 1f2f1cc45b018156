import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as JsonTokenizer
from tokenizers import decoders, models, pre_tokenizers

import rwkv_core
from rwkv_core.errors import (
    CheckpointError,
    InputError,
    NotOfferedError,
    SettingsError,
    ShapeError,
    StateError,
    StrategyError,
    TokenizerError,
)
from rwkv_core.pipeline import PIPELINE, PIPELINE_ARGS, RWKV
from tests.checkpoints import random_weights, write_pth
from tests.generations import RANDOM_WEIGHTS

ROOT = Path(__file__).parents[2]
VOCAB_SIZE = 260
VERSIONS = {"4": 4, "5.0": 5, "5.1": 5.1, "5.2": 5.2, "6": 6.0, "7": 7, "7a": 7}


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


def test_a_state_is_saved_and_loaded_as_the_packages_list_is(rwkv: RWKV, tmp_path: Path) -> None:
    _, state = rwkv.forward([5, 6, 7], None)
    torch.save(state, tmp_path / "state.pt")
    expected, _ = rwkv.forward([8], state)
    logits, _ = rwkv.forward([8], torch.load(tmp_path / "state.pt"))
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("wanted", ["RWKV", "State"])
def test_another_program_loads_a_saved_state_before_it_makes_a_model(
    rwkv: RWKV, tmp_path: Path, wanted: str
) -> None:
    state = rwkv.forward([5, 6, 7], None)[1] if wanted == "RWKV" else rwkv.model.initial_state()
    torch.save(state, tmp_path / "state.pt")
    program = f"import torch; from rwkv_core import {wanted}; torch.load('state.pt')"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)


@pytest.mark.parametrize("tokens", [[5.7], 5.0, torch.tensor([1.0]), np.array([2.5])])
def test_numbers_with_a_point_are_no_tokens(rwkv: RWKV, tokens: list[int]) -> None:
    with pytest.raises(InputError, match="give whole numbers, ids of tokens"):
        rwkv.forward(tokens, None)


@pytest.mark.parametrize(
    "tokens", [7, [7], (7,), np.int64(7), np.array([7]), torch.tensor(7), torch.tensor([7])]
)
def test_one_id_is_a_list_of_one_in_any_form(rwkv: RWKV, tokens: int | list[int]) -> None:
    _, state = rwkv.forward([5, 6], None)
    torch.testing.assert_close(rwkv.forward(tokens, state)[0], rwkv.forward([5, 6, 7], None)[0])


def test_the_model_can_be_called(rwkv: RWKV) -> None:
    torch.testing.assert_close(rwkv([5, 6])[0], rwkv.forward([5, 6], None)[0])


def test_the_given_state_stays_valid(rwkv: RWKV) -> None:
    _, state = rwkv.forward([5], None)
    kept = copy.deepcopy(state)
    first, _ = rwkv.forward([6, 7], state)
    for again in (state, kept):
        torch.testing.assert_close(rwkv.forward([6, 7], again)[0], first, rtol=0, atol=0)


def test_changing_logits_changes_nothing_else(rwkv: RWKV) -> None:
    logits, state = rwkv.forward([5], None)
    expected, _ = rwkv.forward([6], state)
    logits[3] -= 1e10
    torch.testing.assert_close(rwkv.forward([6], state)[0], expected, rtol=0, atol=0)


def test_the_zero_state_is_the_one_before_any_token(rwkv: RWKV) -> None:
    expected, _ = rwkv.forward([5, 6], None)
    logits, _ = rwkv.forward([5, 6], rwkv.generate_zero_state())
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
def test_version_and_sizes_are_there_for_every_generation(tmp_path: Path, generation: str) -> None:
    draw = RANDOM_WEIGHTS[generation]
    path = write_pth(tmp_path / "m.pth", draw(n_layer=2, n_embd=32, head_size=8, vocab_size=50))
    model = RWKV(str(path), "cpu fp32")
    assert model.version == VERSIONS[generation]
    args = vars(model.args)
    n_ffn = args.pop("n_ffn")
    assert n_ffn >= 3 * 32
    heads = {"n_head": 1, "head_size": 32} if generation == "4" else {"n_head": 4, "head_size": 8}
    assert args == {
        "MODEL_NAME": str(path),
        "strategy_string": "cpu fp32",
        "n_layer": 2,
        "n_embd": 32,
        "n_att": 32,
        "vocab_size": 50,
        **heads,
    }
    assert (model.n_layer, model.n_embd) == (2, 32)
    assert (model.n_head, model.head_size) == (args["n_head"], args["head_size"])


def test_a_loaded_model_is_taken_as_it_is(rwkv: RWKV) -> None:
    again = RWKV(rwkv.model)
    assert again.model is rwkv.model
    assert again.args.MODEL_NAME == "tiny"
    assert "cpu fp32" in again.args.strategy_string


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        RWKV(model=str(tmp_path / "missing"), strategy="cpu fp32")
    assert "on the web" not in str(caught.value)


@pytest.mark.parametrize("name", ["RWKV/rwkv-4-169m-pile", "rwkv-7-world", "RWKV-4-Pile-14B"])
def test_a_name_that_is_no_path_is_told_to_be_downloaded(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"download a checkpoint.*give RWKV\(model="):
        RWKV(model=name, strategy="cpu fp32")


def test_cuda_without_a_gpu_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, rwkv: RWKV) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StrategyError, match=r"no CUDA GPU here; use 'cpu fp32'") as caught:
        RWKV(model=rwkv.args.MODEL_NAME, strategy="cuda fp16")
    assert "\n" not in str(caught.value)


def test_a_converted_copy_is_not_saved(rwkv: RWKV) -> None:
    with pytest.raises(SettingsError, match="leave convert_and_save_and_exit out"):
        RWKV(rwkv.args.MODEL_NAME, "cpu fp32", convert_and_save_and_exit="converted.pth")


def test_what_is_no_token_is_refused_with_the_right_call(rwkv: RWKV) -> None:
    nothing: list[int] = None  # type: ignore[assignment]  # what tutorials write
    with pytest.raises(InputError, match=r"pipeline\.sample_logits\(out\), then model\.forward"):
        rwkv.forward(nothing, None)
    with pytest.raises(InputError, match=r"the text 'hello'; give ids: model\.forward\(pipeline"):
        rwkv.forward("hello", None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there are 0 tokens to read"):
        rwkv.forward([], None)
    with pytest.raises(ShapeError, match=r"\(2, 3\).*model\.model\.forward"):
        rwkv.forward(torch.ones(2, 3, dtype=torch.int64), None)


def test_a_list_as_state_is_refused_with_the_right_call(rwkv: RWKV) -> None:
    with pytest.raises(StateError, match=r"a list, but here.*generate_zero_state\(\)"):
        rwkv.forward([5], [torch.zeros(32)])  # type: ignore[arg-type]


def test_a_state_is_no_list(rwkv: RWKV) -> None:
    for state in (rwkv.generate_zero_state(), rwkv.forward([5], None)[1]):
        with pytest.raises(StateError, match=r"\[1\] names nothing; read state\.time_mix_shift"):
            state[1]  # type: ignore[index]
        with pytest.raises(StateError, match="not a list"):
            [part for part in state]  # type: ignore[attr-defined]  # noqa: C416


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("w", r"model\.model\.network\.state_dict\(\)"),
        ("z", r"model\.model\.network\.state_dict\(\)"),
        ("strategy", r"placement\.allocate\(model\.args\.n_layer\)"),
        ("forward_one_alt", r"model\.forward\(token, state\)"),
        ("RESCALE_LAYER", "leave it out"),
    ],
)
def test_an_inner_part_of_the_package_says_what_to_write(rwkv: RWKV, name: str, words: str) -> None:
    with pytest.raises(NotOfferedError, match=words):
        getattr(rwkv, name)
    assert not hasattr(rwkv, name)
    assert not hasattr(rwkv, "anything_else")
    # What is written instead is there.
    assert "blocks.0.att.key.weight" in rwkv.model.network.state_dict()
    assert len(rwkv.model.placement.allocate(rwkv.args.n_layer)) == rwkv.args.n_layer + 1


def test_a_trainer_is_not_to_be_found() -> None:
    with pytest.raises(ImportError, match=r"no RWKVTrainer; train with `python -m rwkv_core\.tr"):
        from rwkv_core.trainer import RWKVTrainer  # noqa: F401
    with pytest.raises(ImportError, match=r"see docs/training\.md"):
        rwkv_core.trainer.Trainer()  # type: ignore[operator]


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


def test_a_token_count_among_the_settings_is_sent_to_generate() -> None:
    with pytest.raises(SettingsError, match=r"generate\(ctx, token_count=200, args=args\)"):
        PIPELINE_ARGS(top_p=0.7, token_count=200)


def test_text_encodes_and_decodes(pipeline: PIPELINE) -> None:
    ids = pipeline.encode("a 世\n")
    assert len(ids) == 6
    assert pipeline.decode(ids) == "a 世\n"
    assert pipeline.decode(ids[0]) == "a"
    # The test of whether a text may be shown already.
    assert "\ufffd" in pipeline.decode(ids[2:4])


def test_contexts_are_refined(pipeline: PIPELINE) -> None:
    assert pipeline.refine_context(" a\u3000\n\n\r\n  b c \n") == "\na\nb c"
    assert pipeline.refine_context("") == "\n"


@pytest.mark.parametrize("name", ["rwkv_vocab_v20230424", "somewhere/rwkv_vocab_v20230424.txt"])
def test_the_world_vocabulary_goes_by_its_name(name: str) -> None:
    pipeline = PIPELINE(None, name)
    assert pipeline.encode("User:") == [24281, 59]
    assert pipeline.sample_logits([0.0, 9.0], top_p=0) == 1
    with pytest.raises(InputError, match=r"has no model; make it as PIPELINE\(model"):
        pipeline.generate("User:")


def test_an_unknown_vocabulary_is_refused(rwkv: RWKV) -> None:
    with pytest.raises(TokenizerError, match=r"no vocabulary 'cl100k_base'; give 'rwkv_vocab"):
        PIPELINE(rwkv, "cl100k_base")


def test_the_callback_gets_the_text_in_pieces(pipeline: PIPELINE) -> None:
    pieces: list[str] = []
    text = pipeline.generate("hello", token_count=30, callback=pieces.append)
    assert text == "".join(pieces)
    assert len(pieces) > 1
    assert "" not in pieces


def test_the_callback_gets_whole_characters(
    pipeline: PIPELINE, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = iter(pipeline.encode("é世!世"))
    monkeypatch.setattr("rwkv_core.pipeline.sample", lambda *_, **__: next(written))
    pieces: list[str] = []
    # The last character's last byte is not written any more.
    assert pipeline.generate("x", token_count=8, callback=pieces.append) == "é世!"
    assert pieces == ["é", "世", "!"]


def test_numpys_seed_repeats_a_text(pipeline: PIPELINE) -> None:
    texts = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        texts.append(pipeline.generate("hello", 20))
    assert texts[0] == texts[1] != texts[2]


def only_characters(pipeline: PIPELINE) -> PIPELINE_ARGS:
    """Greedy, without penalties, over the ids that are a whole character each."""
    parts = [i for i in range(VOCAB_SIZE) if pipeline.decode(i) in ("", "\ufffd")]
    return PIPELINE_ARGS(temperature=0, alpha_frequency=0, alpha_presence=0, token_ban=parts)


def test_arguments_reach_the_sampler(pipeline: PIPELINE) -> None:
    assert pipeline.model is not None
    greedy = only_characters(pipeline)
    logits, _ = pipeline.model.forward(pipeline.encode("hello"), None)
    logits[list(greedy.token_ban)] = -torch.inf
    first, second = logits.topk(2).indices.tolist()
    assert pipeline.generate("hello", 1, greedy) == pipeline.decode([first])
    greedy.token_ban = [*greedy.token_ban, first]
    assert pipeline.generate("hello", 1, greedy) == pipeline.decode([second])
    greedy.token_stop = {second}
    assert pipeline.generate("hello", 5, greedy) == ""


def test_generation_goes_on_from_a_state_and_leaves_it(pipeline: PIPELINE) -> None:
    assert pipeline.model is not None
    greedy = only_characters(pipeline)
    greedy.chunk_len = 2
    _, state = pipeline.model.forward(pipeline.encode("hel"), None)
    before = state.wkv.clone()
    assert pipeline.generate("lo", 9, greedy, state=state) == pipeline.generate("hello", 9, greedy)
    torch.testing.assert_close(state.wkv, before, rtol=0, atol=0)


def test_an_empty_context_begins_a_new_text(pipeline: PIPELINE) -> None:
    assert pipeline.model is not None
    greedy = only_characters(pipeline)
    logits, state = pipeline.model.forward([pipeline.tokenizer.end_of_text], None)
    logits[list(greedy.token_ban)] = -torch.inf
    assert pipeline.generate("", 1, greedy) == pipeline.decode([int(logits.argmax())])
    with pytest.raises(InputError, match="a state holds no logits; give the last words as ctx"):
        pipeline.generate("", state=state)


def test_a_text_may_be_longer_than_the_playgrounds(
    pipeline: PIPELINE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rwkv_core.pipeline.sample", lambda *_, position, **__: 3 + position // 4097
    )
    assert pipeline.model is not None
    always = pipeline.model.forward([1], None)
    monkeypatch.setattr(pipeline.model, "forward", lambda ids, state: always)
    args = PIPELINE_ARGS(token_stop=[4])
    written: list[str] = []
    pipeline.generate("a", 99999, args, written.append)
    assert len(written) == 4097
    assert pipeline.generate("a", 0) == ""


def test_a_chunk_of_nothing_is_refused(pipeline: PIPELINE) -> None:
    with pytest.raises(SettingsError, match="chunk_len is 0, but must be at least 1"):
        pipeline.generate("a", 5, PIPELINE_ARGS(chunk_len=0))


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.numpy(), lambda x: x.tolist()])
def test_sampling_leaves_the_logits_and_does_not_turn_greedy(
    pipeline: PIPELINE, convert: type
) -> None:
    logits = torch.randn(VOCAB_SIZE)
    given, before = convert(logits), logits.clone()
    # PyPI code passes top_p above 1 to mean "all".
    for top_p in (1.0, 2.0):
        assert len({pipeline.sample_logits(given, top_p=top_p) for _ in range(40)}) > 20
    most_likely = int(logits.argmax())
    for greedy in ({"temperature": 0.0}, {"top_p": -1.0}, {"top_k": 1}):
        assert {pipeline.sample_logits(given, **greedy) for _ in range(5)} == {most_likely}
    assert len({pipeline.sample_logits(given, top_p=1.0, top_k=10**6) for _ in range(40)}) > 20
    torch.testing.assert_close(logits, before, rtol=0, atol=0)


def test_one_vector_is_sampled_at_a_time(pipeline: PIPELINE) -> None:
    with pytest.raises(ShapeError, match=r"shape \(2, 3\).*give the last row, logits\[-1\]"):
        pipeline.sample_logits(torch.zeros(2, 3))
