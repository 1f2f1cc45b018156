import string
from pathlib import Path

import pytest

from presets.words import LANGUAGES, read_words, speak, words
from rwkv_core.errors import SettingsError


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_has_the_same_places_in_every_language() -> None:
    spoken = words()
    for key, english in spoken["en"].items():
        for language in LANGUAGES:
            text = spoken[language][key]
            assert text.strip(), f"{key} says nothing in {language}"
            assert places(text) == places(english), f"{key} in {language}"


def test_an_entry_without_a_language_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text('[send]\nen = "Send"\nzh = "发送"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"chat\.toml: \[send\] is given in en, zh"):
        read_words(tmp_path)


def test_an_unknown_language_is_answered_in_english() -> None:
    assert speak("fr", "page.chat") == "Chat"
    assert speak("zh", "page.chat") == "聊天"
