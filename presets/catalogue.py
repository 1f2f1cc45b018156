"""The catalogue of official checkpoints; models.toml holds it, and says what it is made from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from presets import SamplingPreset, read_table, sampling_presets
from rwkv_core.errors import Sentence, SettingsError
from rwkv_core.models.outline import Inventory, Sizes, inventory_of_sizes
from rwkv_core.sampling import SamplingSettings

ADVISED = "Advised"  # name of the preset that holds what a model's makers recommend
_ADVISED_TOKENS = 1000  # of an answer: such models think first
_PATH = Path(__file__).with_name("models.toml")
_FAMILY = {
    "name": str, "about": str, "repository": str, "generation": str, "vocabulary": int,
    "tokenizer": str, "template": str, "licence": str, "sampling": dict,
}  # fmt: skip
_MODEL = {"name": str, "file": str, "layers": int, "width": int}
_OPTIONAL = {
    "size": int, "sha256": str, "context": int, "ranks": dict, "ffn": int, "dummies": bool,
    "repository": str, "generation": str,
}  # fmt: skip


@dataclass(frozen=True)
class CatalogueModel:
    """One official file.

    Attributes:
        family: what its makers call the line.
        about: the line in one sentence.
        name: how large it is, as its makers say it.
        repository: "owner/name" on the Hub.
        file: in the repository.
        size: bytes of the file; 0 where no source was found.
        sha256: of the file, hex; "" where no source was found.
        context: tokens of a text in training; 0 where the name does not say.
        licence: of its card.
        tokenizer: see rwkv_core.tokenizer.
        template: see presets.chat_template.
        sampling: what its makers recommend for a talk.
        sizes: from which every tensor's shape follows.
        has_dummies: whether layer 0 holds tensors that no equation uses.
    """

    family: str
    about: str
    name: str
    repository: str
    file: str
    size: int
    sha256: str
    context: int
    licence: str
    tokenizer: str
    template: str
    sampling: SamplingSettings
    sizes: Sizes
    has_dummies: bool

    @property
    def title(self) -> Sentence:
        """Line and size: "RWKV-7 G1 1.5B"; a page can say it in another language."""
        return Sentence("{family} {name}", family=self.family, name=self.name)

    @property
    def inventory(self) -> Inventory:
        """What the file holds and the equations use."""
        return inventory_of_sizes(self.sizes)

    @property
    def numbers_in_file(self) -> int:
        """How many numbers the file holds, unused ones included."""
        unused = 0
        if self.has_dummies:
            rank = dict(self.sizes.ranks)["v"]
            unused = self.sizes.width * (1 + 2 * rank)
        return self.inventory.parameters + unused

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of the file: stated, or computed for 16 bits a number."""
        return self.size or 2 * self.numbers_in_file


@cache
def catalogue() -> tuple[CatalogueModel, ...]:
    """Read the shipped catalogue; see `read_catalogue`."""
    return read_catalogue(_PATH)


def read_catalogue(path: Path) -> tuple[CatalogueModel, ...]:
    """Read a catalogue, in the order it is shown.

    Raises:
        SettingsError: the file is broken, lacks a key, has an unknown one, or holds sizes that
            make no model.
    """
    models: list[CatalogueModel] = []
    for family in _tables(read_table(path), "family", path):
        entries = _tables(family, "model", path)
        _check_keys({k: v for k, v in family.items() if k != "model"}, _FAMILY, {}, path)
        for entry in entries:
            _check_keys(entry, _MODEL, _OPTIONAL, path)
            models.append(_model({**family, **entry}, family["name"], path))
    files = [model.file for model in models]
    if repeated := {file for file in files if files.count(file) > 1}:
        raise SettingsError(f"{path.name} names {min(repeated)} twice; remove one")
    return tuple(models)


def presets_for(name: str) -> tuple[SamplingPreset, ...]:
    """Read the sampling presets to offer with a model.

    Args:
        name: of the model, which is its file's without the suffix. What the makers of a model of
            the catalogue recommend comes before the shipped presets, under the name ADVISED.
    """
    shipped = sampling_presets()
    model = next((model for model in catalogue() if Path(model.file).stem == name), None)
    if model is None:
        return shipped
    summary = "the numbers that the makers of this model recommend"
    return (SamplingPreset(ADVISED, summary, model.sampling, _ADVISED_TOKENS), *shipped)


def first_preset(presets: Sequence[SamplingPreset]) -> SamplingPreset:
    """Return the one that is chosen until somebody chooses: what the makers advise, else Balanced."""
    return next((preset for preset in presets if preset.name in (ADVISED, "Balanced")), presets[0])


def _model(entry: Mapping[str, Any], family: str, path: Path) -> CatalogueModel:
    digest = entry.get("sha256", "")
    if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise SettingsError(
            f"sha256 of {entry['file']} in {path.name} is {digest!r}, not 64 hexadecimal digits; "
            "correct it"
        )
    sizes = Sizes(
        entry["generation"],
        entry["layers"],
        entry["width"],
        entry["vocabulary"],
        entry.get("ffn", 0),
        tuple(sorted(entry.get("ranks", {}).items())),
    )
    try:
        sampling = SamplingSettings(**entry["sampling"])
        inventory_of_sizes(sizes)
    except (TypeError, SettingsError) as error:
        raise SettingsError(f"{entry['file']} in {path.name}: {error}") from error
    return CatalogueModel(
        family,
        entry["about"],
        entry["name"],
        entry["repository"],
        entry["file"],
        entry.get("size", 0),
        digest,
        entry.get("context", 0),
        entry["licence"],
        entry["tokenizer"],
        entry["template"],
        sampling,
        sizes,
        entry.get("dummies", False),
    )


def _tables(table: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    found = table.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(x, dict) for x in found):
        raise SettingsError(f"{path.name} holds no [[{key}]] where one should be; correct the file")
    return found


def _check_keys(
    entry: Mapping[str, Any], needed: Mapping[str, type], optional: Mapping[str, type], path: Path
) -> None:
    known = {**needed, **optional}
    what = entry.get("file") or entry.get("name") or "an entry"
    for key, value in entry.items():
        if key not in known or not isinstance(value, known[key]):
            kind = known[key].__name__ if key in known else "nothing"
            raise SettingsError(
                f"{what} in {path.name}: {key!r} should be {kind}, found {value!r}; correct it"
            )
    if missing := sorted(set(needed) - set(entry)):
        raise SettingsError(f"{what} in {path.name} lacks {', '.join(missing)}; add it")
