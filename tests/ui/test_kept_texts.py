import pytest

from rwkv_core.errors import InputError
from ui.kept_texts import KeptTexts, new_name


def test_a_text_is_found_by_its_name_only() -> None:
    kept = KeptTexts(10, 1000)
    name = new_name()
    kept.keep(name, (0, 5, 70_000))
    assert kept.ids(name) == (0, 5, 70_000)
    with pytest.raises(InputError, match="call /snapshot"):
        kept.ids(new_name())


def test_names_cannot_be_guessed() -> None:
    names = {new_name() for _ in range(100)}
    assert len(names) == 100
    assert min(map(len, names)) >= 32


def test_what_was_not_used_for_longest_goes_first() -> None:
    kept = KeptTexts(max_texts=2, max_tokens=10)
    assert kept.keep("a", (1,)) == kept.keep("b", (1,)) == []
    kept.ids("a")
    assert kept.keep("c", (1,)) == ["b"]
    assert kept.keep("long", (1,) * 9) == ["a"]
