import re

from presets.texts import public_text


def test_the_public_text_is_alice_and_plain() -> None:
    text = public_text()
    assert text.startswith(
        "Alice's Adventures in Wonderland\nby Lewis Carroll\n\nAlice was beginning"
    )
    assert text.endswith("happy summer days.\n")
    assert 100_000 < len(text) < 300_000
    assert text.isascii()
    assert "\n\n\n" not in text
    assert not any(mark in text for mark in "\r\t[]_*<>")


def test_the_public_text_names_no_library_or_licence() -> None:
    assert not re.search(
        r"gutenberg|etext|ebook|licen[sc]e|trademark|copyright", public_text(), re.I
    )
