"""A stand-in for GPT-NeoX-20B's tokenizer.json, of its kind and size, with its ids where known.

The ids written here are those of the public file; everything else is filler that no text gives.
"""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

SIZE = 50277
# Ġ stands for a space and Ċ for a line end, as in every byte-level file.
MERGED = {"ĠĠ": 245, "Ġt": 246, "he": 248, "ĠĠĠĠ": 252, "Ġthe": 253, "ĊĊ": 535}
MERGES = [("Ġ", "Ġ"), ("Ġ", "t"), ("h", "e"), ("ĠĠ", "ĠĠ"), ("Ġt", "he"), ("Ċ", "Ċ")]
# Runs of 24 to 2 spaces.
FIRST_SPACES = 50254


def write_pile_tokenizer(path: Path, *, line_ends: int = 535) -> Path:
    r"""Write the file; line_ends is the id of "\n\n", which tells it from another file."""
    # Bytes that UTF-8 never holds have no token there.
    absent = {chr(code) for code in (0xC0, 0xC1, *range(0xF5, 0x100))}
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - absent)
    vocabulary = {"<|endoftext|>": 0, "<|padding|>": 1}
    vocabulary |= {character: 2 + index for index, character in enumerate(alphabet)}
    vocabulary |= MERGED | {"ĊĊ": line_ends}
    used = set(vocabulary.values())
    vocabulary |= {f"<{i}>": i for i in range(FIRST_SPACES) if i not in used}
    tokenizer = Tokenizer(models.BPE(vocabulary, MERGES))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|padding|>"])
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    tokenizer.save(str(path))
    return path
