"""What the page says, in every language it speaks: one TOML file for each part of the page.

A key is "file.entry", such as "page.title". Values may hold `{named}` places for `str.format`.
What others say by themselves (the files in `RUNTIME`) is found by its English form.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rwkv_core.errors import Sentence, SettingsError

LANGUAGES = ("en", "zh", "ja")

# Files of what errors, choices, the catalogue and readings of a recording say: only handlers put
# them into words, never the browser.
RUNTIME = ("error.", "reason.", "about.", "reading.", "closer.", "one_word.")
# What figures say; also for handlers alone. See ui/plots/spoken.py.
FIGURES = "figure."

_BETWEEN = {"en": "; ", "zh": "；", "ja": "。"}  # noqa: RUF001 (Chinese has its own)

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


def language_of(header: str) -> str:
    """Find the first language of an Accept-Language header that is spoken here; English if none."""
    for wish in header.split(","):
        language = wish.split(";")[0].strip().split("-")[0].lower()
        if language in LANGUAGES:
            return language
    return "en"


def translated(language: str, said: object) -> str:
    """Say what an error or a choice says in a language; what no file knows stays as it is.

    Args:
        language: the visitor's.
        said: an error, its sentence, or the reason of a choice; clauses between semicolons may
            each be known by themselves.
    """
    if isinstance(said, Exception):
        said = said.args[0] if said.args else ""
    text = str(said)
    form, values = (said.form, said.values) if isinstance(said, Sentence) else (text, {})
    keys = _runtime_keys()
    if form in keys:
        inner = {
            name: translated(language, value) if isinstance(value, str | Exception) else value
            for name, value in values.items()
        }
        return speak(language, keys[form], **inner)
    clauses = text.split("; ")
    if not all(clause in keys for clause in clauses):
        return text
    return _BETWEEN[language].join(speak(language, keys[clause]) for clause in clauses)


@cache
def _runtime_keys() -> Mapping[str, str]:
    """Keys of what the runtime says, by its English form."""
    return {text: key for key, text in words()["en"].items() if key.startswith(RUNTIME)}
