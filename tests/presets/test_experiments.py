from pathlib import Path

import pytest

from presets.experiments import experiments
from rwkv_core.errors import SettingsError


def test_the_shipped_experiments_are_complete() -> None:
    shipped = experiments()
    assert len(shipped.compare) >= 3
    assert all(pair.a != pair.b and pair.cue for pair in shipped.compare)
    assert len(shipped.probe) >= 3
    assert all(2 <= len(fact.answers) <= 5 for fact in shipped.probe)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('probe = []\n[[compare]]\ntitle = "x"\na = "1"\nb = "2"', "broken.*cue"),
        ("probe = []", "broken.*compare"),
        (
            'compare = []\n[[probe]]\ntitle = "x"\nfact = "no place"\nanswers = ["a"]\n'
            'question = "q"',
            "needs one {}",
        ),
    ],
)
def test_a_broken_file_says_what_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "experiments.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        experiments(path)
