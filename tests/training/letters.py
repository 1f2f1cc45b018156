"""A tokenizer of one id per letter, for tests."""

from collections.abc import Sequence


class LetterTokenizer:
    """a is 1, z is 26, 0 ends a text."""

    name = "letters"
    vocab_size = 27
    end_of_text = 0

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 96 for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(96 + i) for i in ids if i)

    def token_bytes(self, token: int) -> bytes:
        return self.decode([token]).encode()
