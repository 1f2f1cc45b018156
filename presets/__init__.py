"""Ready-made choices: sampling presets, chat templates, examples and the shipped model.

The TOML files beside this one hold the data; the code reads and checks them.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rwkv_core.config import Choice
from rwkv_core.errors import SettingsError
from rwkv_core.sampling import SamplingSettings

# What the shipped model calls itself when asked.
DEFAULT_MODEL_NAME = "Pip"

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SamplingPreset:
    """A named way of choosing words.

    Attributes:
        name: one word a visitor understands.
        summary: what it does, in a few words.
        settings: the values behind it.
        max_tokens: longest answer, in tokens.
    """

    name: str
    summary: str
    settings: SamplingSettings
    max_tokens: int


@dataclass(frozen=True)
class ChatTemplate:
    """Turns roles into the text a model was trained on.

    Attributes:
        opening_form: text before the first turn, with `{persona}`.
        first_form: the first user turn up to the answer, with `{text}`.
        next_form: every later user turn up to the answer, with `{text}`.
        stop: texts that end an answer.
        thinking: what the prompt ends with, by mode ("fast", "think"), so that the model thinks
            first; empty for a model that was not taught to.
        thinking_stop: texts that end an answer with thoughts before it.
    """

    opening_form: str
    first_form: str
    next_form: str
    stop: tuple[str, ...]
    thinking: Mapping[str, str] = field(default_factory=dict)
    thinking_stop: tuple[str, ...] = ()

    def opening(self, persona: str) -> str:
        """Text before the first turn; nothing where there is no persona."""
        cleaned = self.clean(persona)
        return self.opening_form.replace("{persona}", cleaned) if cleaned else ""

    def user_turn(self, text: str, first: bool) -> str:
        """One user turn, up to where the model begins to answer.

        Args:
            text: what the user said, cleaned here.
            first: whether no turn came before it.
        """
        form = self.first_form if first else self.next_form
        return form.replace("{text}", self.clean(text))

    def answer(self, text: str) -> str:
        """An answer as later turns remember it."""
        return f" {text.strip()}"

    def clean(self, text: str) -> str:
        """Take out what would look like the end of a turn: line ends and blank lines."""
        return re.sub(r"\n{2,}", "\n", text.replace("\r\n", "\n")).strip()


@dataclass(frozen=True)
class Example:
    """A text to look inside, and what it is called on its button."""

    title: str
    text: str


@dataclass(frozen=True)
class Beginning:
    """A text to go on from, and the language it is in."""

    language: str
    text: str


@dataclass(frozen=True)
class Examples:
    """Texts that work at one click, by tab."""

    chat: tuple[str, ...]
    completion: tuple[Beginning, ...]
    inspector: tuple[Example, ...]


def default_model_path() -> Path:
    """Where the shipped model lies; its tokenizer.json is beside it."""
    return _FOLDER / "default" / "model.safetensors"


def sampling_presets(path: Path = _FOLDER / "sampling.toml") -> tuple[SamplingPreset, ...]:
    """Read the sampling presets, in the order they are shown.

    Raises:
        SettingsError: the file is broken or a value lies outside its range.
    """
    entries = _entry(read_table(path), "preset", list, path)
    if not entries:
        raise SettingsError(f"{path.name} holds no [[preset]]; add at least one")
    return tuple(_sampling_preset(entry, path) for entry in entries)


def _sampling_preset(entry: Mapping[str, Any], path: Path) -> SamplingPreset:
    name = _entry(entry, "name", str, path)
    try:
        settings = SamplingSettings(**_entry(entry, "settings", dict, path))
    except TypeError as error:
        raise SettingsError(
            f"preset {name!r} in {path.name} has an unknown key: {error}"
        ) from error
    return SamplingPreset(
        name,
        _entry(entry, "summary", str, path),
        settings,
        _entry(entry, "max_tokens", int, path),
    )


def chat_template(name: str = "chat", path: Path = _FOLDER / "chat_templates.toml") -> ChatTemplate:
    """Read one chat template by name.

    Raises:
        SettingsError: no such template, a missing key, or a form without its placeholder.
    """
    table = _entry(read_table(path), name, dict, path)
    opening, first, later = (
        _entry(table, key, str, path) for key in ("opening", "first_turn", "next_turn")
    )
    for form, placeholder in ((opening, "{persona}"), (first, "{text}"), (later, "{text}")):
        if form.count(placeholder) != 1:
            raise SettingsError(
                f"{form!r} in {path.name} has {placeholder} {form.count(placeholder)} times; "
                "it must be there once"
            )
    thinking = table.get("thinking", {})
    if not isinstance(thinking, dict) or not all(isinstance(v, str) for v in thinking.values()):
        raise SettingsError(f"{path.name}: 'thinking' should be a text by mode; correct the file")
    thinking_stop = _texts(table, "thinking_stop", path) if thinking else ()
    return ChatTemplate(opening, first, later, _texts(table, "stop", path), thinking, thinking_stop)


def chat_template_for(
    model: str, vocabulary: str, path: Path = _FOLDER / "chat_templates.toml"
) -> tuple[ChatTemplate, Choice]:
    """Choose the template a model was trained on, with the reason.

    Args:
        model: its file's name.
        vocabulary: its tokenizer's name.
        path: of the file with templates and families.

    Raises:
        SettingsError: the file is broken.
    """
    for family in _entry(read_table(path), "family", list, path):
        name, template = (_entry(family, key, str, path) for key in ("name", "template"))
        fits = _entry(family, "vocabulary", str, path) in vocabulary.lower()
        if fits and re.search(name, model):
            return chat_template(template, path), Choice(template, _entry(family, "why", str, path))
    return chat_template(path=path), Choice("chat", "the form most RWKV models are trained on")


@dataclass(frozen=True)
class Persona:
    """Somebody the model can be.

    Attributes:
        name: by language.
        text: read once before the first message.
    """

    name: Mapping[str, str]
    text: str


def personas(path: Path = _FOLDER / "personas.toml") -> tuple[Persona, ...]:
    """Read the ready-made personas, in the order they are shown.

    Raises:
        SettingsError: the file is broken or a key is missing.
    """
    return tuple(
        Persona(_entry(entry, "name", dict, path), _entry(entry, "text", str, path))
        for entry in _entry(read_table(path), "persona", list, path)
    )


def examples(path: Path = _FOLDER / "examples.toml") -> Examples:
    """Read the example texts.

    Raises:
        SettingsError: the file is broken or a key is missing.
    """
    table = read_table(path)
    inspector = tuple(
        Example(_entry(entry, "title", str, path), _entry(entry, "text", str, path))
        for entry in _entry(table, "inspector", list, path)
    )
    completion = tuple(
        Beginning(_entry(entry, "language", str, path), _entry(entry, "text", str, path))
        for entry in _entry(table, "completion", list, path)
    )
    return Examples(_texts(table, "chat", path), completion, inspector)


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsError: it is not there, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.name} cannot be read ({error}); restore the file") from error


def _entry(table: Mapping[str, Any], key: str, kind: type, path: Path) -> Any:
    value = table.get(key)
    if not isinstance(value, kind):
        raise SettingsError(
            f"{path.name}: {key!r} should be {kind.__name__}, "
            f"found {type(value).__name__}; correct the file"
        )
    return value


def _texts(table: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    values = _entry(table, key, list, path)
    if not values or not all(isinstance(value, str) and value for value in values):
        raise SettingsError(f"{path.name}: {key!r} should be a list of texts; correct the file")
    return tuple(values)
