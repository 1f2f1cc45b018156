"""Text to token ids and back: the World vocabulary, and byte-level BPE from a JSON file.

Both read text as UTF-8 bytes, so any text encodes and one character may span several tokens.
Decoding is our own table of bytes per id, which makes streaming exact. `load_tokenizer` finds
the vocabulary that belongs to a model.
"""

import ast
import codecs
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pyrwkv_tokenizer
import tokenizers

from kernels.sentences import Sentence
from rwkv_core.config import Choice
from rwkv_core.errors import DownloadError, TokenizerError
from rwkv_core.hub import fetch_file

# Rows of the embedding of released models. The last id that World gives a text to is 65529.
WORLD_VOCAB_SIZE, WORLD_IDS = 65536, 65530
# The vocabulary of GPT-NeoX-20B, exactly and padded to a multiple of 128.
PILE_VOCAB_SIZES = (50277, 50304)
PILE_FILE = "20B_tokenizer.json"
# Names of the two vocabularies of released models.
WORLD, PILE = "World", "20B"
PILE_REPOSITORY = "EleutherAI/gpt-neox-20b"
_MUSIC = {20096: "MIDI", 128: "ABC"}


class Tokenizer(Protocol):
    """What the runtime needs from a vocabulary.

    Attributes:
        name: "World", "20B", or a file's; by it a model's chat template is chosen.
        vocab_size: ids are 0 to vocab_size - 1, as many as the model's embedding has rows.
        end_of_text: id that separates documents; it has no text.
    """

    name: str
    vocab_size: int
    end_of_text: int

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; never into end_of_text or another special id.

        Raises:
            TokenizerError: the text holds half a surrogate pair.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text; bytes that are not UTF-8 become U+FFFD, special ids nothing.

        Raises:
            TokenizerError: an id is outside 0 to vocab_size - 1.
        """
        ...

    def token_bytes(self, token: int) -> bytes:
        """Look up the bytes of one id: b"" for special and unused ids.

        Raises:
            TokenizerError: the id is outside 0 to vocab_size - 1.
        """
        ...


class _ByteTable:
    """The half that both vocabularies share: bytes per id, and what follows from them."""

    def __init__(self, name: str, table: list[bytes], end_of_text: int) -> None:
        self.name = name
        self.vocab_size = len(table)
        self.end_of_text = end_of_text
        self._table = table

    def token_bytes(self, token: int) -> bytes:
        """Look up the bytes of one id: b"" for special and unused ids."""
        if not 0 <= token < self.vocab_size:
            raise TokenizerError(
                f"token id {token} is outside the vocabulary {self.name}, 0 to "
                f"{self.vocab_size - 1}; use the vocabulary that belongs to the model"
            )
        return self._table[token]

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text; bytes that are not UTF-8 become U+FFFD, special ids nothing."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")


class WorldTokenizer(_ByteTable):
    """The RWKV World vocabulary `rwkv_vocab_v20230424`: greedy longest match over bytes.

    Id 0 (end of text) and those from 65530 on have no bytes.

    Args:
        vocab_size: rows of the model's embedding.

    Raises:
        TokenizerError: there are fewer rows than ids.
    """

    def __init__(self, vocab_size: int = WORLD_VOCAB_SIZE) -> None:
        _require_rows("the World vocabulary", WORLD_IDS, vocab_size)
        encoder = pyrwkv_tokenizer.RWKVTokenizer()
        table = _read_world_vocabulary(Path(encoder.vocab_filepath), vocab_size)
        super().__init__(WORLD, table, end_of_text=0)
        self._encoder = encoder

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; never into end_of_text."""
        ids: list[int] = self._encoder.encode(_checked_text(text))
        return ids


class BpeTokenizer(_ByteTable):
    """Byte-level BPE from a Hugging Face `tokenizer.json`.

    Special tokens have no bytes, and text that spells one out stays ordinary text. A file that
    normalises text (GPT-NeoX-20B's composes accents, NFC) changes it in encoding.

    Args:
        path: the JSON file.
        vocab_size: rows of the model's embedding where they are more than the file's ids
            (padded models); the rest are unused ids. None: as many as the file has.

    Attributes:
        spare_rows: how many ids only padding gives.

    Raises:
        TokenizerError: the file is unreadable, not byte-level, without `<|endoftext|>`, or
            has more ids than vocab_size.
    """

    def __init__(self, path: Path, vocab_size: int | None = None) -> None:
        try:
            encoder = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise TokenizerError(
                f"{path.name} is not a readable tokenizer file ({error}); give a Hugging Face "
                "tokenizer.json"
            ) from error
        encoder.encode_special_tokens = True
        # Some files cut or fill up every text, as their trainer wanted it.
        encoder.no_truncation()
        encoder.no_padding()
        end_of_text = encoder.token_to_id("<|endoftext|>")
        if end_of_text is None:
            raise TokenizerError(
                f"{path.name} has no <|endoftext|> token; add one to the file, with the id the "
                "model was trained with"
            )
        size = max(encoder.get_vocab(with_added_tokens=True).values()) + 1
        self.spare_rows = 0 if vocab_size is None else vocab_size - size
        _require_rows(path.name, size, vocab_size or size)
        table = _bpe_table(encoder, path.name, vocab_size or size)
        # Told by its ids: a mirror's or a model's own file may have any name.
        is_pile = size == min(PILE_VOCAB_SIZES) and encoder.encode("\n\n").ids == [535]
        super().__init__(PILE if is_pile and end_of_text == 0 else path.name, table, end_of_text)
        self._encoder = encoder

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; never into a special id."""
        ids: list[int] = self._encoder.encode(_checked_text(text), add_special_tokens=False).ids
        return ids


def load_tokenizer(
    path: str | Path | None,
    vocab_size: int,
    asked: str | Path | None = None,
    *,
    fetch: Callable[[str, str], Path] = fetch_file,
) -> tuple[Tokenizer, Choice]:
    """Find the vocabulary that belongs to a model.

    What is asked for wins; then a `tokenizer.json` beside the model, then the number of the
    model's ids: 65536 is World; 50277, or padded 50304, is 20B, from the `20B_tokenizer.json`
    beside the model or else from the Hub.

    Args:
        path: the model's file or folder; None where there is no such place.
        vocab_size: rows of the model's embedding.
        asked: "world", "20B", or the path of a tokenizer JSON file or its folder.
        fetch: gives the path of (repository, file) of the Hub.

    Returns:
        The tokenizer, and which it is with the reason for it.

    Raises:
        TokenizerError: none is known for this size, or the file is missing, broken, or has
            more ids than the model.
    """
    folder = None if path is None else _folder_of(Path(path))
    beside = folder / "tokenizer.json" if folder else None
    if asked is not None:
        name, reason = str(asked).strip().strip("\"'"), "asked for"
    elif beside is not None and beside.exists():
        name, reason = str(beside), "it lies beside the model"
    elif vocab_size == WORLD_VOCAB_SIZE:
        form = "the model has the {count:,} ids of the World vocabulary"
        name, reason = "world", Sentence(form, count=vocab_size)
    elif vocab_size in PILE_VOCAB_SIZES:
        form = "models with {count:,} ids were trained on the Pile with it"
        name, reason = "20b", Sentence(form, count=vocab_size)
    else:
        raise TokenizerError(_unknown_size(vocab_size))

    if name.lower() == "world":
        spare = max(0, vocab_size - WORLD_VOCAB_SIZE)
        return WorldTokenizer(vocab_size), Choice(WORLD, _padded(reason, spare, vocab_size))
    if name.lower() == "20b":
        bpe, source = _load_pile(folder, vocab_size, fetch)
        reason = Sentence("{reason}, {source}", reason=reason, source=source)
    else:
        bpe = BpeTokenizer(_file_in(Path(name).expanduser()), vocab_size)
    return bpe, Choice(bpe.name, _padded(reason, bpe.spare_rows, vocab_size))


def _load_pile(
    folder: Path | None, vocab_size: int, fetch: Callable[[str, str], Path]
) -> tuple[BpeTokenizer, str]:
    """Load 20B from beside the model or from the Hub; says which."""
    # Also where it is asked for and would not fit: nothing should be fetched then.
    _require_rows("the 20B vocabulary", min(PILE_VOCAB_SIZES), vocab_size)
    if folder is not None and (folder / PILE_FILE).exists():
        source = Sentence("{file} lies beside the model", file=PILE_FILE)
        return BpeTokenizer(folder / PILE_FILE, vocab_size), source
    try:
        tokenizer = BpeTokenizer(fetch(PILE_REPOSITORY, "tokenizer.json"), vocab_size)
    except DownloadError as error:
        raise TokenizerError(
            f"{error}; put {PILE_FILE} beside the model, or name another file with --tokenizer"
        ) from error
    # A mirror may answer with another file, and every word would be wrong.
    if tokenizer.name != PILE:
        raise TokenizerError(
            f"tokenizer.json of {PILE_REPOSITORY} came from the Hub with other ids than 20B's; "
            f"put the right {PILE_FILE} beside the model"
        )
    return tokenizer, Sentence("from {repository} on the Hub", repository=PILE_REPOSITORY)


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _file_in(path: Path) -> Path:
    return path / "tokenizer.json" if path.is_dir() else path


def _unknown_size(vocab_size: int) -> str:
    if vocab_size in _MUSIC:
        return (
            f"a model with {vocab_size:,} ids writes {_MUSIC[vocab_size]} music, for which there "
            "is no tokenizer here; give ids to Model.forward yourself, or choose a text model"
        )
    pile = " or ".join(f"{size:,}" for size in PILE_VOCAB_SIZES)
    return (
        f"no tokenizer.json lies beside the model, and its {vocab_size:,} ids are neither the "
        f"{WORLD_VOCAB_SIZE:,} of World nor the {pile} of 20B; put the model's tokenizer.json "
        "beside it, or name the file with --tokenizer"
    )


def _padded(reason: str, spare: int, vocab_size: int) -> str:
    form = "{reason}; {spare:,} of the model's {count:,} ids are padding"
    return Sentence(form, reason=reason, spare=spare, count=vocab_size) if spare else reason


def _require_rows(name: str, ids: int, rows: int) -> None:
    if ids > rows:
        raise TokenizerError(
            f"{name} has {ids:,} ids, the model only {rows:,}; use the tokenizer that belongs to "
            "the model"
        )


class StreamDecoder:
    """Turns tokens into text one by one, giving out a character when its bytes are complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    @property
    def is_whole(self) -> bool:
        """Whether no character is waiting for more bytes."""
        return not self._decoder.getstate()[0]

    def feed(self, token: int) -> str:
        """Add one token and return the text that is complete with it, perhaps ""."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def flush(self) -> str:
        """End the text: an incomplete character comes out as U+FFFD."""
        return self._decoder.decode(b"", final=True)


def _checked_text(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TokenizerError(
            "character {place} of the text is U+{code:04X}, half a surrogate pair and no "
            "character by itself; remove it",
            place=error.start + 1,
            code=ord(text[error.start]),
        ) from error
    return text


def _read_world_vocabulary(path: Path, vocab_size: int) -> list[bytes]:
    """Parse lines of `id literal length`; the literal, str or bytes, may hold spaces."""
    table = [b""] * vocab_size
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            number, rest = line.split(" ", 1)
            literal, length = rest.rsplit(" ", 1)
            value = ast.literal_eval(literal)
            table[int(number)] = value.encode() if isinstance(value, str) else value
            if len(table[int(number)]) != int(length):
                raise TokenizerError(
                    f"token {number} of {path.name} has {len(table[int(number)])} bytes, the file "
                    f"says {length.strip()}; install pyrwkv-tokenizer again"
                )
    return table


def _bpe_table(encoder: tokenizers.Tokenizer, name: str, vocab_size: int) -> list[bytes]:
    table = [b""] * vocab_size
    added = encoder.get_added_tokens_decoder()
    byte_of = _byte_level_alphabet()
    for token, index in encoder.get_vocab(with_added_tokens=True).items():
        if index in added:
            table[index] = b"" if added[index].special else added[index].content.encode()
            continue
        try:
            table[index] = bytes(byte_of[character] for character in token)
        except KeyError as error:
            raise TokenizerError(
                f"token {index} of {name} holds {error}, which stands for no byte; only "
                "byte-level BPE files are supported"
            ) from error
    return table


def _byte_level_alphabet() -> dict[str, int]:
    """Map each character of byte-level BPE back to its byte.

    Printable Latin-1 characters stand for themselves, the other bytes for U+0100 and up, in
    order.  Source: `bytes_to_unicode` of GPT-2's encoder.py.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + offset): byte for offset, byte in enumerate(others)
    }
