"""The public-domain text that ships with the playground."""

from pathlib import Path

_TEXT = Path(__file__).parent / "texts" / "alice.txt"


def public_text() -> str:
    """Read Alice's Adventures in Wonderland by Lewis Carroll (1865): 136 kB of plain ASCII.

    The shipped model was not trained on it, so it serves for perplexity as well as for filler.
    """
    return _TEXT.read_text(encoding="ascii")


def lambada_excerpt_path() -> Path:
    """Find the first 64 of LAMBADA's 5,153 test passages, as JSON Lines; see texts/README.md."""
    return _TEXT.with_name("lambada.jsonl")
