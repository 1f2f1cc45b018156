"""Text to token ids and back: the World vocabulary, and byte-level BPE from a JSON file.

Both read text as UTF-8 bytes, so any text encodes and one character may span several tokens.
Decoding is our own table of bytes per id, which makes streaming exact.
"""

import ast
import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyrwkv_tokenizer
import tokenizers

from rwkv_core.errors import TokenizerError

WORLD_VOCAB_SIZE = 65536


class Tokenizer(Protocol):
    """What the runtime needs from a vocabulary.

    Attributes:
        name: shown to the user.
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

    Id 0 (end of text) and 65530 to 65535 have no bytes.
    """

    def __init__(self) -> None:
        encoder = pyrwkv_tokenizer.RWKVTokenizer()
        table = _read_world_vocabulary(Path(encoder.vocab_filepath))
        super().__init__("rwkv_vocab_v20230424", table, end_of_text=0)
        self._encoder = encoder

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; never into end_of_text."""
        ids: list[int] = self._encoder.encode(_checked_text(text))
        return ids


class BpeTokenizer(_ByteTable):
    """Byte-level BPE from a Hugging Face `tokenizer.json`.

    Special tokens have no bytes, and text that spells one out stays ordinary text.

    Args:
        path: the JSON file.
        vocab_size: rows of the model's embedding where they are more than the file's ids
            (padded models); the rest are unused ids. None: as many as the file has.

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
        end_of_text = encoder.token_to_id("<|endoftext|>")
        if end_of_text is None:
            raise TokenizerError(
                f"{path.name} has no <|endoftext|> token; add one to the file, with the id the "
                "model was trained with"
            )
        super().__init__(path.name, _bpe_table(encoder, path.name, vocab_size), end_of_text)
        self._encoder = encoder

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; never into a special id."""
        ids: list[int] = self._encoder.encode(_checked_text(text), add_special_tokens=False).ids
        return ids


def load_tokenizer(path: str | Path | None, vocab_size: int) -> Tokenizer:
    """Find the vocabulary that belongs to a model.

    Args:
        path: a tokenizer JSON file, or the model's file or folder, beside or in which
            `tokenizer.json` may lie; None where there is no such place.
        vocab_size: rows of the model's embedding.

    Returns:
        The JSON file's tokenizer if there is one, else World for a model with 65536 rows.

    Raises:
        TokenizerError: neither fits, or the JSON file is broken or has too many ids.
    """
    if path is not None:
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        file = path if path.suffix == ".json" else folder / "tokenizer.json"
        if file == path or file.exists():
            return BpeTokenizer(file, vocab_size)
    if vocab_size == WORLD_VOCAB_SIZE:
        return WorldTokenizer()
    raise TokenizerError(
        f"no tokenizer.json beside the model, and its {vocab_size} ids are not the "
        f"{WORLD_VOCAB_SIZE} of the World vocabulary; put the model's tokenizer.json beside it"
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
            f"character {error.start + 1} of the text is U+{ord(text[error.start]):04X}, half a "
            "surrogate pair and no character by itself; remove it"
        ) from error
    return text


def _read_world_vocabulary(path: Path) -> list[bytes]:
    """Parse lines of `id literal length`; the literal, str or bytes, may hold spaces."""
    table = [b""] * WORLD_VOCAB_SIZE
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


def _bpe_table(encoder: tokenizers.Tokenizer, name: str, vocab_size: int | None) -> list[bytes]:
    vocabulary = encoder.get_vocab(with_added_tokens=True)
    size = max(vocabulary.values()) + 1
    if vocab_size is not None and size > vocab_size:
        raise TokenizerError(
            f"{name} has {size} ids, the model only {vocab_size}; use the tokenizer.json that "
            "belongs to the model"
        )
    table = [b""] * (vocab_size or size)
    added = encoder.get_added_tokens_decoder()
    byte_of = _byte_level_alphabet()
    for token, index in vocabulary.items():
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
