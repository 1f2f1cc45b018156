"""What the page says, in every language it speaks: one TOML file for each part of the page.

A key is "file.entry", such as "page.title". Values may hold `{named}` places for `str.format`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rwkv_core.errors import SettingsError

LANGUAGES = ("en", "zh", "ja")

_FOLDER = Path(__file__).parent / "words"


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """Read every text of the page: language, then key, then text.

    Raises:
        SettingsError: an entry lacks a language or has one too many.
    """
    return read_words(_FOLDER)


def read_words(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """Read the texts of a folder; see `words`."""
    spoken: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for path in sorted(folder.glob("*.toml")):
        for name, texts in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if set(texts) != set(LANGUAGES):
                given = ", ".join(texts) or "none"
                wanted = ", ".join(LANGUAGES)
                raise SettingsError(
                    f"{path.name}: [{name}] is given in {given}; write it in {wanted}"
                )
            for language, text in texts.items():
                spoken[language][f"{path.stem}.{name}"] = text
    return spoken


def speak(language: str, key: str, **values: object) -> str:
    """Say one text in a language, its places filled with values; English where unknown.

    Raises:
        KeyError: no such text.
    """
    known = words()
    return known.get(language, known["en"])[key].format(**values)
