"""Ready-made experiments for the State inspector, read from experiments.toml and checked."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from rwkv_core.errors import SettingsError

_FILE = Path(__file__).with_name("experiments.toml")


@dataclass(frozen=True)
class Pair:
    """Two texts to compare or blend, and what both read next."""

    title: str
    a: str
    b: str
    cue: str


@dataclass(frozen=True)
class Fact:
    """A fact to plant: `{}` stands for one of the answers; the question asks for it."""

    title: str
    fact: str
    answers: tuple[str, ...]
    question: str


@dataclass(frozen=True)
class Experiments:
    """Experiments that work at one click."""

    compare: tuple[Pair, ...]
    probe: tuple[Fact, ...]


def experiments(path: Path = _FILE) -> Experiments:
    """Read the ready-made experiments.

    Raises:
        SettingsError: an entry lacks a key, has an unknown one, or a fact has no place for it.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        pairs = tuple(Pair(**entry) for entry in data["compare"])
        facts = tuple(
            Fact(**{**entry, "answers": tuple(entry["answers"])}) for entry in data["probe"]
        )
    except (KeyError, TypeError) as error:
        raise SettingsError(
            f"{path.name} is broken ({error}); repair the entry or fetch the file again"
        ) from error
    for fact in facts:
        if fact.fact.count("{}") != 1:
            raise SettingsError(f"{path.name}: the fact of {fact.title!r} needs one {{}}")
    return Experiments(pairs, facts)
