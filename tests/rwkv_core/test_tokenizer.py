import random
from functools import partial
from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as JsonTokenizer

from rwkv_core.config import Choice
from rwkv_core.errors import DownloadError, TokenizerError
from rwkv_core.hub import fetch_file
from rwkv_core.tokenizer import (
    PILE_FILE,
    PILE_REPOSITORY,
    BpeTokenizer,
    StreamDecoder,
    Tokenizer,
    WorldTokenizer,
    load_tokenizer,
)
from tests.hub_server import HubServer, serving
from tests.pile_vocabulary import write_pile_tokenizer

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
    "User: hi\n\nAssistant: <think>\n</think": [
        *(24281, 59, 4571, 261, 5585, 41693, 59, 295, 35762, 63, 11, 754, 35762),
    ],
    "\n": [11],
    "\n\n": [261],
    "\r\n": [263],
    " ": [33],
    "  ": [267],
    ":": [59],
    "<": [61],
    ">": [63],
    " <": [295],
    "</": [754],
    "User": [24281],
    "System": [40812],
    "think": [35762],
    "Assistant": [5585, 41693],
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


def test_what_a_file_says_of_cutting_and_filling_texts_does_not_count(tmp_path: Path) -> None:
    whole = trained_json()
    whole.save(str(tmp_path / "whole.json"))
    whole.enable_truncation(3)
    whole.enable_padding(length=3)
    whole.save(str(tmp_path / "cut.json"))
    expected = BpeTokenizer(tmp_path / "whole.json").encode("the cat sat on the mat")
    assert BpeTokenizer(tmp_path / "cut.json").encode("the cat sat on the mat") == expected
    assert len(BpeTokenizer(tmp_path / "cut.json").encode("c")) == 1


@pytest.fixture(scope="module")
def pile(tmp_path_factory: pytest.TempPathFactory) -> BpeTokenizer:
    return BpeTokenizer(write_pile_tokenizer(tmp_path_factory.mktemp("pile") / PILE_FILE))


class TestPile:
    """A stand-in with GPT-NeoX-20B's layout; the file itself is not here to be tested."""

    def test_known_ids_come_out(self, pile: BpeTokenizer) -> None:
        assert (pile.vocab_size, pile.end_of_text) == (50277, 0)
        assert pile.encode("\n") == [187]
        assert pile.encode("\n\n the") == [535, 253]
        assert pile.encode("!") == [2]

    def test_runs_of_spaces_are_tokens_of_their_own(self, pile: BpeTokenizer) -> None:
        for count in range(2, 25):
            assert pile.encode(" " * count + "x") == [50278 - count, 89]
            assert pile.token_bytes(50278 - count) == b" " * count

    def test_accents_are_composed_as_the_model_learnt_them(self, pile: BpeTokenizer) -> None:
        assert pile.encode("e\u0301") == pile.encode("\u00e9") == [127, 104]
        assert pile.decode([127, 104]) == "\u00e9"

    @pytest.mark.parametrize("text", TEXTS)
    def test_text_comes_back(self, pile: BpeTokenizer, text: str) -> None:
        assert pile.decode(pile.encode(text)) == text

    def test_special_names_in_a_text_stay_text(self, pile: BpeTokenizer) -> None:
        ids = pile.encode("<|endoftext|><|padding|>")
        assert not {0, 1} & set(ids)
        assert pile.decode([0, *ids, 1]) == "<|endoftext|><|padding|>"


def no_fetch(repository: str, file: str) -> Path:
    raise AssertionError(f"{file} of {repository} was to be fetched")


class TestChoice:
    def test_the_file_beside_the_model_is_taken(self, json_path: Path) -> None:
        for path in (json_path.parent, json_path.parent / "model.safetensors"):
            tokenizer, choice = load_tokenizer(path, 300, fetch=no_fetch)
            assert tokenizer.name == choice.value == "tokenizer.json"
            assert choice.reason.startswith("it lies beside the model; ")

    def test_rows_beyond_the_file_are_said_to_be_padding(self, json_path: Path) -> None:
        size = BpeTokenizer(json_path).vocab_size
        _, choice = load_tokenizer(json_path.parent, size, fetch=no_fetch)
        assert choice.reason == "it lies beside the model"
        _, choice = load_tokenizer(json_path.parent, size + 1200, fetch=no_fetch)
        assert choice.reason.endswith(f"; 1,200 of the model's {size + 1200:,} ids are padding")

    def test_a_file_beside_the_model_with_too_many_ids_is_refused(self, json_path: Path) -> None:
        with pytest.raises(
            TokenizerError, match=r"tokenizer.json has 2\d\d ids, the model only 99"
        ):
            load_tokenizer(json_path.parent, 99, fetch=no_fetch)

    def test_world_is_taken_for_65536_rows(self, tmp_path: Path) -> None:
        tokenizer, choice = load_tokenizer(tmp_path / "model.pth", 65536, fetch=no_fetch)
        assert (tokenizer.vocab_size, tokenizer.end_of_text) == (65536, 0)
        assert tokenizer.encode("User") == [24281]
        assert choice == Choice("World", "the model has the 65,536 ids of the World vocabulary")

    def test_what_is_asked_for_wins(self, json_path: Path) -> None:
        tokenizer, choice = load_tokenizer(json_path.parent, 65664, "'World'", fetch=no_fetch)
        assert (tokenizer.vocab_size, choice.value) == (65664, "World")
        assert choice.reason == "asked for; 128 of the model's 65,664 ids are padding"
        assert tokenizer.decode([24281, 65663]) == "User"

    def test_a_file_or_its_folder_can_be_asked_for(self, json_path: Path, tmp_path: Path) -> None:
        for asked in (json_path, str(json_path), json_path.parent):
            tokenizer, choice = load_tokenizer(None, 65536, asked, fetch=no_fetch)
            assert tokenizer.name == choice.value == "tokenizer.json"
            assert choice.reason.startswith("asked for; ")
        with pytest.raises(TokenizerError, match=r"missing\.json is not a readable"):
            load_tokenizer(tmp_path, 65536, tmp_path / "missing.json", fetch=no_fetch)

    @pytest.mark.parametrize(("asked", "name"), [("world", "World"), ("20B", "20B")])
    def test_a_vocabulary_larger_than_the_model_is_refused(self, asked: str, name: str) -> None:
        expected = rf"the {name} vocabulary has [\d,]+ ids, the model only 4,096"
        with pytest.raises(TokenizerError, match=expected):
            load_tokenizer(None, 4096, asked, fetch=no_fetch)

    @pytest.mark.parametrize(
        ("size", "words"),
        [
            (
                4096,
                r"its 4,096 ids are neither the 65,536 of World nor the 50,277 or 50,304 of 20B",
            ),
            (20096, r"20,096 ids writes MIDI music"),
            (128, r"128 ids writes ABC music"),
        ],
    )
    def test_sizes_without_a_vocabulary_are_refused(
        self, size: int, words: str, tmp_path: Path
    ) -> None:
        for path in (None, tmp_path):
            with pytest.raises(TokenizerError, match=words):
                load_tokenizer(path, size, fetch=no_fetch)

    @pytest.mark.parametrize("size", [50277, 50304])
    def test_20b_is_taken_from_beside_the_model(self, size: int, tmp_path: Path) -> None:
        write_pile_tokenizer(tmp_path / PILE_FILE)
        for asked in (None, "20B"):
            tokenizer, choice = load_tokenizer(tmp_path / "m.pth", size, asked, fetch=no_fetch)
            assert (tokenizer.vocab_size, choice.value) == (size, "20B")
            assert "20B_tokenizer.json lies beside the model" in choice.reason
            assert ("; 27 of the model's 50,304 ids are padding" in choice.reason) == (
                size == 50304
            )
            assert tokenizer.decode([size - 1]) == ("" if size == 50304 else "  ")

    def test_a_files_own_tokenizer_comes_before_20b(self, json_path: Path) -> None:
        write_pile_tokenizer(json_path.with_name(PILE_FILE))
        _, choice = load_tokenizer(json_path.parent, 50277, fetch=no_fetch)
        assert choice.value == "tokenizer.json"

    def test_20b_comes_from_the_hub_otherwise(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write_pile_tokenizer(tmp_path / "file.json").read_bytes()
        with serving(HubServer({f"{PILE_REPOSITORY}/tokenizer.json": file}), monkeypatch) as hub:
            fetch = partial(fetch_file, endpoint=hub.endpoint, cache=tmp_path / "cache")
            tokenizer, choice = load_tokenizer(tmp_path, 50277, fetch=fetch)
        assert tokenizer.encode("\n\n the") == [535, 253]
        assert choice.value == "20B"
        assert choice.reason == (
            "models with 50,277 ids were trained on the Pile with it, "
            "from EleutherAI/gpt-neox-20b on the Hub"
        )

    def test_without_the_hub_the_sentence_says_where_to_put_the_file(self, tmp_path: Path) -> None:
        def offline(repository: str, file: str) -> Path:
            raise DownloadError(f"cannot fetch {file} of {repository}: offline")

        expected = r"cannot fetch .*: offline; put 20B_tokenizer\.json beside the model"
        with pytest.raises(TokenizerError, match=expected):
            load_tokenizer(tmp_path, 50304, fetch=offline)

    def test_another_file_in_20bs_place_is_refused(self, tmp_path: Path) -> None:
        other = write_pile_tokenizer(tmp_path / "other.json", line_ends=536)
        with pytest.raises(TokenizerError, match="came from the Hub with other ids than 20B's"):
            load_tokenizer(tmp_path, 50277, fetch=lambda repository, file: other)
