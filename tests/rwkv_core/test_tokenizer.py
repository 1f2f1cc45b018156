import random
from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as JsonTokenizer

from rwkv_core.errors import TokenizerError
from rwkv_core.tokenizer import (
    BpeTokenizer,
    StreamDecoder,
    Tokenizer,
    WorldTokenizer,
    load_tokenizer,
)

# Ids as the official tokenizer gives them.
GOLDEN = {
    "": [],
    "User: hi\n\nAssistant:": [24281, 59, 4571, 261, 5585, 41693, 59],
    "User: hi\n\nAssistant: ": [24281, 59, 4571, 261, 5585, 41693, 59, 33],
    "User: hi\n\nAssistant: <think": [24281, 59, 4571, 261, 5585, 41693, 59, 295, 35762],
    " <think>\n</think": [295, 35762, 63, 11, 754, 35762],
    "The Eiffel tower is in the city of": [
        *(6699, 304, 25740, 109, 39990, 4600, 4596, 22590, 30449, 4706),
    ],
    "Hello, 世界! 🌍\n": [33155, 45, 33, 10267, 14610, 34, 33, 3319, 141, 142, 11],
    "\r\n": [263],
    "\n\n\n": [3328],
    " " * 128: [65529],
    "\0": [1],
}
TEXTS = [
    "plain",
    "tabs\tand\r\n",
    "naïve 世界 🌍👩‍👩‍👧",
    "a\0b",
    "\U0010ffff\ue000",
    "  9 10 ",
    "\ufffd",
]


@pytest.fixture(scope="module")
def world() -> WorldTokenizer:
    return WorldTokenizer()


def trained_json(special: tuple[str, ...] = ("<|endoftext|>",)) -> JsonTokenizer:
    tokenizer = JsonTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat 世界 sat on the mat, the cat 世界\n\n"] * 9, trainer)
    return tokenizer


@pytest.fixture
def json_path(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    trained_json().save(str(path))
    return path


@pytest.fixture(params=["world", "bpe"])
def tokenizer(request: pytest.FixtureRequest, json_path: Path) -> Tokenizer:
    if request.param == "bpe":
        return BpeTokenizer(json_path)
    world: WorldTokenizer = request.getfixturevalue("world")
    return world


@pytest.mark.parametrize("text", GOLDEN)
def test_world_encodes_as_the_official_tokenizer(world: WorldTokenizer, text: str) -> None:
    assert world.encode(text) == GOLDEN[text]


def test_world_takes_the_longest_match_at_every_place(world: WorldTokenizer) -> None:
    ids_of = {world.token_bytes(i): i for i in range(1, 65530)}
    rng = random.Random(0)
    words = [world.decode([rng.randrange(1, 65530)]).replace("\ufffd", "é") for _ in range(300)]
    data, expected = "".join(words).encode(), []
    while data:
        piece = next(data[:n] for n in range(128, 0, -1) if data[:n] in ids_of)
        expected.append(ids_of[piece])
        data = data[len(piece) :]
    assert world.encode("".join(words)) == expected


def test_every_single_byte_is_a_world_token(world: WorldTokenizer) -> None:
    assert [world.token_bytes(byte + 1) for byte in range(256)] == [bytes([b]) for b in range(256)]


@pytest.mark.parametrize("unused", [0, *range(65530, 65536)])
def test_unused_world_ids_decode_to_nothing(world: WorldTokenizer, unused: int) -> None:
    assert world.decode([24281, unused, 59]) == "User:"


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_back_the_encoded_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


def test_ids_outside_the_vocabulary_are_named_with_the_limit(tokenizer: Tokenizer) -> None:
    for token in (-1, tokenizer.vocab_size):
        with pytest.raises(TokenizerError, match=rf"id {token} .* 0 to {tokenizer.vocab_size - 1}"):
            tokenizer.decode([1, token])
        with pytest.raises(TokenizerError, match=f"id {token} "):
            tokenizer.token_bytes(token)


def test_half_a_surrogate_pair_is_refused_in_a_sentence(tokenizer: Tokenizer) -> None:
    with pytest.raises(TokenizerError, match=r"character 3 of the text is U\+D83C.*remove it"):
        tokenizer.encode("ab\ud83c")


@pytest.mark.parametrize("text", TEXTS)
def test_streamed_text_equals_the_whole(tokenizer: Tokenizer, text: str) -> None:
    stream = StreamDecoder(tokenizer)
    ids = tokenizer.encode(text)
    assert "".join(map(stream.feed, ids)) + stream.flush() == tokenizer.decode(ids)


def test_a_streamed_character_waits_for_its_last_byte(world: WorldTokenizer) -> None:
    stream = StreamDecoder(world)
    seen = [(stream.feed(token), stream.is_whole) for token in (3319, 141, 142)]
    assert seen == [("", False), ("", False), ("🌍", True)]
    assert stream.flush() == ""


def test_broken_bytes_become_replacement_characters(world: WorldTokenizer) -> None:
    stream = StreamDecoder(world)
    # An unfinished character that "User" breaks off, then a lone continuation byte.
    assert [stream.feed(token) for token in (3319, 24281, 0x80 + 1)] == ["", "\ufffdUser", "\ufffd"]
    assert stream.feed(3319) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


def test_random_ids_stream_to_what_they_decode_to(world: WorldTokenizer) -> None:
    ids = random.Random(1).choices(range(65536), k=2000) + random.Random(2).choices(
        range(257), k=2000
    )
    stream = StreamDecoder(world)
    assert "".join(map(stream.feed, ids)) + stream.flush() == world.decode(ids)


def test_special_bpe_tokens_have_no_bytes_and_no_text_makes_them(json_path: Path) -> None:
    tokenizer = BpeTokenizer(json_path)
    assert tokenizer.end_of_text == 0
    assert tokenizer.decode([0, *tokenizer.encode("cat"), 0]) == "cat"
    ids = tokenizer.encode("a<|endoftext|>b")
    assert 0 not in ids
    assert tokenizer.decode(ids) == "a<|endoftext|>b"


def test_every_byte_has_a_bpe_token(json_path: Path) -> None:
    tokenizer = BpeTokenizer(json_path)
    singles = {tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)}
    assert {bytes([byte]) for byte in range(256)} <= singles


def test_added_bpe_tokens_that_are_not_special_keep_their_text(tmp_path: Path) -> None:
    json_tokenizer = trained_json()
    json_tokenizer.add_tokens([AddedToken("    é", normalized=False)])
    json_tokenizer.save(str(tmp_path / "a.json"))
    tokenizer = BpeTokenizer(tmp_path / "a.json")
    assert tokenizer.token_bytes(tokenizer.vocab_size - 1) == "    é".encode()
    assert tokenizer.encode("    é") == [tokenizer.vocab_size - 1]


def test_padded_bpe_ids_decode_to_nothing(json_path: Path) -> None:
    tokenizer = BpeTokenizer(json_path, vocab_size=512)
    assert tokenizer.vocab_size == 512
    assert tokenizer.decode([511]) == ""


def test_a_bpe_file_with_more_ids_than_the_model_is_refused(json_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer.json has 2\d\d ids, the model only 99"):
        BpeTokenizer(json_path, vocab_size=99)


def test_an_unreadable_bpe_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for name in ("a.json", "missing.json"):
        with pytest.raises(TokenizerError, match=f"{name} is not a readable tokenizer file"):
            BpeTokenizer(tmp_path / name)


def test_a_bpe_file_without_end_of_text_is_refused(tmp_path: Path) -> None:
    trained_json(special=()).save(str(tmp_path / "a.json"))
    with pytest.raises(TokenizerError, match=r"a\.json has no <\|endoftext\|>"):
        BpeTokenizer(tmp_path / "a.json")


def test_a_bpe_file_that_is_not_byte_level_is_refused(tmp_path: Path) -> None:
    plain = JsonTokenizer(models.BPE({"<|endoftext|>": 0, "世": 1}, []))
    plain.save(str(tmp_path / "a.json"))
    with pytest.raises(TokenizerError, match=r"token 1 of a\.json holds '世'"):
        BpeTokenizer(tmp_path / "a.json")


def test_the_file_beside_the_model_is_taken(json_path: Path) -> None:
    for path in (json_path, json_path.parent, json_path.parent / "model.safetensors"):
        assert load_tokenizer(path, 300).name == "tokenizer.json"


def test_world_is_taken_for_65536_rows(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tmp_path / "model.pth", 65536)
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (65536, 0)
    assert tokenizer.encode("User") == [24281]


def test_a_model_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    for path in (None, tmp_path):
        with pytest.raises(TokenizerError, match=r"its 4096 ids .* put the model's tokenizer.json"):
            load_tokenizer(path, 4096)
    with pytest.raises(TokenizerError, match=r"missing\.json is not a readable"):
        load_tokenizer(tmp_path / "missing.json", 65536)
